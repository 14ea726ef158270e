"""Group commit: calls that come while a transaction runs are carried out together in the next."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime, timedelta
from typing import Any

from attrs import define, field

from sebastian_adapters.postgres.errors import STORE
from sebastian_core.domain.errors import StoreUnavailable
from sebastian_core.domain.ids import RoomId
from sebastian_core.domain.room import Decided, Decision, Room

GROUP_LIMIT = 128
"""How many calls share a transaction: its locks are held for some milliseconds only."""

ENOUGH = 12
"""So many calls that wait begin a group beside the one under way; fewer are cheaper in the next.

Measured with one process and two on two cores: with 12 both gain, with none the many small groups
of two processes cost what the waiting saved.
"""


@define(eq=False)
class PendingDecision:
    """One decision that waits for its transaction; its caller waits for `answer`."""

    room_id: RoomId
    decision: Decision[Any]
    answer: asyncio.Future[Decided[Any]] = field(
        factory=lambda: asyncio.get_running_loop().create_future()
    )

    def decide(self, room: Room, now: datetime) -> Decided[Any] | Exception:
        """What the decision answers or raises: it must not hurt the others of its group."""
        try:
            return self.decision(room, now)
        except Exception as error:  # noqa: BLE001 it is raised where the call was made
            return error

    def settle(self, outcome: Decided[Any] | Exception) -> None:
        """Answer the caller, if there still is one."""
        if self.answer.done():
            return
        if isinstance(outcome, Exception):
            self.answer.set_exception(outcome)
        else:
            self.answer.set_result(outcome)


@define
class Deadlines:
    """Ends each call whose time is over; one timer for all, because all have the same time."""

    _patience: timedelta
    _waiting: deque[tuple[float, PendingDecision]] = field(factory=deque, init=False)
    _timer: asyncio.TimerHandle | None = field(default=None, init=False)

    def add(self, call: PendingDecision) -> None:
        """Let the call's time begin."""
        self._forget_answered()
        due_at = asyncio.get_running_loop().time() + self._patience.total_seconds()
        self._waiting.append((due_at, call))
        if self._timer is None:
            self._expect_first()

    def _forget_answered(self) -> None:
        while self._waiting and self._waiting[0][1].answer.done():
            self._waiting.popleft()

    def _expect_first(self) -> None:
        due_at, _ = self._waiting[0]
        self._timer = asyncio.get_running_loop().call_at(due_at, self._end_overdue)

    def _end_overdue(self) -> None:
        self._timer = None
        now = asyncio.get_running_loop().time()
        while self._waiting and self._waiting[0][0] <= now:
            _, call = self._waiting.popleft()
            seconds = self._patience.total_seconds()
            call.settle(StoreUnavailable(STORE, f"no answer within {seconds:g} s"))
        self._forget_answered()
        if self._waiting:
            self._expect_first()


CarryOut = Callable[[list[PendingDecision]], Awaitable[None]]


class GroupCommit:
    """Begins calls in the order in which they came, in so many groups at a time where many wait.

    A room is in one group at a time, and once; its next call waits until that has ended. A call
    whose caller has gone is left out if its group has not begun, and so is one whose patience is
    over.
    """

    def __init__(
        self,
        carry_out: CarryOut,
        *,
        groups: int = 1,
        enough: int = ENOUGH,
        limit: int = GROUP_LIMIT,
        patience: timedelta = timedelta(seconds=10),
    ) -> None:
        self._carry_out = carry_out
        self._groups = groups
        self._enough = enough
        self._limit = limit
        self._deadlines = Deadlines(patience)
        self._queue: deque[PendingDecision] = deque()
        self._runners: list[asyncio.Task[None]] = []
        self._rooms: set[RoomId] = set()

    async def call(self, room_id: RoomId, decision: Decision[Any]) -> Decided[Any]:
        """What became of the decision; raises what its transaction raised.

        Raises StoreUnavailable when it is not known in time; it may have been carried out then.
        """
        call = PendingDecision(room_id, decision)
        self._queue.append(call)
        self._deadlines.add(call)
        self._runners = [each for each in self._runners if not each.done()]
        if not self._runners or self._wants_another_group:
            self._runners.append(asyncio.create_task(self._run()))
        return await call.answer

    @property
    def _wants_another_group(self) -> bool:
        return len(self._runners) < self._groups and len(self._queue) >= self._enough

    async def _run(self) -> None:
        while group := self._next_group():
            rooms = {call.room_id for call in group}
            self._rooms |= rooms
            try:
                await self._carry_out(group)
            except Exception as error:  # noqa: BLE001 it is raised where the calls were made
                _settle_all(group, error)
            except BaseException:
                _settle_all([*group, *self._queue], StoreUnavailable(STORE, "we are ending"))
                raise
            finally:
                self._rooms -= rooms

    def _next_group(self) -> list[PendingDecision]:
        group: dict[RoomId, PendingDecision] = {}
        later: deque[PendingDecision] = deque()
        while self._queue and len(group) < self._limit:
            call = self._queue.popleft()
            if call.answer.done():
                continue
            if call.room_id in group or call.room_id in self._rooms:
                later.append(call)
            else:
                group[call.room_id] = call
        self._queue.extendleft(reversed(later))
        return list(group.values())


def _settle_all(calls: Iterable[PendingDecision], error: Exception) -> None:
    for call in calls:
        call.settle(error)
