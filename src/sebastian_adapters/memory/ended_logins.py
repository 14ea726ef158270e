"""The ended logins in memory, for one process."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from datetime import datetime

from sebastian_core.ports.clock import Clock
from sebastian_core.ports.ended_logins import EndedLogins


class InMemoryEndedLogins(EndedLogins):
    """Keeps them in a dictionary, each until it would have been over by itself."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._until: dict[str, datetime] = {}

    async def end(self, login: str, until: datetime) -> None:
        """See EndedLogins.end."""
        await asyncio.sleep(0)
        now = self._clock.now()
        self._until = {each: end for each, end in self._until.items() if end > now}
        self._until.setdefault(login, until)

    async def among(self, logins: Collection[str]) -> frozenset[str]:
        """See EndedLogins.among."""
        await asyncio.sleep(0)
        return frozenset(logins) & self._until.keys()
