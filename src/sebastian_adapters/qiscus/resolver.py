"""Addresses of the platform's name, looked up once for all lanes."""

from __future__ import annotations

import asyncio
import socket
import time

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver
from attrs import define, field

#: How long addresses are used before they are looked up again (aiohttp's own default).
KNOWN_SECONDS = 10.0

_Name = tuple[str, int, socket.AddressFamily]


@define(eq=False)
class SharedResolver(AbstractResolver):
    """Looks a name up once at a time, and keeps what was found for a while.

    Each who asks begins with another address: one that is out of order does not stop them all.
    """

    _lookups: dict[_Name, _Lookup] = field(factory=dict, init=False)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The addresses; raises OSError where there are none."""
        name = (host, port, family)
        lookup = self._lookups.get(name)
        if lookup is None or lookup.is_over:
            lookup = self._lookups[name] = _Lookup(name)
        return await lookup.addresses()

    async def close(self) -> None:
        """Forget all; a look-up under way ends by itself, for nothing can stop its thread."""
        self._lookups.clear()


@define(eq=False)
class _Lookup:
    """One look-up, under way or done."""

    _name: _Name
    _running: asyncio.Task[list[ResolveResult]] = field(init=False)
    _over_at: float | None = field(default=None, init=False)
    _turn: int = field(default=0, init=False)

    def __attrs_post_init__(self) -> None:
        self._running = asyncio.create_task(ThreadedResolver().resolve(*self._name))
        self._running.add_done_callback(self._done)

    @property
    def is_over(self) -> bool:
        """Whether it was in vain, or is too old."""
        return self._over_at is not None and time.monotonic() >= self._over_at

    async def addresses(self) -> list[ResolveResult]:
        found = await asyncio.shield(self._running)
        turn, self._turn = self._turn % max(len(found), 1), self._turn + 1
        return found[turn:] + found[:turn]

    def _done(self, running: asyncio.Task[list[ResolveResult]]) -> None:
        failed = running.cancelled() or running.exception() is not None
        self._over_at = time.monotonic() + (0.0 if failed else KNOWN_SECONDS)
