"""The agent store: the roster, shared by all processes."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from datetime import datetime
from typing import Protocol

from sebastian_core.domain.roster import Presence, Roster


class AgentStore(Protocol):
    """Keeps the presence of all agents. Losing it loses nothing: it is read again from Qiscus.

    Both ways in are atomic against each other and merge as `Roster.merged_listing` and
    `Roster.merged_sightings` say: per agent the reading that began later wins, whoever wrote it and
    in whatever order. All three raise StoreUnavailable, and promptly (within two seconds), when the
    store is down or silent.
    """

    @abstractmethod
    async def replace(self, listing: Iterable[Presence], began_at: datetime) -> bool:
        """Take in one complete listing; False if one that began later, or then, is already here."""

    @abstractmethod
    async def update(self, presences: Iterable[Presence]) -> None:
        """Take in what a reading said of single agents; drop unknown agents and older words."""

    @abstractmethod
    async def roster(self) -> Roster | None:
        """The roster as it stands now; None before the first listing or after the store lost it."""
