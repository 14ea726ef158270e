"""A person makes a waiting chat ready at once."""

from __future__ import annotations

from functools import partial

from sebastian_core.domain.by_hand import Handled, make_ready
from sebastian_core.domain.ids import RoomId
from sebastian_core.domain.rules import Rules
from sebastian_core.ports.job_queue import JobQueue
from sebastian_core.ports.room_repo import RoomRepo


class ReleaseChat:
    """Ends a chat's delay, doubt or exclusion, and rings. It keeps its place in the line."""

    def __init__(self, room_repo: RoomRepo, job_queue: JobQueue, rules: Rules) -> None:
        self._room_repo = room_repo
        self._job_queue = job_queue
        self._rules = rules

    async def __call__(self, room_id: RoomId, *, actor: str) -> Handled:
        """Release, and tell what became of it; raises StoreUnavailable if that is not sure."""
        decided = await self._room_repo.decide(
            room_id, partial(make_ready, actor, self._rules), alters_line=True
        )
        if decided.answer.is_done:
            self._job_queue.ring()
        return decided.answer
