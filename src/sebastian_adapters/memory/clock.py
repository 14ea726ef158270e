"""The clock in memory: starts at a given moment, and can be moved on by hand."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from threading import Lock

from sebastian_core.ports.clock import Clock

EPOCH = datetime(2024, 1, 1, tzinfo=UTC)
"""Where time begins unless somebody says otherwise; any moment would do."""


def boot_seconds() -> float:
    """Seconds on the clock that counts suspended time, where the system has one."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class InMemoryClock(Clock):
    """Starts at `start` when it is built, and goes on with `seconds` and with every `advance`.

    With `seconds=lambda: 0.0` it stands still until it is advanced. Safe to use from any thread; a
    source that goes back is held, as the port asks.
    """

    def __init__(
        self, start: datetime = EPOCH, *, seconds: Callable[[], float] = boot_seconds
    ) -> None:
        self._start = start.astimezone(UTC)
        self._seconds = seconds
        self._lock = Lock()
        self._advanced = 0.0
        self._latest = self._origin = seconds()

    def now(self) -> datetime:
        """The start and what has passed since."""
        return self._start + timedelta(seconds=self.monotonic() - self._origin)

    def monotonic(self) -> float:
        """The source's seconds and all that was advanced."""
        with self._lock:
            self._latest = max(self._latest, self._seconds() + self._advanced)
            return self._latest

    def advance(self, seconds: float) -> None:
        """Let so much time pass at once; raises ValueError for less than none."""
        if seconds < 0:
            raise ValueError("time does not go back")
        with self._lock:
            self._advanced += seconds
