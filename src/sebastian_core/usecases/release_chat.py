"""A person makes a waiting chat ready at once."""

from __future__ import annotations

import asyncio
from functools import partial

from sebastian_core.domain.by_hand import ByHand, Handled, make_ready
from sebastian_core.domain.ids import RoomId
from sebastian_core.domain.rules import Rules
from sebastian_core.ports.job_queue import JobQueue
from sebastian_core.ports.room_repo import RoomRepo

LINE_AT_MOST = 100_000
AT_ONCE = 64


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

    async def refused(self, times: int, *, actor: str) -> int:
        """Release all that the platform refused at least so often; how many were made ready.

        Chats in doubt are left out: a reading finds out what became of them.
        """
        line = await self._room_repo.waiting(LINE_AT_MOST)
        rooms = [chat.room_id for chat in line if chat.refusals >= times and not chat.is_doubtful]
        released = 0
        for first in range(0, len(rooms), AT_ONCE):
            some = rooms[first : first + AT_ONCE]
            handled = await asyncio.gather(*(self(room_id, actor=actor) for room_id in some))
            released += sum(each.outcome is ByHand.DONE for each in handled)
        return released
