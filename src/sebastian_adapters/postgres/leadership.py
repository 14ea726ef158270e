"""The leadership on PostgreSQL: a lease in a row, and a row of words for each process."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from sebastian_adapters.postgres.pipeline import NamedQuery
from sebastian_adapters.postgres.pool import Pool
from sebastian_adapters.postgres.rows import as_json
from sebastian_core.ports.leadership import REPORTS_AHEAD, REPORTS_KEPT, Leadership, Report

_REMEMBERED_REPORTS = {"keep": REPORTS_KEPT, "ahead": REPORTS_AHEAD}


class PostgresLeadership(Leadership):
    """Keeps the lease and the reports in PostgreSQL, within the limits of its pool."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def hold_duty(self, holder: str, lease: timedelta) -> bool:
        """See Leadership.hold_duty."""
        return bool(await self._pool.rows("hold_duty", holder=holder, lease=lease))

    async def report(self, name: str, state: Mapping[str, Any]) -> None:
        """See Leadership.report."""
        word = {"name": name, "state": as_json(state)}
        await self._pool.send(
            NamedQuery("report", word), NamedQuery("forget_reports", _REMEMBERED_REPORTS)
        )

    async def reports(self) -> Sequence[Report]:
        """See Leadership.reports."""
        rows = await self._pool.rows("reports", **_REMEMBERED_REPORTS)
        return [Report(name=name, at=at, state=json.loads(state)) for name, at, state in rows]
