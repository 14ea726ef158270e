"""One look at everything that the page shows; the only reader, however many watch."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from attrs import frozen

from sebastian_apps.settings import Settings
from sebastian_core.domain.agent import CapacityRules, Roster, Staffing
from sebastian_core.domain.chat import Chat
from sebastian_core.domain.plan import Floor, Plan
from sebastian_core.ports.room_repo import HistoryRow, Minute, Report, RoomRepo, Summary
from sebastian_core.usecases.known_roster import KnownRoster

LINE_SHOWN = 50
HELD_SHOWN = 1000
ROWS_READ = 120
MINUTES_SHOWN = 60
_MINUTE = timedelta(minutes=1)


@frozen(kw_only=True)
class FloorRules:
    """What the page must know of the configuration."""

    capacities: CapacityRules
    alert_refusals: int
    match_channels: bool
    presence_max_age: timedelta
    verify: bool

    @classmethod
    def of(cls, settings: Settings) -> FloorRules:
        """As these settings say."""
        return cls(
            capacities=CapacityRules(
                settings.webhook.max_current_customer, settings.agents.capacity
            ),
            alert_refusals=settings.assign.alert_refusals,
            match_channels=settings.assign.match_channels,
            presence_max_age=settings.presence.max_age,
            verify=settings.assign.verify,
        )

    def floor(self, roster: Roster, staffing: Staffing) -> Floor:
        """The floor as a dispatch would see it now."""
        plan = Plan(
            roster=roster,
            capacities=self.capacities,
            match_channels=self.match_channels,
            max_age=None if self.verify else self.presence_max_age,
        )
        return plan.look(staffing)


@frozen(kw_only=True)
class Look:
    """What was read, nearly at one moment: the page tolerates what changes in between."""

    staffing: Staffing
    summary: Summary
    roster: Roster | None
    agent_store_is_up: bool
    line: Sequence[Chat]
    held: Sequence[Chat]
    rows: Sequence[HistoryRow]
    reports: Sequence[Report]
    minutes: Sequence[Minute]

    @property
    def now(self) -> datetime:
        """The database's time."""
        return self.staffing.now


class FloorReader:
    """Reads what the page shows. Belongs to one task at a time."""

    def __init__(self, room_repo: RoomRepo, roster: KnownRoster, rules: FloorRules) -> None:
        self._room_repo = room_repo
        self._roster = roster
        self._rules = rules
        self._minutes: dict[datetime, Minute] = {}

    async def __call__(self) -> Look:
        """Look once; raises StoreUnavailable while the database is away."""
        repo = self._room_repo
        staffing = await repo.staffing()
        roster = await self._roster.roster()
        return Look(
            staffing=staffing,
            summary=await repo.summary(self._rules.alert_refusals),
            roster=roster,
            agent_store_is_up=self._roster.store_is_up,
            line=await repo.waiting(LINE_SHOWN),
            held=await repo.held(HELD_SHOWN),
            rows=await repo.decisions(ROWS_READ),
            reports=await repo.reports(),
            minutes=await self._last_hour(staffing.now),
        )

    async def _last_hour(self, now: datetime) -> list[Minute]:
        """The minutes that are over are read once more, for commits that came late."""
        this_minute = now.replace(second=0, microsecond=0)
        first = this_minute - (MINUTES_SHOWN - 1) * _MINUTE
        known = {at: minute for at, minute in self._minutes.items() if at >= first}
        since = max(known) - _MINUTE if known else first
        read = {minute.began_at: minute for minute in await self._room_repo.flow(since)}
        self._minutes = known | read
        hour = (first + number * _MINUTE for number in range(MINUTES_SHOWN))
        return [self._minutes.get(at, Minute(began_at=at)) for at in hour]
