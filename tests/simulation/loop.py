"""An event loop whose time jumps to the next timer, so that an hour costs what happens in it."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
PASS_SECONDS = 1e-6
"""What one pass of the loop takes: a task that sleeps for almost nothing still gets on."""
PASSES_AT_MOST = 3_000_000


class NothingLeft(RuntimeError):
    """Everybody waits for something that no timer will bring."""


class _Jumping(selectors.SelectSelector):
    """Asks no operating system: where the loop would sleep, time jumps."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self._passes = 0

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise NothingLeft("nothing is planned any more")
        self._passes += 1
        if self._passes > PASSES_AT_MOST:
            raise NothingLeft("the loop turns and turns")
        self.now += max(timeout, PASS_SECONDS)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """Starts at 0.0 s and never waits. For one thread and for timers only: no I/O is ever seen."""

    def __init__(self) -> None:
        self._jumping = _Jumping()
        super().__init__(self._jumping)
        self._clock_resolution = PASS_SECONDS

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._jumping.now

    def _write_to_self(self) -> None:
        """There is one thread, so nobody has to be woken."""


def run_virtually(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run to the end on a loop of its own; what is still under way then is cancelled."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main())
