"""What the stores tell of the floor at one moment: the checks judge it, the page shows it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import cached_property
from typing import Self

from attrs import frozen

from sebastian_apps.settings import Settings
from sebastian_apps.status.heartbeat import WorkerStatus, living
from sebastian_core.domain.agent_loads import AgentLoads, CapacityRules
from sebastian_core.domain.matcher import AgentPool, Availability, Matcher
from sebastian_core.domain.roster import Roster
from sebastian_core.ports.agent_settings import AgentSettings
from sebastian_core.ports.journal import Journal, Minute, Summary
from sebastian_core.ports.leadership import Leadership, Report
from sebastian_core.usecases.roster_cache import RosterCache

#: Over how many minutes the line is watched for growth.
GROWTH_MINUTES = 10


@frozen(kw_only=True)
class StoresToRead:
    """What is read; an `Allocator` has all of it, too."""

    agent_settings: AgentSettings
    journal: Journal
    leadership: Leadership
    roster: RosterCache


@frozen(kw_only=True)
class FloorRules:
    """What must be known of the configuration to judge and to show a floor."""

    capacities: CapacityRules
    alert_refusals: int
    match_channels: bool
    presence_max_age: timedelta
    verify: bool
    alert_wait: timedelta = timedelta(minutes=10)
    alert_growth: int = 20

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """As these settings say."""
        return cls(
            capacities=settings.capacity_rules,
            alert_refusals=settings.assign.alert_refusals,
            match_channels=settings.assign.match_channels,
            presence_max_age=settings.presence.max_age,
            verify=settings.assign.verify,
            alert_wait=settings.assign.alert_wait,
            alert_growth=settings.assign.alert_growth,
        )

    def floor(self, roster: Roster, agent_loads: AgentLoads) -> AgentPool:
        """The floor as a dispatch would see it now."""
        plan = Matcher(
            roster=roster,
            capacities=self.capacities,
            match_channels=self.match_channels,
            max_age=None if self.verify else self.presence_max_age,
        )
        return plan.look(agent_loads)


@frozen(kw_only=True, slots=False)
class FloorState:
    """What was read, nearly at one moment: whoever looks tolerates what changes in between.

    `minutes` are the newest ones, oldest first, the present one last.
    """

    agent_loads: AgentLoads
    summary: Summary
    roster: Roster | None
    agent_store_is_up: bool
    reports: Sequence[Report]
    minutes: Sequence[Minute]

    @classmethod
    async def read(cls, stores: StoresToRead, rules: FloorRules) -> FloorState:
        """Look once; raises StoreUnavailable while the database is away."""
        journal, agent_loads = stores.journal, await stores.agent_settings.agent_loads()
        return FloorState(
            agent_loads=agent_loads,
            summary=await journal.summary(rules.alert_refusals),
            roster=await stores.roster.roster(),
            agent_store_is_up=stores.roster.store_is_up,
            reports=await stores.leadership.reports(),
            minutes=await journal.flow(agent_loads.now - timedelta(minutes=GROWTH_MINUTES)),
        )

    @property
    def now(self) -> datetime:
        """The database's time."""
        return self.agent_loads.now

    @cached_property
    def workers(self) -> list[WorkerStatus]:
        """The workers that live."""
        return living(self.reports, self.now)

    def standings(self, rules: FloorRules) -> Mapping[Availability, int]:
        """How many agents of the roster stand how, whatever a chat needs."""
        if self.roster is None:
            return {}
        floor = rules.floor(self.roster, self.agent_loads)
        return Counter(agent.standing for agent in floor.agents.values())
