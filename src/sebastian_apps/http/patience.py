"""A time limit for blocks that many tasks are in at once, with one timer for all of them."""

from __future__ import annotations

import asyncio
from collections import deque
from types import TracebackType
from typing import Any

from attrs import define, field


@define(eq=False)
class Patience:
    """How long each of many tasks may stay in a block; for one event loop.

    What `asyncio.timeout` does, but that sets up and takes down a timer for each block: measured on
    uvloop as 8 µs each, and a webhook is in two of them; it costs 130 µs altogether.
    """

    seconds: float
    _stays: deque[Stay] = field(factory=deque, init=False)
    _timer: asyncio.TimerHandle | None = field(default=None, init=False)

    def limit(self) -> Stay:
        """A context manager that raises TimeoutError in the current task when its time is over."""
        due_at = asyncio.get_running_loop().time() + self.seconds
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("only a task can be limited")
        stay = Stay(due_at, task, task.cancelling())
        self._forget_ended()
        self._stays.append(stay)
        if self._timer is None:
            self._expect_first()
        return stay

    def _forget_ended(self) -> None:
        while self._stays and self._stays[0].task is None:
            self._stays.popleft()

    def _expect_first(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_at(self._stays[0].due_at, self._end_overdue)

    def _end_overdue(self) -> None:
        self._timer = None
        now = asyncio.get_running_loop().time()
        while self._stays and self._stays[0].due_at <= now:
            self._stays.popleft().end()
        self._forget_ended()
        if self._stays:
            self._expect_first()


@define(eq=False)
class Stay:
    """One task in one block, until it leaves it."""

    due_at: float
    task: asyncio.Task[Any] | None
    _cancelling: int
    _is_overdue: bool = field(default=False, init=False)

    def end(self) -> None:
        """Interrupt the task, if it is still in the block."""
        if self.task is not None:
            self._is_overdue = True
            self.task.cancel()

    def __enter__(self) -> None:
        """The time counts from `limit` on."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        _: TracebackType | None,
    ) -> None:
        task, self.task = self.task, None
        if not self._is_overdue or task is None:
            return
        if task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from error
