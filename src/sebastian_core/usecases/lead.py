"""Which of several processes does what only one should do."""

from __future__ import annotations

from datetime import timedelta

from sebastian_core.domain.errors import StoreUnavailable
from sebastian_core.ports.leadership import Leadership

LEASE = timedelta(seconds=6)


class Lead:
    """Takes the lease, or renews it. A process whose database is away does not lead."""

    def __init__(self, leadership: Leadership, name: str) -> None:
        self._leadership = leadership
        self.name = name
        self.is_ours = False

    async def __call__(self) -> None:
        """Ask for the lease once."""
        try:
            self.is_ours = await self._leadership.hold_duty(self.name, LEASE)
        except StoreUnavailable:
            self.is_ours = False
