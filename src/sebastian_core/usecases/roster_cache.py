"""The roster as this process knows it: the shared one, or its own copy while the store is away."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import datetime, timedelta

from sebastian_core.domain.errors import StoreUnavailable
from sebastian_core.domain.ids import AgentId
from sebastian_core.domain.roster import SET_BACK, Presence, Roster
from sebastian_core.ports.agent_store import AgentStore

LEFT_ALONE_SECONDS = 2.0


class RosterCache:
    """Keeps dispatch going without the agent store; nothing here raises StoreUnavailable.

    What the process itself read is merged into its copy as the store would have merged it.
    """

    def __init__(self, agent_store: AgentStore) -> None:
        self._store = agent_store
        self._copy: Roster | None = None
        self._unstored: dict[AgentId, Presence] = {}
        self._ask_again_at = 0.0
        self._asked_at = float("-inf")
        self.store_is_up = True

    async def roster(self, within_seconds: float = 0.0) -> Roster | None:
        """The newest roster to be had; None before anybody read one.

        A copy that was asked for within so many seconds will do. A store that failed is left alone
        for a while: one that is silent costs seconds each time.
        """
        now = asyncio.get_running_loop().time()
        if self._copy is not None and now < max(
            self._ask_again_at, self._asked_at + within_seconds
        ):
            return self._copy
        try:
            shared = await self._store.roster()
        except StoreUnavailable:
            self.store_is_up = False
            self._ask_again_at = asyncio.get_running_loop().time() + LEFT_ALONE_SECONDS
            return self._copy
        self.store_is_up = True
        self._asked_at = now
        if shared is not None and (self._copy is None or not _is_late(shared, self._copy)):
            self._copy = self._with_unstored(shared)
        return self._copy

    async def replace(self, listing: Iterable[Presence], began_at: datetime) -> bool:
        """Take in a complete listing; False if a younger one is known. See AgentStore.replace."""
        seen = tuple(listing)
        before = self._copy
        empty = Roster(read_at=datetime.min.replace(tzinfo=began_at.tzinfo))
        self._copy = (before or empty).merged_listing(seen, began_at)
        try:
            return await self._store.replace(seen, began_at)
        except StoreUnavailable:
            self.store_is_up = False
            return self._copy is not before

    async def update(self, presences: Iterable[Presence]) -> None:
        """Take in what a reading said of single agents, as far as it is news."""
        if self._copy is None:
            return
        news = [seen for seen in presences if self._is_news(seen)]
        if not news:
            return
        self._copy = self._copy.merged_sightings(news)
        try:
            await self._store.update(news)
        except StoreUnavailable:
            self.store_is_up = False
            self._unstored |= {seen.agent_id: seen for seen in news}

    def _with_unstored(self, shared: Roster) -> Roster:
        """The shared roster with what this process saw since and could not share."""
        if not self._unstored:
            return shared
        self._unstored = {
            agent_id: seen
            for agent_id, seen in self._unstored.items()
            if timedelta(0) < seen.read_at - shared.read_at <= SET_BACK
        }
        return shared.merged_sightings(self._unstored.values())

    def _is_news(self, seen: Presence) -> bool:
        known = self._copy.agents.get(seen.agent_id) if self._copy else None
        return known is not None and known.online != seen.online


def _is_late(shared: Roster, known: Roster) -> bool:
    """Whether it is older than what we know; much older means that the clock was set back."""
    return timedelta(0) < known.read_at - shared.read_at <= SET_BACK
