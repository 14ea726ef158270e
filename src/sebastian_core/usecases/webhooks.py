"""What a webhook asks for: a customer waits, or a chat is resolved."""

from __future__ import annotations

from functools import partial

from sebastian_core.domain.room import Decided
from sebastian_core.domain.rules import Rules
from sebastian_core.domain.webhooks import Admission, Arrival, Resolution, Resolving, admit, resolve
from sebastian_core.ports.job_queue import JobQueue
from sebastian_core.ports.room_repo import RoomRepo


class AdmitChat:
    """Records the arrival durably, then rings. Saying it twice changes nothing."""

    def __init__(self, room_repo: RoomRepo, job_queue: JobQueue, rules: Rules) -> None:
        self._room_repo = room_repo
        self._job_queue = job_queue
        self._rules = rules

    async def __call__(self, arrival: Arrival) -> Decided[Admission]:
        """Admit, and return only after the commit; raises StoreUnavailable if that is not sure."""
        decided = await self._room_repo.decide(
            arrival.room_id, partial(admit, arrival, self._rules)
        )
        if decided.changes:
            self._job_queue.ring()
        return decided


class ResolveChat:
    """Closes the room's live chat and rings for the slot that came free."""

    def __init__(self, room_repo: RoomRepo, job_queue: JobQueue, rules: Rules) -> None:
        self._room_repo = room_repo
        self._job_queue = job_queue
        self._rules = rules

    async def __call__(self, resolution: Resolution) -> Decided[Resolving]:
        """Resolve, and return only after the commit; raises StoreUnavailable if that is not sure.

        The slot that comes free is the one of the agent whom we recorded, whoever resolved.
        """
        decided = await self._room_repo.decide(
            resolution.room_id, partial(resolve, resolution, self._rules)
        )
        if decided.changes:
            self._job_queue.ring()
        return decided
