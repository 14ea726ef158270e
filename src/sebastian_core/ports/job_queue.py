"""The job queue: carries the doorbell, and nothing that matters."""

from __future__ import annotations

from abc import abstractmethod
from typing import Protocol


class JobQueue(Protocol):
    """A doorbell between processes: "look at the line".

    A ring carries no data and may be lost, doubled, late or out of order; whoever relies on it
    ticks as well. Rings that come before somebody looks are one ring.
    """

    @abstractmethod
    def ring(self) -> None:
        """Ask the workers to look at the line. Never blocks, never raises, may be lost."""

    @abstractmethod
    async def wait(self, timeout_seconds: float) -> bool:
        """Wait for a ring, at most so long; True if it rang.

        The ring is cleared before this returns, so that one which comes while the caller looks at
        the line is heard the next time.
        """
