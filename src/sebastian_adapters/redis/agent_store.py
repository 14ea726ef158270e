"""The agent store in Redis: rules run here, Redis writes only if nobody wrote meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Self, cast
from uuid import uuid4

from attrs import evolve, field, frozen

from sebastian_adapters.redis.client import read_script, redis_client
from sebastian_adapters.redis.encoding import (
    decode_listing,
    decode_sightings,
    encode_listing,
    encode_sightings,
)
from sebastian_adapters.redis.errors import redis_errors
from sebastian_adapters.redis.keys import PREFIX, roster_key
from sebastian_core.domain.ids import AgentId
from sebastian_core.domain.roster import Presence, Roster
from sebastian_core.ports.agent_store import AgentStore

#: How long one call may take in all, whatever it waits for.
DEADLINE_SECONDS = 1.8

_EMPTY = Roster(read_at=datetime.min.replace(tzinfo=UTC))


@frozen(kw_only=True)
class _Known:
    """What this process last saw in Redis: the listing, the sightings since, and both merged.

    The tokens tell whether it still stands there. They are random, so that a Redis that lost
    everything and was filled again is never taken for the one before.
    """

    listed: str = ""
    seen: str = ""
    listing: Roster | None = None
    sightings: Mapping[AgentId, Presence] = field(factory=dict)
    roster: Roster | None = field(init=False)

    @roster.default
    def _merged(self) -> Roster | None:
        if self.listing is None:
            return None
        merged = self.listing.merged_sightings(self.sightings.values())
        return evolve(
            merged,
            agents=MappingProxyType(dict(merged.agents)),
            missing=MappingProxyType(dict(merged.missing)),
        )


class RedisAgentStore(AgentStore):
    """Shares the roster through one hash in Redis.

    A listing of 10,000 agents is parsed once by each process and not again before it is replaced:
    a call asks for what changed. `prefix` keeps deployments apart that share a Redis. Connects when
    it is first used; close it with `aclose`, or use it as an async context manager.
    """

    def __init__(self, url: str, *, prefix: str = PREFIX) -> None:
        self._redis = redis_client(url)
        self._key = roster_key(prefix)
        self._read = self._redis.register_script(read_script("read_roster"))
        self._write_listing = self._redis.register_script(read_script("write_listing"))
        self._write_sightings = self._redis.register_script(read_script("write_sightings"))
        self._lock = asyncio.Lock()
        self._known = _Known()

    async def replace(self, listing: Iterable[Presence], began_at: datetime) -> bool:
        """Merge a complete listing as `Roster.merged_listing` says."""
        presences = tuple(listing)
        async with self._turn():
            while True:
                before = (await self._look()).roster or _EMPTY
                after = before.merged_listing(presences, began_at)
                if after is before:
                    return False
                if await self._put_listing(after):
                    return True

    async def update(self, presences: Iterable[Presence]) -> None:
        """Merge single agents as `Roster.merged_sightings` says."""
        seen = tuple(presences)
        async with self._turn():
            while True:
                before = (await self._look()).roster
                if before is None:
                    return
                after = before.merged_sightings(seen)
                if after is before or await self._put_sightings(_changes(before, after, seen)):
                    return

    async def roster(self) -> Roster | None:
        """The roster; the same object for as long as nothing changed."""
        async with self._turn():
            return (await self._look()).roster

    async def aclose(self) -> None:
        """Close the connection; a later call would open it again."""
        await self._redis.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """One call at a time in this process: several would each parse the same new listing."""
        with redis_errors():
            async with asyncio.timeout(DEADLINE_SECONDS), self._lock:
                yield

    async def _look(self) -> _Known:
        answer = await self._read(keys=[self._key], args=[self._known.listed, self._known.seen])
        if answer is None:
            self._known = _Known()
            return self._known
        listed, seen, listing, sightings = cast("list[bytes | None]", answer)
        if listing is not None or sightings is not None:
            self._known = self._learned(_text(listed), _text(seen), listing, sightings)
        return self._known

    def _learned(
        self, listed: str, seen: str, listing: bytes | None, sightings: bytes | None
    ) -> _Known:
        """What Redis answered, decoded; absent if that fails: the next listing replaces it."""
        try:
            return _Known(
                listed=listed,
                seen=seen,
                listing=self._known.listing if listing is None else decode_listing(listing),
                sightings=(
                    self._known.sightings if sightings is None else decode_sightings(sightings)
                ),
            )
        except ValueError:
            return _Known(listed=listed, seen=seen)

    async def _put_listing(self, listing: Roster) -> bool:
        """Write a listing with the known sightings merged in; to merge them again is harmless."""
        token = uuid4().hex
        known = self._known
        written = await self._write_listing(
            keys=[self._key],
            args=[known.listed, known.seen, token, encode_listing(listing), encode_sightings(())],
        )
        if written:
            self._known = evolve(known, listed=token, listing=listing)
        return bool(written)

    async def _put_sightings(self, changes: Mapping[AgentId, Presence]) -> bool:
        token = uuid4().hex
        known = self._known
        sightings = {**known.sightings, **changes}
        written = await self._write_sightings(
            keys=[self._key], args=[known.seen, token, encode_sightings(sightings.values())]
        )
        if written:
            self._known = evolve(known, seen=token, sightings=sightings)
        return bool(written)


def _changes(before: Roster, after: Roster, seen: Iterable[Presence]) -> dict[AgentId, Presence]:
    known = {each.agent_id for each in seen if each.agent_id in after.agents}
    return {
        agent_id: after.agents[agent_id]
        for agent_id in known
        if after.agents[agent_id] is not before.agents[agent_id]
    }


def _text(token: bytes | None) -> str:
    return (token or b"").decode()
