"""One look at everything that the page shows; the only reader, however many watch."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta

from attrs import frozen

from sebastian_apps.status.checks import DATABASE_REFUSES, CheckResult
from sebastian_apps.status.floor_state import FloorRules, FloorState
from sebastian_core.allocator import Allocator
from sebastian_core.domain.chat import Chat
from sebastian_core.domain.history import HistoryRow
from sebastian_core.ports.journal import Minute

LINE_SHOWN = 50
HELD_SHOWN = 1000
ROWS_READ = 120
MINUTES_SHOWN = 60
_MINUTE = timedelta(minutes=1)


@frozen(kw_only=True)
class FloorData(FloorState):
    """All that the page shows. `store_checks` are what the probes found lately."""

    line: Sequence[Chat]
    held: Sequence[Chat]
    rows: Sequence[HistoryRow]
    store_checks: Sequence[CheckResult] = ()

    @property
    def takes_writes(self) -> bool:
        """Whether a webhook can be recorded, as far as that was tried."""
        return all(each.name != DATABASE_REFUSES for each in self.store_checks)


class FloorReader:
    """Reads what the page shows. Belongs to one task at a time."""

    def __init__(
        self,
        allocator: Allocator,
        rules: FloorRules,
        store_checks: Callable[[], Awaitable[Sequence[CheckResult]]],
    ) -> None:
        self._allocator = allocator
        self._store_checks = store_checks
        self._rules = rules
        self._minutes: dict[datetime, Minute] = {}

    async def __call__(self) -> FloorData:
        """Look once; raises StoreUnavailable while the database is away."""
        allocator, journal = self._allocator, self._allocator.journal
        store_checks = await self._store_checks()
        agent_loads = await allocator.agent_settings.agent_loads()
        roster = await allocator.roster.roster()
        return FloorData(
            agent_loads=agent_loads,
            summary=await journal.summary(self._rules.alert_refusals),
            roster=roster,
            agent_store_is_up=allocator.roster.store_is_up,
            line=await allocator.room_repo.waiting(LINE_SHOWN),
            held=await journal.held(HELD_SHOWN),
            rows=await journal.decisions(ROWS_READ),
            reports=await allocator.leadership.reports(),
            minutes=await self._last_hour(agent_loads.now),
            store_checks=store_checks,
        )

    async def _last_hour(self, now: datetime) -> list[Minute]:
        """The minutes that are over are read once more, for commits that came late."""
        this_minute = now.replace(second=0, microsecond=0)
        first = this_minute - (MINUTES_SHOWN - 1) * _MINUTE
        known = {at: minute for at, minute in self._minutes.items() if at >= first}
        since = max(known) - _MINUTE if known else first
        read = {minute.began_at: minute for minute in await self._allocator.journal.flow(since)}
        self._minutes = known | read
        hour = (first + number * _MINUTE for number in range(MINUTES_SHOWN))
        return [self._minutes.get(at, Minute(began_at=at)) for at in hour]
