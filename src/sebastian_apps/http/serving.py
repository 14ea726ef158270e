"""Runs the webhook service: one process, on sockets of its own or on some that were handed over."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import structlog
import uvicorn
import uvloop
from attrs import evolve

from sebastian_apps.http.app import create_app
from sebastian_apps.http.connection_limit import ConnectionLimit, want_files
from sebastian_apps.http.listening import Letting, url_of
from sebastian_apps.http.parts import WebhookParts, nothing
from sebastian_apps.http.uvicorn_config import uvicorn_config
from sebastian_apps.runtime.gc import tune_gc
from sebastian_apps.runtime.watchdog import PATIENCE_SECONDS, Watchdog
from sebastian_apps.settings import SettingsError
from sebastian_core.domain.errors import ForeignAccount, SebastianError

GRACE_SECONDS = 6
"""How long requests in flight may take after SIGTERM; the parts are closed after that.

A second more than a connection without a request is kept (`KEPT_SECONDS`).
"""

MISCONFIGURED = 2
_ENDING = (signal.SIGTERM, signal.SIGINT)

log = structlog.stdlib.get_logger("sebastian.webhook")
Build = Callable[[], WebhookParts]


def run(
    build: Build,
    sockets: Sequence[socket.socket],
    *,
    shows_apart: bool = False,
    patience_seconds: float = PATIENCE_SECONDS,
) -> int:
    """Serve on these until SIGTERM or SIGINT; returns the exit status.

    For `shows_apart` see `create_app`.

    A process whose event loop is stuck for `patience_seconds` ends itself with 70.
    """
    want_files()
    try:
        server = make_server(build(), shows_apart=shows_apart)
        uvloop.run(_watched(server, sockets, patience_seconds))
    except SebastianError as error:
        log.error("cannot start", why=str(error))  # noqa: TRY400 - the sentence says it all
        return MISCONFIGURED if isinstance(error, ForeignAccount | SettingsError) else 1
    return 0 if server.started else 1


async def _watched(
    server: uvicorn.Server, sockets: Sequence[socket.socket], patience_seconds: float
) -> None:
    async with Watchdog(patience_seconds).watching():
        await server.serve(sockets=list(sockets))


def make_server(parts: WebhookParts, *, shows_apart: bool = False) -> uvicorn.Server:
    """The HTTP server for these parts, not yet running; it opens and closes them."""
    door = ConnectionLimit(parts.counts.ended)
    app = create_app(evolve(parts, open=nothing), shows_apart=shows_apart)
    config = uvicorn_config(app, door, grace_seconds=GRACE_SECONDS, lifespan="on")
    return _Server(config, parts, door)


class _Server(uvicorn.Server):
    """Ends quietly on a signal, where uvicorn would die of it after all is done.

    It opens the parts itself, because what the lifespan raises uvicorn shows as a traceback, and it
    lets connections in itself.
    """

    def __init__(self, config: uvicorn.Config, parts: WebhookParts, door: ConnectionLimit) -> None:
        super().__init__(config)
        self._parts = parts
        self._door = door
        self._letting: list[Letting] = []

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await self._parts.open()
        except BaseException:
            await self._parts.close()
            raise
        await super().startup([])
        tune_gc()
        self._letting = [Letting(each, self._protocol, self._door) for each in sockets or ()]
        for letting in self._letting:
            letting.begin()
        for listener in sockets or ():
            log.info("listening", url=url_of(listener), pid=os.getpid())

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop letting in, answer what is under way and what is on its way, and end."""
        self._door.is_closing = True
        for letting in self._letting:
            letting.end()
        self._parts.ending.set()
        await super().shutdown(sockets)

    def _protocol(self) -> asyncio.Protocol:
        make = self.config.http_protocol_class
        return make(  # type: ignore[call-arg]
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for each in _ENDING:
            loop.add_signal_handler(each, self.handle_exit, each, None)
        try:
            yield
        finally:
            for each in _ENDING:
                loop.remove_signal_handler(each)
