"""The agent store in memory."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from threading import Lock
from types import MappingProxyType

from attrs import evolve

from sebastian_core.domain.roster import Presence, Roster
from sebastian_core.ports.agent_store import AgentStore

_EMPTY = Roster(read_at=datetime.min.replace(tzinfo=UTC))


class InMemoryAgentStore(AgentStore):
    """Keeps the roster of one process; `lose` forgets it, as a Redis that was flushed would.

    It may begin with a roster that was read before. Nothing that a caller holds can change what is
    stored. Safe to use from any thread.
    """

    def __init__(self, roster: Roster | None = None) -> None:
        self._lock = Lock()
        self._roster = roster

    async def replace(self, listing: Iterable[Presence], began_at: datetime) -> bool:
        """Merge a complete listing as `Roster.merged_listing` says."""
        presences = tuple(listing)
        with self._lock:
            before = self._roster or _EMPTY
            return self._replace(before, before.merged_listing(presences, began_at))

    async def update(self, presences: Iterable[Presence]) -> None:
        """Merge single agents as `Roster.merged_sightings` says."""
        seen = tuple(presences)
        with self._lock:
            if self._roster is not None:
                self._replace(self._roster, self._roster.merged_sightings(seen))

    async def roster(self) -> Roster | None:
        """The roster; the same object for as long as nothing changed."""
        return self._roster

    def lose(self) -> None:
        """Forget everything."""
        with self._lock:
            self._roster = None

    def _replace(self, before: Roster, after: Roster) -> bool:
        if after is before:
            return False
        self._roster = evolve(
            after,
            agents=MappingProxyType(dict(after.agents)),
            missing=MappingProxyType(dict(after.missing)),
        )
        return True
