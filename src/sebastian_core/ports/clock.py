"""The clock: one monotonic reading, and an estimate of the database's time from it."""

from __future__ import annotations

from abc import abstractmethod
from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """Tells time without ever asking the machine's wall clock.

    PostgreSQL's clock is the one that counts; a process estimates it from a monotonic reading that
    goes on while the machine is suspended. Readings of the platform are dated with `now`, deadlines
    are kept with `monotonic`.
    """

    @abstractmethod
    def now(self) -> datetime:
        """The database's time, as well as this process knows it; aware, UTC.

        It goes back only where the database's own clock was set back.
        """

    @abstractmethod
    def monotonic(self) -> float:
        """Seconds since some moment; never goes back, and counts suspended time."""
