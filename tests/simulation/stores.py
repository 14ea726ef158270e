"""What all simulated processes share, and the parts of each that are its own."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from functools import partial
from typing import Any, TypeVar, cast

from attrs import define, field, frozen

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
from sebastian_apps.worker.observer import WorkerObserver
from sebastian_apps.worker.worker import Worker
from sebastian_core.allocator import Allocator
from sebastian_core.domain.agent_loads import AgentSetting, CapacityRules
from sebastian_core.domain.chat import Chat, ChatState, Transition
from sebastian_core.domain.errors import Fault as PlatformFault
from sebastian_core.domain.errors import PlatformRefused, PlatformUnavailable
from sebastian_core.domain.ids import AgentId, RoomId
from sebastian_core.domain.matcher import Matcher
from sebastian_core.domain.platform import Answer
from sebastian_core.domain.policy import Policy
from sebastian_core.domain.rate_limit import Limits
from sebastian_core.domain.reservation import Reservation
from sebastian_core.domain.room import Change, Decided, Decision
from sebastian_core.domain.roster import Presence, Roster
from sebastian_core.ports.agent_settings import AgentChange, AgentSettings
from sebastian_core.ports.agent_store import AgentStore
from sebastian_core.ports.clock import Clock
from sebastian_core.ports.job_queue import JobQueue
from sebastian_core.ports.journal import Journal
from sebastian_core.ports.leadership import Leadership
from sebastian_core.ports.qiscus_client import QiscusClient
from sebastian_core.ports.room_repo import RoomRepo
from sebastian_core.usecases.run import Polling
from tests.simulation.plan import Scenario
from tests.simulation.process import Process, ProcessClock
from tests.simulation.schedule import Schedule
from tests.simulation.tracing import Trace
from tests.simulation.wire import Wire

T = TypeVar("T")

POLLING = Polling(
    hot_poll_for=timedelta(milliseconds=300), hot_poll_limit=timedelta(milliseconds=100)
)
EVERY = {
    "settle": timedelta(seconds=1),
    "probe": timedelta(seconds=1),
    "reconcile": timedelta(seconds=20),
    "prune": timedelta(seconds=20),
}
"""As shipped, but for what would only cost time here: pauses that are shorter than the platform's
latency, and duties that would come too late to be seen in a run of two minutes."""


class RecordingRepo(InMemoryRoomRepo):
    """The repo in memory, which also watches the line."""

    def __init__(self, record: Record, trace: Trace) -> None:
        super().__init__(record)
        self._trace = trace

    async def reserve(self, plan: Matcher, *, limit: int) -> tuple[Reservation, ...]:
        """Reserve, and see whether anything was left undone."""
        reserved = await super().reserve(plan, limit=limit)
        if len(reserved) < limit:
            self._complain_of_idleness(plan)
        for each in reserved:
            if self._record.settings[each.agent_id].paused:
                self._trace.surprises.append(
                    f"P4 agent {each.agent_id} is paused and was given one"
                )
        return reserved

    async def decide(
        self, room_id: RoomId, decision: Decision[T], *, alters_line: bool = False
    ) -> Decided[T]:
        """Decide, and see whether a word about one reservation ended another one."""
        decided = await super().decide(room_id, decision, alters_line=alters_line)
        if isinstance(decision, partial) and isinstance(decision.args[0], Reservation):
            self._complain_of_a_broken_fence(decision.args[0], decided.changes)
        return decided

    def _complain_of_a_broken_fence(self, told: Reservation, changes: Iterable[Change]) -> None:
        for change in changes:
            ended = change.details.get("reservation", change.chat.reservation_id)
            if change.move in _ENDS_OF_RESERVATIONS and ended != told.id:
                self._trace.surprises.append(
                    f"P3 unfenced: a word about reservation {told.id} ended reservation {ended} "
                    f"of chat {change.chat.id}: {change.reason}"
                )

    def _complain_of_idleness(self, plan: Matcher) -> None:
        """P7, worked out anew: after a pass no ready chat waits beside a free eligible slot."""
        now = self._record.clock.now()
        ready = [chat for chat in self._record.live.values() if _could_be_given(chat, now)]
        if not ready:
            return
        free = [each for each in plan.roster.agents.values() if self._is_free(each, plan, now)]
        for chat in ready:
            if any(_may_take(agent, chat, plan) for agent in free):
                self._trace.surprises.append(
                    f"P7 left undone: chat {chat.id} of room {chat.room_id} waits at "
                    f"{asyncio.get_running_loop().time():.3f} s beside {[a.agent_id for a in free]}"
                )

    def _is_free(self, agent: Presence, plan: Matcher, now: datetime) -> bool:
        if not agent.online or (plan.max_age and agent.read_at < now - plan.max_age):
            return False
        setting = self._record.settings.get(agent.agent_id, AgentSetting())
        capacity = plan.capacities.default if setting.capacity is None else setting.capacity
        held = (chat for chat in self._record.live.values() if chat.agent_id == agent.agent_id)
        return not setting.paused and sum(1 for _ in held) < capacity


@define(eq=False)
class WatchedRecord(Record):
    """The record, which watches that nobody loses their place."""

    trace: Trace = field(kw_only=True)

    def keep(self, chat: Chat) -> None:
        """Keep it, and see whether it stands where it stood."""
        known = self.chats.get(chat.id)
        if known is not None and known.arrived_at != chat.arrived_at:
            self.trace.surprises.append(f"P5 chat {chat.id} was moved in the line")
        super().keep(chat)


class RecordingSettings(InMemoryAgentSettings):
    """The settings in memory, which also remember when people set what."""

    def __init__(self, record: Record) -> None:
        super().__init__(record)
        self.settings: defaultdict[AgentId, list[tuple[float, AgentSetting]]] = defaultdict(list)

    async def set_agent(
        self, agent_id: AgentId, change: AgentChange, *, actor: str
    ) -> AgentSetting:
        """Keep it and the moment."""
        setting = await super().set_agent(agent_id, change, actor=actor)
        self.settings[agent_id].append((asyncio.get_running_loop().time(), setting))
        return setting


_ENDS_OF_RESERVATIONS = frozenset(
    {Transition.CONFIRM, Transition.RELEASE, Transition.REFUSE, Transition.PASS_OVER}
)


def _could_be_given(chat: Chat, now: datetime) -> bool:
    return chat.state is ChatState.WAITING and chat.settle_at is None and chat.ready_at <= now


def _may_take(agent: Presence, chat: Chat, plan: Matcher) -> bool:
    channel, only = chat.needs.channel_id, chat.needs.only
    if only is not None and agent.agent_id not in only:
        return False
    return (
        not plan.match_channels
        or channel is None
        or not agent.channels
        or channel in agent.channels
    )


class RecordingStore(InMemoryAgentStore):
    """The agent store in memory, which watches that its roster never goes back in time."""

    def __init__(self, trace: Trace) -> None:
        super().__init__()
        self._trace = trace

    def _replace(self, before: Roster, after: Roster) -> bool:
        if after.read_at < before.read_at:
            self._trace.surprises.append("P6 the roster went back in time")
        return super()._replace(before, after)


@define(eq=False)
class Stores:
    """One deployment: the platform, the database, Redis, and what goes wrong with them."""

    scenario: Scenario
    trace: Trace
    schedule: Schedule
    rng: random.Random
    platform: Platform
    clock: InMemoryClock
    record: WatchedRecord
    room_repo: RecordingRepo
    agent_settings: RecordingSettings
    journal: InMemoryJournal
    leadership: InMemoryLeadership
    agent_store: InMemoryAgentStore
    job_queue: InMemoryJobQueue
    poisoned: dict[RoomId, str]
    policy: Policy | None = None

    @classmethod
    def open(cls, scenario: Scenario, trace: Trace) -> Stores:
        """Build everything that outlives a process."""
        loop = asyncio.get_running_loop()
        platform = Platform(
            clock=loop.time,
            rng=random.Random(f"{scenario.seed} platform"),
            switches=scenario.switches,
        )
        clock = InMemoryClock(platform.epoch, seconds=loop.time)
        record = WatchedRecord(clock, trace=trace)
        return cls(
            scenario=scenario,
            trace=trace,
            schedule=Schedule(scenario, trace),
            rng=random.Random(f"{scenario.seed} stores"),
            platform=platform,
            clock=clock,
            record=record,
            room_repo=RecordingRepo(record, trace),
            agent_settings=RecordingSettings(record),
            journal=InMemoryJournal(record),
            leadership=InMemoryLeadership(clock),
            agent_store=RecordingStore(trace),
            job_queue=InMemoryJobQueue(),
            poisoned={},
        )

    def ports_of(self, process: Process) -> Ports:
        """The ports as one process reaches them."""
        rng = random.Random(f"{self.scenario.seed} {process.name}")
        clock = ProcessClock(self.clock, off_seconds=rng.uniform(-0.02, 0.02))
        client = PoisonedClient(self.platform, clock, self.poisoned, self.trace)
        client.before = client.after = _latency(rng)

        def wire(port: str, target: object) -> Any:
            return Wire(port, target, process, self.schedule, rng)

        return Ports(
            clock=clock,
            room_repo=cast(RoomRepo, wire("room_repo", self.room_repo)),
            agent_settings=cast(AgentSettings, wire("agent_settings", self.agent_settings)),
            journal=cast(Journal, wire("journal", self.journal)),
            leadership=cast(Leadership, wire("leadership", self.leadership)),
            agent_store=cast(AgentStore, wire("agent_store", self.agent_store)),
            job_queue=cast(JobQueue, wire("job_queue", self.job_queue)),
            client=cast(QiscusClient, wire("qiscus_client", client)),
        )


@frozen(kw_only=True)
class Ports:
    """What one process sees of the world."""

    clock: Clock
    room_repo: RoomRepo
    agent_settings: AgentSettings
    journal: Journal
    leadership: Leadership
    agent_store: AgentStore
    job_queue: JobQueue
    client: QiscusClient


class PoisonedClient(InMemoryQiscusClient):
    """The client in memory for a platform that has something against a few rooms."""

    def __init__(
        self, platform: Platform, clock: Clock, poisoned: dict[RoomId, str], trace: Trace
    ) -> None:
        super().__init__(platform, clock)
        self._poisoned = poisoned
        self._trace = trace

    async def assign(self, room_id: RoomId, agent_id: AgentId) -> Answer:
        """Refuse or fail for a poisoned room; assign for any other."""
        poison = self._poisoned.get(room_id)
        if poison is None:
            return await super().assign(room_id, agent_id)
        self._trace.others[f"assign always {poison}"] += 1
        await asyncio.sleep(0.05)
        if poison == "failing":
            raise PlatformUnavailable(PlatformFault.SERVER_ERROR, "poisoned", status=500)
        raise PlatformRefused(403 if poison == "forbidden" else 400, "poisoned")


def _latency(rng: random.Random) -> Callable[[str], Any]:
    async def wait(operation: str) -> None:
        await asyncio.sleep(rng.choice((0.0, rng.uniform(0.0, 0.06))))

    return wait


class CountingObserver(WorkerObserver):
    """A worker's observer, for whom a policy that cheats is no surprise."""

    def __init__(self, clock: Clock, trace: Trace) -> None:
        super().__init__(clock)
        self._trace = trace

    def plan_refused(self, error: Exception) -> None:
        """See Observer.plan_refused."""
        self._trace.others["plan refused"] += 1


def build_allocator(stores: Stores, process: Process) -> Allocator:
    """An allocator as the container builds it, on this process's ports."""
    scenario, ports = stores.scenario, stores.ports_of(process)

    @asynccontextmanager
    async def opening() -> AsyncIterator[None]:
        await process.ready()
        yield

    return Allocator(
        room_repo=ports.room_repo,
        agent_settings=ports.agent_settings,
        journal=ports.journal,
        leadership=ports.leadership,
        agent_store=ports.agent_store,
        job_queue=ports.job_queue,
        qiscus_client=ports.client,
        clock=ports.clock,
        policy=stores.policy,
        capacities=CapacityRules(default=scenario.capacity),
        limits=Limits(rate=scenario.rate),
        verify=scenario.verify,
        match_channels=scenario.match_channels,
        observer=CountingObserver(ports.clock, stores.trace),
        polling=POLLING,
        every=EVERY,
        name=process.name,
        opening=opening,
    )


def build_worker(stores: Stores, process: Process) -> Worker:
    """A worker with such an allocator."""
    allocator = build_allocator(stores, process)
    assert isinstance(allocator.observer, WorkerObserver)
    return Worker(allocator, allocator.observer, report=timedelta(seconds=10))
