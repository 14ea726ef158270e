"""What keeps our record small, and its moments where they can be."""

from __future__ import annotations

from datetime import timedelta

from sebastian_core.domain.moments import Horizon
from sebastian_core.domain.rules import Rules
from sebastian_core.ports.journal import Journal
from sebastian_core.ports.room_repo import RoomRepo
from sebastian_core.usecases.observer import Observer


class Upkeep:
    """Forgets what is old, and brings back what a clock that was set back left in the future."""

    def __init__(
        self,
        room_repo: RoomRepo,
        journal: Journal,
        rules: Rules,
        keep: timedelta,
        observer: Observer,
    ) -> None:
        self._room_repo = room_repo
        self._journal = journal
        self._horizon = Horizon.of(rules)
        self._keep = keep
        self._observer = observer

    async def prune(self) -> int:
        """Forget batch after batch until nothing old is left; how many chats and rooms."""
        total = 0
        while pruned := await self._journal.prune(self._keep):
            total += pruned
        return total

    async def bring_back(self) -> int:
        """See RoomRepo.bring_back; how many chats and rooms."""
        brought_back = await self._room_repo.bring_back(self._horizon)
        if brought_back:
            self._observer.clock_was_set_back(brought_back)
        return brought_back
