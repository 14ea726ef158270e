"""Floors to look at: an hour of customers, simulated on the shipped adapters in memory."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from typing import Any

from attrs import evolve, frozen

from sebastian_adapters.memory.agent_settings import InMemoryAgentSettings
from sebastian_adapters.memory.agent_store import InMemoryAgentStore
from sebastian_adapters.memory.clock import InMemoryClock
from sebastian_adapters.memory.job_queue import InMemoryJobQueue
from sebastian_adapters.memory.journal import InMemoryJournal
from sebastian_adapters.memory.leadership import InMemoryLeadership
from sebastian_adapters.memory.platform import Platform
from sebastian_adapters.memory.qiscus_client import InMemoryQiscusClient
from sebastian_adapters.memory.record import Record
from sebastian_adapters.memory.room_repo import InMemoryRoomRepo
from sebastian_apps.http.metrics import WebhookMetrics
from sebastian_apps.http.parts import WebhookParts
from sebastian_apps.settings import Settings
from sebastian_apps.status.blocked import blocked_by
from sebastian_apps.status.heartbeat import own_version
from sebastian_core.allocator import Allocator
from sebastian_core.domain.adoption import Listed, adopt
from sebastian_core.domain.agent_loads import AgentSetting, CapacityRules
from sebastian_core.domain.chat import Doubt
from sebastian_core.domain.ids import AgentId, ChannelId, RoomId, ServiceId
from sebastian_core.domain.matcher import Matcher
from sebastian_core.domain.reservation import Reservation, confirm, doubt_attempt, refuse
from sebastian_core.domain.roster import Presence
from sebastian_core.domain.rules import Rules
from sebastian_core.domain.webhooks import Arrival, Resolution, admit, resolve
from sebastian_core.usecases.roster_cache import RosterCache
from tests.webhook_service import some_settings

MORNING = datetime(2026, 3, 9, 2, 24, tzinfo=UTC)
HOUR_SECONDS = 3600.0
CHAT, WIDGET = ChannelId(31), ChannelId(32)
NAMES = (
    *("Ayu Lestari", "Budi Santoso", "Citra Dewi", "Dimas Pratama", "Eka Putri", "Fajar Nugroho"),
    *("Gita Maharani", "Hadi Wijaya", "Indah Sari", "Joko Susilo", "Kartika Ayuning", "Lukman H."),
)


@frozen(kw_only=True)
class Hour:
    """How an hour goes: customers per second at a moment, and how long a chat takes on average."""

    rate: Callable[[float], float]
    service_seconds: float
    online: int
    capacity: int = 3
    seed: int = 4


class Stage:
    """A floor in memory whose clock can be moved on, with its record written by the real rules."""

    def __init__(self, hour: Hour, environ: dict[str, str] | None = None) -> None:
        self.hour = hour
        self.rules = Rules()
        self.clock = InMemoryClock(MORNING)
        self.record = Record(self.clock)
        self.room_repo = InMemoryRoomRepo(self.record)
        self.agent_settings = InMemoryAgentSettings(self.record)
        self.journal = InMemoryJournal(self.record)
        self.leadership = InMemoryLeadership(self.clock)
        self.job_queue = InMemoryJobQueue()
        self.agent_store = InMemoryAgentStore()
        self.roster = RosterCache(self.agent_store)
        self.settings: Settings = some_settings(
            {"QT_WEBHOOK_MAX_CURRENT_CUSTOMER": str(hour.capacity), **(environ or {})}
        )
        self.report: dict[str, Any] = {"standing": "up", "duties": True}
        self._random = random.Random(hour.seed)
        self._rooms = count(88_120_341)
        self._services = count(70_001)
        self._ends: list[tuple[float, str]] = []

    async def play(self, seconds: float = HOUR_SECONDS, *, assigning: bool = True) -> None:
        """Let customers come and go for so long."""
        end = self.clock.monotonic() + seconds
        began = self.clock.monotonic()
        while (left := end - self.clock.monotonic()) > 0.001:
            rate = self.hour.rate(self.clock.monotonic() - began)
            pause = min(left, self._random.expovariate(rate) if rate else left)
            await self._pass_time(pause, assigning=assigning)
            if pause < left:
                await self.arrive()
            if assigning:
                await self.assign()
        await self.see_agents()

    async def arrive(self, room: str | None = None, *, channel: ChannelId = CHAT) -> str:
        """A customer asks for an agent."""
        room = room or str(next(self._rooms))
        arrival = Arrival(room_id=RoomId(room), channel_id=channel)
        await self.room_repo.decide(arrival.room_id, partial(admit, arrival, self.rules))
        return room

    async def assign(self) -> None:
        """Give what can be given."""
        for reservation in await self.reserve():
            self.clock.advance(self._random.uniform(0.03, 0.14))
            await self.room_repo.decide(
                reservation.chat.room_id, partial(confirm, reservation, self.rules)
            )
            length = self._random.gammavariate(2.5, self.hour.service_seconds / 2.5)
            ends_at = self.clock.monotonic() + length
            heapq.heappush(self._ends, (ends_at, reservation.chat.room_id))

    async def reserve(self, limit: int = 50) -> tuple[Reservation, ...]:
        """Take slots, and make no call."""
        agents = {each.agent_id: each for each in self.agents()}
        roster = await self.roster.roster()
        if roster is None:
            await self.see_agents()
            roster = await self.roster.roster()
        assert roster is not None
        plan = Matcher(
            roster=evolve(roster, agents=agents),
            capacities=self.capacities,
            rules=self.rules,
        )
        return await self.room_repo.reserve(plan, limit=limit)

    async def refuse_next(self, times: int) -> None:
        """The platform says no to whoever is next, so many times in a row."""
        reason = "Qiscus refused with 422: the agent is not in the division of this channel"
        for number in range(times):
            self.clock.advance(self.rules.delay_after(number).total_seconds() if number else 0.0)
            while not (reserved := await self.reserve(1)):
                await self._pass_time(1, assigning=False)
            decision = partial(refuse, reserved[0], reason, self.rules)
            room_id = reserved[0].chat.room_id
            await self.room_repo.decide(room_id, decision, alters_line=True)

    async def come_back(self) -> None:
        """A customer writes again just after the resolve, which may be a late message."""
        _, room = heapq.heappop(self._ends)
        await self._resolve(room)
        await self.assign()
        await self.arrive(room)

    async def doubt_reserved(self, doubt: Doubt = Doubt.OUTAGE, limit: int = 2) -> None:
        """Calls end without an answer."""
        for reservation in await self.reserve(limit):
            decision = partial(doubt_attempt, reservation, doubt, self.rules)
            await self.room_repo.decide(reservation.chat.room_id, decision)

    async def adopt(self, agent: int) -> None:
        """A person gives a room to an agent in the dashboard."""
        listed = Listed(
            room_id=RoomId(str(next(self._rooms))),
            agent_id=AgentId(agent),
            began_at=self.clock.now(),
            channel_id=CHAT,
        )
        decision = partial(adopt, listed, self.rules)
        await self.room_repo.decide(listed.room_id, decision, alters_line=True)

    async def pause(self, agent: int) -> None:
        """A person keeps an agent out of the dispatch."""

        def paused(setting: AgentSetting) -> AgentSetting:
            return evolve(setting, paused=True)

        await self.agent_settings.set_agent(AgentId(agent), paused, actor="page")

    async def see_agents(self) -> None:
        """The agents are read."""
        await self.roster.replace(self.agents(), self.clock.now())
        await self.speak()

    async def speak(self) -> None:
        """The worker reports."""
        report = {"version": own_version(), **self.report}
        await self.leadership.report("worker-1", report)

    def agents(self) -> list[Presence]:
        """All agents as the platform would show them."""
        return [
            Presence(
                AgentId(number),
                number <= self.hour.online,
                self.clock.now(),
                frozenset({CHAT} if number % 6 else {CHAT, WIDGET}),
                name=name,
            )
            for number, name in enumerate(NAMES, 1)
        ]

    @property
    def capacities(self) -> CapacityRules:
        """How many chats each agent may hold."""
        return CapacityRules(default=self.hour.capacity, per_agent={AgentId(3): 2, AgentId(8): 5})

    def parts(
        self, *, agent_settings: InMemoryAgentSettings | None = None, **other: Any
    ) -> WebhookParts:
        """The webhook service on this floor, with its page open."""
        settings = evolve(
            self.settings, agents=evolve(self.settings.agents, capacity=self.capacities.per_agent)
        )
        allocator = Allocator(
            room_repo=self.room_repo,
            agent_settings=agent_settings or self.agent_settings,
            journal=self.journal,
            leadership=self.leadership,
            agent_store=self.agent_store,
            job_queue=self.job_queue,
            qiscus_client=InMemoryQiscusClient(Platform(clock=self.clock.monotonic), self.clock),
            clock=self.clock,
            capacities=self.capacities,
            rules=self.rules,
            blocked=blocked_by(self.leadership),
        )
        parts = WebhookParts(
            settings=settings,
            allocator=allocator,
            floor_is_open=settings.admin.token is None,
            counts=WebhookMetrics(),
        )
        return evolve(parts, **other)

    async def _pass_time(self, seconds: float, *, assigning: bool) -> None:
        """Move the clock on, and resolve on the way what ends."""
        until = self.clock.monotonic() + seconds
        while self._ends and self._ends[0][0] <= until:
            ends_at, room = heapq.heappop(self._ends)
            self.clock.advance(max(0.0, ends_at - self.clock.monotonic()))
            await self._resolve(room)
            if assigning:
                await self.assign()
        self.clock.advance(max(0.0, until - self.clock.monotonic()))

    async def _resolve(self, room: str) -> None:
        resolution = Resolution(room_id=RoomId(room), service_id=ServiceId(next(self._services)))
        await self.room_repo.decide(resolution.room_id, partial(resolve, resolution, self.rules))


async def busy() -> Stage:
    """More customers than slots for some minutes, and a little of everything that can happen."""
    crowd = Hour(
        rate=lambda at: 0.115 if at < 3180 else 0.24 if at < 3480 else 0.17,
        service_seconds=200.0,
        online=10,
    )
    stage = Stage(crowd)
    await stage.pause(7)
    await stage.play(HOUR_SECONDS - 30)
    await stage.refuse_next(4)
    await stage.adopt(2)
    await stage.come_back()
    found = {"admitted": 2, "settled": 1, "too_old": 0}
    drifted_at = stage.clock.now() - timedelta(minutes=2, seconds=11)
    stage.report["drift"] = {"at": drifted_at.isoformat(), **found}
    await stage.see_agents()
    return stage


async def outage() -> Stage:
    """Qiscus has not answered for some minutes: nothing is given, everybody keeps their place."""
    stage = Stage(Hour(rate=lambda at: 0.062, service_seconds=420.0, online=11))
    await stage.play(HOUR_SECONDS - 200)
    down_since = stage.clock.now()
    await stage.arrive()
    await stage.arrive()
    await stage.doubt_reserved()
    await stage.play(200, assigning=False)
    stage.report |= {"standing": "down", "down_since": down_since.isoformat()}
    await stage.see_agents()
    return stage


async def empty() -> Stage:
    """A calm evening: every slot that is needed was free."""
    stage = Stage(Hour(rate=lambda at: 0.035, service_seconds=110.0, online=9))
    await stage.play()
    stage.clock.advance(7)
    await stage.see_agents()
    return stage
