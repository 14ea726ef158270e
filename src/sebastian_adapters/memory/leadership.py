"""The leadership in memory: of the workers of one process."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from copy import deepcopy
from datetime import datetime, timedelta
from typing import Any

from sebastian_core.ports.clock import Clock
from sebastian_core.ports.leadership import REPORTS_AHEAD, REPORTS_KEPT, Leadership, Report


class InMemoryLeadership(Leadership):
    """Keeps the lease and what each process said last. Every method acts in one go."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lease: tuple[str, datetime] | None = None
        self._reports: dict[str, Report] = {}

    async def hold_duty(self, holder: str, lease: timedelta) -> bool:
        """See Leadership.hold_duty."""
        await asyncio.sleep(0)
        now = self._clock.now()
        if (
            self._lease
            and self._lease[0] != holder
            and self._lease[1] > now
            and self._lease[1] <= now + 2 * lease
        ):
            return False
        self._lease = (holder, now + lease)
        return True

    async def report(self, name: str, state: Mapping[str, Any]) -> None:
        """See Leadership.report."""
        await asyncio.sleep(0)
        self._reports[name] = Report(name=name, at=self._clock.now(), state=deepcopy(dict(state)))

    async def reports(self) -> Sequence[Report]:
        """See Leadership.reports."""
        await asyncio.sleep(0)
        now = self._clock.now()
        oldest, newest = now - REPORTS_KEPT, now + REPORTS_AHEAD
        return [each for _, each in sorted(self._reports.items()) if oldest <= each.at <= newest]
