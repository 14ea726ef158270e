"""A whole allocator in memory before a platform in memory, with faults on command."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from attrs import define, evolve, field

from sebastian_adapters.memory.agent_settings import InMemoryAgentSettings
from sebastian_adapters.memory.agent_store import InMemoryAgentStore
from sebastian_adapters.memory.clock import InMemoryClock
from sebastian_adapters.memory.job_queue import InMemoryJobQueue
from sebastian_adapters.memory.journal import InMemoryJournal
from sebastian_adapters.memory.leadership import InMemoryLeadership
from sebastian_adapters.memory.platform import Channel, Platform, Resolved, Switches
from sebastian_adapters.memory.qiscus_client import InMemoryQiscusClient
from sebastian_adapters.memory.record import Record
from sebastian_adapters.memory.room_repo import InMemoryRoomRepo
from sebastian_core.allocator import Allocator
from sebastian_core.domain.agent_loads import CapacityRules
from sebastian_core.domain.chat import Chat
from sebastian_core.domain.errors import Fault, PlatformRefused, PlatformUnavailable
from sebastian_core.domain.ids import AgentId, ChannelId, RoomId, ServiceId, parse_room_id
from sebastian_core.domain.matcher import Matcher
from sebastian_core.domain.platform import Answer
from sebastian_core.domain.policy import Policy
from sebastian_core.domain.rate_limit import Limits
from sebastian_core.domain.reservation import Reservation
from sebastian_core.domain.rules import Rules
from sebastian_core.domain.webhooks import Admission, Arrival, Resolution, Resolving, Service
from sebastian_core.usecases.assign import AssignChat, AssignmentResult
from sebastian_core.usecases.circuit_breaker import CircuitBreaker
from sebastian_core.usecases.dispatch import Dispatch
from sebastian_core.usecases.observer import Observer
from sebastian_core.usecases.reconcile import Reconcile
from sebastian_core.usecases.refresh import RefreshAgents
from sebastian_core.usecases.roster_cache import RosterCache
from sebastian_core.usecases.settle import SettleChat
from sebastian_core.usecases.webhooks import AdmitChat, ResolveChat
from tests.unit.core.building import NOW, RULES

Failure = PlatformUnavailable | PlatformRefused
PLENTY = Limits(rate=1e6, burst=10**6, in_flight=1000)
LIVE_CHAT = Channel(id=130821)


def timeout() -> PlatformUnavailable:
    return PlatformUnavailable(Fault.TIMEOUT)


def no_connection() -> PlatformUnavailable:
    return PlatformUnavailable(Fault.CONNECT)


def no_descriptor() -> PlatformUnavailable:
    return PlatformUnavailable(Fault.CROWDED, "this process has too many open files")


def throttled(seconds: float | None = None) -> PlatformUnavailable:
    return PlatformUnavailable(Fault.THROTTLED, status=429, retry_after_seconds=seconds)


def server_error() -> PlatformUnavailable:
    return PlatformUnavailable(Fault.SERVER_ERROR, status=500)


def refusal(status: int = 400) -> PlatformRefused:
    return PlatformRefused(status, "no")


@define
class Faults:
    """What happens to the next requests: each operation takes its faults one by one.

    A fault `before` keeps a request from being applied, one `after` loses its answer. A callable is
    called instead: for everything that should happen meanwhile. `always` never ends.
    """

    calls: list[str] = field(factory=list)
    before_next: dict[str, deque[Failure | Callable[[], None] | None]] = field(factory=dict)
    after_next: dict[str, deque[Failure | Callable[[], None] | None]] = field(factory=dict)
    always: dict[str, Callable[[], Failure]] = field(factory=dict)

    def before(self, operation: str, *faults: Failure | Callable[[], None] | None) -> None:
        self.before_next.setdefault(operation, deque()).extend(faults)

    def after(self, operation: str, *faults: Failure | Callable[[], None] | None) -> None:
        self.after_next.setdefault(operation, deque()).extend(faults)

    async def on_request(self, operation: str) -> None:
        self.calls.append(operation)
        if operation in self.always:
            failure = self.always[operation]()
            raise failure
        _happen(self.before_next.get(operation))

    async def on_answer(self, operation: str) -> None:
        _happen(self.after_next.get(operation))


def _happen(faults: deque[Failure | Callable[[], None] | None] | None) -> None:
    fault = faults.popleft() if faults else None
    if isinstance(fault, Exception):
        raise fault
    if fault is not None:
        fault()


class FaultyQiscusClient(InMemoryQiscusClient):
    """The in-memory client whose platform always refuses some rooms, and may name wrong agents."""

    def __init__(self, *args: Any, **hooks: Any) -> None:
        super().__init__(*args, **hooks)
        self.poisoned: dict[RoomId, Callable[[], Failure]] = {}
        self.names: AgentId | None = None

    async def assign(self, room_id: RoomId, agent_id: AgentId) -> Answer:
        """Assign as ever, unless the room is poisoned."""
        if room_id in self.poisoned:
            failure = self.poisoned[room_id]()
            raise failure
        answer = await super().assign(room_id, agent_id)
        return answer if self.names is None else Answer(agent_id=self.names)


class EndedAssignments(Observer):
    """Remembers how every assignment ended."""

    def __init__(self) -> None:
        self.all: list[AssignmentResult] = []

    def assignment_ended(self, ended: AssignmentResult) -> None:
        """See Observer.assignment_ended."""
        self.all.append(ended)


@define
class Worker:
    """The use cases of one process."""

    client: FaultyQiscusClient
    roster: RosterCache
    breaker: CircuitBreaker
    assign_chat: AssignChat
    dispatch: Dispatch
    settle_chat: SettleChat
    refresh_agents: RefreshAgents
    reconcile: Reconcile
    ended: list[AssignmentResult]


class Stage:
    """The platform, the stores, the two webhooks and any number of workers.

    Time stands still until somebody advances the clock, unless a clock is given.
    """

    def __init__(
        self,
        *,
        clock: InMemoryClock | None = None,
        rules: Rules = RULES,
        record: type[Record] = Record,
        room_repo: type[InMemoryRoomRepo] = InMemoryRoomRepo,
        **switches: Any,
    ) -> None:
        self.clock = clock or InMemoryClock(NOW, seconds=lambda: 0.0)
        self.rules = rules
        self.platform = Platform(
            clock=self.clock.monotonic,
            rng=random.Random(1),
            switches=Switches(**switches),
            epoch=self.clock.now() - timedelta(seconds=self.clock.monotonic()),
        )
        self.record = record(self.clock)
        self.room_repo = room_repo(self.record)
        self.agent_settings = InMemoryAgentSettings(self.record)
        self.journal = InMemoryJournal(self.record)
        self.leadership = InMemoryLeadership(self.clock)
        self.agent_store = InMemoryAgentStore()
        self.job_queue = InMemoryJobQueue()
        self.faults = Faults()
        self.admit_chat = AdmitChat(self.room_repo, self.job_queue, rules)
        self.resolve_chat = ResolveChat(self.room_repo, self.job_queue, rules)

    def worker(
        self,
        *,
        limits: Limits = PLENTY,
        verify: bool = True,
        policy: Policy | None = None,
        capacities: CapacityRules | None = None,
        max_age: timedelta = timedelta(hours=24),
        client: type[FaultyQiscusClient] = FaultyQiscusClient,
    ) -> Worker:
        """One more worker before the same stores and the same platform."""
        ended = EndedAssignments()
        allocator = self.allocator(
            client=client,
            observer=ended,
            limits=limits,
            verify=verify,
            policy=policy,
            capacities=capacities,
            reconcile_max_age=max_age,
        )
        asks = allocator.qiscus_client
        assert isinstance(asks, FaultyQiscusClient)
        return Worker(
            client=asks,
            roster=allocator.roster,
            breaker=allocator.breaker,
            assign_chat=allocator.dispatch._assign_chat,
            dispatch=allocator.dispatch,
            settle_chat=allocator.settle,
            refresh_agents=allocator.refresh,
            reconcile=allocator.reconcile,
            ended=ended.all,
        )

    def allocator(
        self,
        *,
        client: type[FaultyQiscusClient] = FaultyQiscusClient,
        limits: Limits = PLENTY,
        **options: Any,
    ) -> Allocator:
        """One more allocator before the same stores and the same platform."""
        asks = client(
            self.platform, self.clock, before=self.faults.on_request, after=self.faults.on_answer
        )
        return Allocator(
            room_repo=self.room_repo,
            agent_settings=self.agent_settings,
            journal=self.journal,
            leadership=self.leadership,
            agent_store=self.agent_store,
            job_queue=self.job_queue,
            qiscus_client=asks,
            clock=self.clock,
            rules=self.rules,
            limits=limits,
            **options,
        )

    def switch(self, **switches: Any) -> None:
        """Change habits of the platform."""
        self.platform.switches = evolve(self.platform.switches, **switches)

    def agent(
        self, agent_id: AgentId, *, online: bool = True, channel: Channel = LIVE_CHAT
    ) -> None:
        """Somebody with a login at the platform."""
        self.platform.add_agent(agent_id=agent_id, online=online, channels=(channel,))

    def message(self, room_id: RoomId) -> Arrival | None:
        """The customer writes; answers the webhook that the platform sends for it, if it does."""
        body = self.platform.customer_message(room_id)
        return None if body is None else arrival_of(body)

    async def arrive(self, room_id: RoomId) -> Admission | None:
        """The customer writes and the webhook comes in."""
        arrival = self.message(room_id)
        return None if arrival is None else (await self.admit_chat(arrival)).answer

    def end(self, room_id: RoomId) -> Resolution:
        """Somebody resolves the room; answers the webhook that the platform sends for it."""
        ended = self.platform.mark_as_resolved(room_id)
        assert isinstance(ended, Resolved), ended
        return resolution_of(ended.webhook)

    async def resolve(self, room_id: RoomId) -> Resolving:
        """Somebody resolves the room and the webhook comes in."""
        return (await self.resolve_chat(self.end(room_id))).answer

    async def chat(self, room_id: RoomId) -> Chat:
        """The room's live chat, which must exist."""
        found = await self.find_chat(room_id)
        assert found is not None, f"no live chat in {room_id}"
        return found

    async def find_chat(self, room_id: RoomId) -> Chat | None:
        room = (await self.room_repo.rooms([room_id])).get(room_id)
        return room.chat if room else None

    async def reserve(self, worker: Worker) -> Reservation:
        """Reserve the one chat that is ready, without carrying it out."""
        roster = await worker.roster.roster()
        assert roster is not None
        (reservation,) = await self.room_repo.reserve(Matcher(roster, rules=self.rules), limit=1)
        return reservation

    async def dispatch(self, worker: Worker) -> list[AssignmentResult]:
        """Give what can be given and wait until the calls ended; how they did."""
        before = len(worker.ended)
        await worker.dispatch()
        await worker.dispatch.finish(60)
        return worker.ended[before:]


def arrival_of(body: dict[str, Any]) -> Arrival:
    """An allocation webhook as the webhook service reads it."""
    latest = body.get("latest_service")
    channel = body.get("channel")
    return Arrival(
        room_id=parse_room_id(body["room_id"]),
        channel_id=ChannelId(channel["id"]) if channel else None,
        source=body.get("source"),
        base=Service(ServiceId(latest["id"]), latest["is_resolved"]) if latest else None,
    )


def resolution_of(body: dict[str, Any]) -> Resolution:
    """A resolve webhook as the webhook service reads it."""
    service = body["service"]
    return Resolution(
        room_id=parse_room_id(service["room_id"]), service_id=ServiceId(service["id"])
    )
