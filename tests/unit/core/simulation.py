"""A floor in virtual time: customers, agents and people, two workers, faults, and who keeps watch.

Everything that the design promises is checked where it happens (`WatchedRoomRepo`, `Client`), over
the history as a whole (`Simulation.check`), and once all faults have stopped (`Simulation.end`).
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, TypeVar

from attrs import define, evolve, field

from sebastian_adapters.memory.clock import InMemoryClock
from sebastian_adapters.memory.platform import Assigned, Event, Refusal, Truth
from sebastian_adapters.memory.record import Record
from sebastian_adapters.memory.room_repo import InMemoryRoomRepo
from sebastian_core.domain.agent_loads import CapacityRules
from sebastian_core.domain.chat import Chat, ChatState, Transition
from sebastian_core.domain.errors import (
    Fault,
    PlatformRefused,
    PlatformUnavailable,
    SebastianError,
    StoreUnavailable,
)
from sebastian_core.domain.history import HistoryRow
from sebastian_core.domain.ids import AgentId, RoomId
from sebastian_core.domain.matcher import AgentPool, Matcher
from sebastian_core.domain.platform import Answer, Presences, Reading
from sebastian_core.domain.rate_limit import Limits
from sebastian_core.domain.reservation import Reservation
from sebastian_core.domain.room import Change, Decided, Decision
from sebastian_core.domain.roster import Roster
from sebastian_core.domain.webhooks import Admission, Arrival, Resolution
from tests.unit.core.building import NOW, RULES
from tests.unit.core.staging import FaultyQiscusClient, Stage, Worker
from tests.unit.core.virtual_time import VirtualTimeLoop

T = TypeVar("T")

ROOMS = [RoomId(str(number)) for number in range(501, 507)]
AGENTS = [AgentId(number) for number in (1, 2, 3)]
CAPACITIES = CapacityRules(default=2)
LONG_SECONDS = 20.0
QUIET_AFTER = timedelta(minutes=45)


@define(eq=False)
class WatchedRecord(Record):
    """The record, which tells of each history row."""

    on_row: Callable[[HistoryRow], None] = field(default=lambda row: None, init=False)

    def write(self, change: Change, now: datetime) -> None:
        """Write it, and tell."""
        super().write(change, now)
        if not change.silent:
            self.on_row(self.history[-1])


class WatchedRoomRepo(InMemoryRoomRepo):
    """The in-memory room repo, checking P4 and P5 wherever a slot is given; may be away."""

    def __init__(self, record: Record) -> None:
        super().__init__(record)
        self.violations: list[str] = []
        self.is_away = False
        self._looked: tuple[AgentPool, list[Chat]] | None = None

    async def decide(
        self, room_id: RoomId, decision: Decision[T], *, alters_line: bool = False
    ) -> Decided[T]:
        """Decide, unless away."""
        self._check()
        return await super().decide(room_id, decision, alters_line=alters_line)

    async def due(self, limit: int) -> Sequence[Chat]:
        """Tell what is due, unless away."""
        self._check()
        return await super().due(limit)

    async def reserve(self, plan: Matcher, *, limit: int) -> tuple[Reservation, ...]:
        """Reserve, and look whether it was just."""
        self._check()
        reservations = await super().reserve(plan, limit=limit)
        assert self._looked is not None
        floor, ready = self._looked
        self._check_slots(floor)
        self._check_fifo(floor, ready, {each.chat.id: each.agent_id for each in reservations})
        return reservations

    def chats(self) -> list[Chat]:
        """All chats that ever were."""
        return list(self._record.chats.values())

    def _heads(self, floor: AgentPool, limit: int, now: datetime) -> list[Chat]:
        ready = [chat for chat in self._record.live.values() if chat.is_ready(now)]
        self._looked = (floor, sorted(ready, key=lambda chat: (chat.arrived_at, chat.id)))
        return super()._heads(floor, limit, now)

    def _check(self) -> None:
        if self.is_away:
            raise StoreUnavailable("PostgreSQL", "it is away")

    def _check_slots(self, floor: AgentPool) -> None:
        """P4, by counting anew what each agent holds after the pass."""
        held = Counter(chat.agent_id for chat in self._record.live.values() if chat.holds_slot)
        for agent_id, agent in floor.agents.items():
            if held[agent_id] > max(agent.load, agent.capacity):
                self.violations.append(f"P4: {agent_id} holds {held[agent_id]}: {agent}")

    def _check_fifo(self, floor: AgentPool, ready: list[Chat], given: dict[Any, AgentId]) -> None:
        for place, later in enumerate(ready):
            if later.id not in given:
                continue
            agent = floor.candidates[given[later.id]]
            self.violations += [
                f"P5: {later.room_id} before {earlier.room_id} at {agent.agent_id}"
                for earlier in ready[:place]
                if earlier.id not in given and agent.meets(earlier.needs)
            ]


@define
class Weather:
    """What befalls requests: some fail, all take their time, the whole account may be away."""

    rng: random.Random
    storms: dict[str, list[str]] = field(factory=dict)
    account: str = "well"
    slowest: float = 0.1

    async def before(self, operation: str) -> None:
        if self.account == "unreachable":
            raise PlatformUnavailable(Fault.CONNECT)
        await asyncio.sleep(self.rng.uniform(0.01, self.slowest))
        if self.account == "down":
            raise PlatformUnavailable(Fault.SERVER_ERROR, status=503)
        if self.account == "refusing us":
            raise PlatformRefused(401)
        await self._storm(operation, "before")

    async def after(self, operation: str) -> None:
        await asyncio.sleep(self.rng.uniform(0.01, self.slowest))
        await self._storm(operation, "after")

    async def _storm(self, operation: str, when: str) -> None:
        storms = self.storms.get(operation, [])
        if not storms or not storms[0].startswith(when):
            return
        what = storms.pop(0).removeprefix(f"{when} ")
        if what == "timeout":
            await asyncio.sleep(3.4 if when == "before" else 1.0)
            raise PlatformUnavailable(Fault.TIMEOUT)
        if what == "throttled":
            raise PlatformUnavailable(Fault.THROTTLED, status=429, retry_after_seconds=3)
        if what == "refused":
            raise PlatformRefused(400)
        if what == "connect":
            raise PlatformUnavailable(Fault.CONNECT)
        raise PlatformUnavailable(Fault.SERVER_ERROR, status=500)


STORMS = [
    "before timeout",
    "after timeout",
    "before error",
    "after error",
    "before refused",
    "before throttled",
    "before connect",
]


class Client(FaultyQiscusClient):
    """Checks P6 at every assign call: the agent was online in a reading made for this room.

    Some agents are barred from some rooms, which only a reading made for the room tells.
    """

    def __init__(self, *args: Any, **hooks: Any) -> None:
        super().__init__(*args, **hooks)
        self.violations: list[str] = []
        self.barred: set[tuple[RoomId, AgentId]] = set()
        self._seen: dict[tuple[RoomId, AgentId], datetime] = {}

    async def eligible_agents(self, room_id: RoomId, sought: AgentId) -> Reading[Presences]:
        """Read, and remember who was online."""
        reading = await super().eligible_agents(room_id, sought)
        eligible = [each for each in reading.seen if (room_id, each.agent_id) not in self.barred]
        self._seen |= {(room_id, each.agent_id): each.read_at for each in eligible if each.online}
        return Reading(reading.began_at, tuple(eligible))

    async def assign(self, room_id: RoomId, agent_id: AgentId) -> Answer:
        """Assign, if that may be done."""
        seen_at = self._seen.get((room_id, agent_id))
        if seen_at is None or self._clock.now() - seen_at > RULES.reservation:
            self.violations.append(f"P6: {room_id} was given to {agent_id}, not seen online")
        return await super().assign(room_id, agent_id)


class Process:
    """One worker process, as `sebastian-worker` runs it; may be killed between any two steps."""

    def __init__(
        self,
        stage: Stage,
        repo: WatchedRoomRepo,
        weather: Weather,
        name: str,
        *,
        reconciles: bool,
    ) -> None:
        self.name = name
        self.violations: list[str] = []
        self._stage, self._repo = stage, repo
        self.worker: Worker = stage.worker(
            limits=Limits(rate=500.0, burst=500, in_flight=2), capacities=CAPACITIES, client=Client
        )
        self.worker.client.before, self.worker.client.after = weather.before, weather.after
        self._has_duties = False
        loops = [
            self._dispatch(),
            self._each(2, self._take_duties),
            self._each(0.5, self._probe),
            self._duty(0.5, self.worker.settle_chat.due),
            self._duty(10, self.worker.refresh_agents),
            self._duty(10, repo.lift_exclusions),
        ]
        if reconciles:
            loops.append(self._duty(60, self.worker.reconcile))
        self._tasks = {asyncio.create_task(each) for each in loops}

    def tasks(self) -> set[asyncio.Task[None]]:
        return self._tasks | self.worker.dispatch._under_way

    def kill(self) -> None:
        """End everything at once; requests that were sent go on at the platform."""
        for task in self.tasks():
            task.cancel()

    async def _dispatch(self) -> None:
        while True:
            with suppress(StoreUnavailable):
                await self.worker.dispatch()
                self._check_work_conserving(self.worker.roster._copy)
            until_permit = self.worker.dispatch.seconds_until_permit()
            pause = 2.0 if until_permit is None else min(max(until_permit, 0.01), 2.0)
            await self._stage.job_queue.wait(pause)

    def _check_work_conserving(self, roster: Roster | None) -> None:
        """P7, by looking anew at the floor and the whole line."""
        if roster is None or self.worker.dispatch.seconds_until_permit() is not None:
            return
        now = self._stage.clock.now()
        plan = Matcher(roster, CAPACITIES, rules=RULES)
        floor = plan.look(self._repo._record.agent_loads(now))
        self.violations += [
            f"P7: {chat.room_id} waits beside {agent}"
            for chat in self._repo.chats()
            for agent in floor.candidates.values()
            if chat.is_ready(now) and agent.meets(chat.needs)
        ]

    async def _take_duties(self) -> None:
        self._has_duties = await self._stage.leadership.hold_duty(self.name, timedelta(seconds=6))

    async def _probe(self) -> None:
        began = await self.worker.breaker.probe_if_due()
        if began is not None:
            await self._repo.hasten(began)
            self._stage.job_queue.ring()

    async def _duty(self, pause: float, step: Callable[[], Awaitable[object]]) -> None:
        async def if_mine() -> None:
            if self._has_duties:
                await step()

        await self._each(pause, if_mine)

    async def _each(self, pause: float, step: Callable[[], Awaitable[object]]) -> None:
        while True:
            try:
                await step()
            except (PlatformUnavailable, PlatformRefused) as error:
                await self.worker.breaker.is_account_fault(error)
            except StoreUnavailable:
                pass
            await asyncio.sleep(pause)


class Simulation:
    """Drives the floor one rule at a time; everything else goes on while time passes."""

    def __init__(
        self, seed: int, *, named: bool = True, reconciles: bool = True, **switches: Any
    ) -> None:
        self.loop = VirtualTimeLoop()
        self.loop.set_exception_handler(self._on_crash)
        self.crashes: list[str] = []
        self.rng = random.Random(seed)
        self.weather = Weather(random.Random(seed))
        self._named, self._reconciles = named, reconciles
        self._barred: set[tuple[RoomId, AgentId]] = set()
        self._violations: list[str] = []
        self._poisoned: set[RoomId] = set()
        self._processes: list[Process] = []
        self._gone: list[Process] = []
        self._starts = 0
        self._errands: set[asyncio.Task[None]] = set()
        self.loop.run_until_complete(self._set_up(switches))

    async def _set_up(self, switches: dict[str, Any]) -> None:
        clock = InMemoryClock(NOW, seconds=self.loop.time)
        self.stage = Stage(clock=clock, record=WatchedRecord, room_repo=WatchedRoomRepo, **switches)
        assert isinstance(self.stage.room_repo, WatchedRoomRepo)
        assert isinstance(self.stage.record, WatchedRecord)
        self.repo = self.stage.room_repo
        self.stage.platform.log.observe(self._on_event)
        self.stage.record.on_row = self._on_row
        for agent_id in AGENTS:
            self.stage.agent(agent_id, online=agent_id != AGENTS[-1])
        self.start_worker()
        self.start_worker()

    def _on_crash(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if isinstance(context.get("exception"), SebastianError):
            return  # a request whose worker died before it failed
        self.crashes.append(f"{context['message']}: {context.get('exception')!r}")

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(coroutine)

    def pass_time(self, seconds: float) -> None:
        self.run(asyncio.sleep(seconds))

    def start_worker(self) -> None:
        self._starts += 1
        name = f"worker {self._starts}"
        process = Process(self.stage, self.repo, self.weather, name, reconciles=self._reconciles)
        self._processes.append(process)
        assert isinstance(process.worker.client, Client)
        process.worker.client.barred = self._barred
        for room_id in self._poisoned:
            _poison(process, room_id)

    async def kill_worker(self, number: int) -> None:
        """One worker dies; another is started in its place."""
        process = self._processes.pop(number % len(self._processes))
        process.kill()
        self._gone.append(process)
        self.start_worker()

    async def customer_writes(self, room_id: RoomId, delays: Sequence[float]) -> None:
        """A message; its webhook, if the platform sends one, comes as often as there are delays."""
        arrival = self.stage.message(room_id)
        for delay in delays if arrival is not None else ():
            self._errand(self._deliver_arrival(arrival, delay))

    async def end(self, room_id: RoomId, delays: Sequence[float]) -> None:
        """Somebody resolves the room, if it is open."""
        if self.stage.platform.open_service_id(room_id) is None:
            return
        resolution = self.stage.end(room_id)
        if not self._named:
            resolution = evolve(resolution, service_id=None)
        for delay in delays:
            self._errand(self._deliver_resolve(resolution, delay))

    async def give_by_hand(self, room_id: RoomId, agent_id: AgentId) -> Assigned | Refusal | None:
        if self.stage.platform.agents_in(room_id):
            return None
        return self.stage.platform.assign_by_hand(room_id, agent_id)

    async def move_by_hand(self, room_id: RoomId, agent_id: AgentId) -> None:
        for present in self.stage.platform.agents_in(room_id)[:1]:
            self.stage.platform.move(room_id, present, agent_id)

    async def send_away(self, room_id: RoomId) -> None:
        """A person takes the agent out of the room: it waits again."""
        for present in self.stage.platform.agents_in(room_id):
            self.stage.platform.remove_agent(room_id, present, by="person")

    async def set_online(self, agent_id: AgentId, *, online: bool) -> None:
        self.stage.platform.set_online(agent_id, online=online)

    async def set_capacity(self, agent_id: AgentId, capacity: int | None) -> None:
        await self.stage.agent_settings.set_agent(
            agent_id, lambda setting: evolve(setting, capacity=capacity), actor="a person"
        )
        self.stage.job_queue.ring()

    async def bar(self, room_id: RoomId, agent_id: AgentId) -> None:
        """The platform holds the agent not eligible for the room, and tells so only when asked."""
        self._barred.add((room_id, agent_id))

    async def poison(self, room_id: RoomId) -> None:
        self._poisoned.add(room_id)
        for process in self._processes:
            _poison(process, room_id)

    async def cure(self) -> None:
        self._poisoned.clear()
        self._barred.clear()
        for process in self._processes:
            process.worker.client.poisoned.clear()

    def check(self) -> None:
        """Everything that must hold at any time."""
        processes = self._processes + self._gone
        found = [*self.crashes, *self.repo.violations, *self._violations]
        for process in processes:
            assert isinstance(process.worker.client, Client)
            found += process.violations + process.worker.client.violations
        found += _unexplained_changes(self.repo)
        found += _served_twice(self.stage)
        assert not found, found

    def calm_down(self) -> None:
        """All faults stop; poisoned rooms stay poisoned."""
        self.weather.storms.clear()
        self.weather.account, self.weather.slowest = "well", 0.1
        self.repo.is_away = False

    def settle_down(self) -> list[str]:
        """Let time pass until our record tells the truth; what is still wrong in the end."""
        self.calm_down()
        until = self.stage.clock.now() + QUIET_AFTER
        self.pass_time(15)
        while self.untruths() and self.stage.clock.now() < until:
            self.pass_time(15)
        return self.untruths()

    def untruths(self) -> list[str]:
        """P2: where our record and the platform differ, and who waits beside a free agent."""
        return [
            complaint
            for room_id in ROOMS
            if (complaint := self._untruth(room_id, self.run(self.stage.find_chat(room_id))))
        ]

    def close(self) -> None:
        for process in self._processes:
            process.kill()
        for task in self._errands:
            task.cancel()
        everything = asyncio.all_tasks(self.loop)
        self.run(_ended(everything))
        self.loop.close()

    def _untruth(self, room_id: RoomId, chat: Chat | None) -> str | None:
        platform = self.stage.platform
        if platform.open_service_id(room_id) is None:
            return None if chat is None else f"{room_id} is over, we hold {_short(chat)}"
        if chat is None:
            return f"{room_id} is open, we hold nothing"
        served_by = platform.agents_in(room_id)
        if served_by:
            holds = chat.state is ChatState.ASSIGNED and chat.agent_id in served_by
            return None if holds else f"{room_id} is served by {served_by}, we hold {_short(chat)}"
        if chat.state is not ChatState.WAITING:
            return f"{room_id} waits, we hold {_short(chat)}"
        free = [
            agent_id
            for agent_id in AGENTS
            if self._is_free(agent_id) and (room_id, agent_id) not in self._barred
        ]
        if not free or (room_id in self._poisoned and chat.refusals):
            return None
        return f"{room_id} waits beside {free}: {_short(chat)}"

    def _is_free(self, agent_id: AgentId) -> bool:
        agent_loads = self.repo._record.agent_loads(self.stage.clock.now())
        setting = agent_loads.settings.get(agent_id)
        capacity = CAPACITIES.default
        if setting is not None and setting.capacity is not None:
            capacity = setting.capacity
        is_online = self.stage.platform.is_online(agent_id)
        return is_online and agent_loads.loads.get(agent_id, 0) < capacity

    def _errand(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = self.loop.create_task(coroutine)
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)

    async def _deliver_arrival(self, arrival: Arrival | None, delay: float) -> None:
        assert arrival is not None
        await asyncio.sleep(delay)
        with suppress(StoreUnavailable):
            decided = await self.stage.admit_chat(arrival)
            self._check_admitted(arrival.room_id, decided.answer)

    def _check_admitted(self, room_id: RoomId, admission: Admission) -> None:
        """P1: what was answered 2xx is in our record."""
        room = self.repo._record.rooms.get(room_id)
        if admission is not Admission.LATE_REPEAT and (room is None or room.chat is None):
            self._violations.append(f"P1: {room_id} was {admission}, and is not there")

    def _on_event(self, event: Event) -> None:
        """No slot is given back while a call for it may still be applied."""
        if event.kind != "assigned" or event.by != "api" or event.room_id is None:
            return
        room = self.repo._record.rooms.get(RoomId(event.room_id))
        chat = room.chat if room else None
        if chat is None or chat.agent_id == event.agent_id:
            return
        tries = [row for row in self.repo._record.history if row.chat_id == chat.id]
        ours = [row for row in tries if row.move is Transition.RESERVE]
        if any(row.agent_id == event.agent_id for row in ours):
            self._violations.append(f"{event} after its slot was given back: {_short(chat)}")

    def _on_row(self, row: HistoryRow) -> None:
        """No chat is settled against what the platform has been showing for long."""
        if row.after is not ChatState.CLOSED or not row.reason.startswith("settled"):
            return
        since = self._waiting_since(row.room_id)
        if since is not None and self.loop.time() - since > LONG_SECONDS:
            self._violations.append(f"{row} although the room waits since {since}")

    def _waiting_since(self, room_id: RoomId) -> float | None:
        if self.stage.platform.open_service_id(room_id) is None:
            return None
        if self.stage.platform.agents_in(room_id):
            return None
        kinds = ("opened", "removed")
        moments = [
            each.at
            for each in self.stage.platform.log
            if each.room_id == room_id and each.kind in kinds
        ]
        return moments[-1]

    async def _deliver_resolve(self, resolution: Resolution, delay: float) -> None:
        await asyncio.sleep(delay)
        with suppress(StoreUnavailable):
            await self.stage.resolve_chat(resolution)


def _poison(process: Process, room_id: RoomId) -> None:
    process.worker.client.poisoned[room_id] = lambda: PlatformRefused(400)


async def _ended(tasks: set[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _short(chat: Chat) -> str:
    return (
        f"chat {chat.id} {chat.state} agent={chat.agent_id} doubt={chat.doubt} "
        f"settle_at={chat.settle_at} ready_at={chat.ready_at} needs={chat.needs.key!r}"
    )


def _unexplained_changes(repo: WatchedRoomRepo) -> list[str]:
    """P9: the history of each chat leads, move by move, to what the chat is."""
    found = []
    told: dict[Any, tuple[int, ChatState | None]] = {}
    for row in repo._record.history:
        version, state = told.get(row.chat_id, (0, None))
        if (row.version, row.before) != (version + 1, state):
            found.append(f"P9: {row} does not follow {version, state}")
        told[row.chat_id] = (row.version, row.after)
    for chat in repo.chats():
        if told.get(chat.id) != (chat.version, chat.state):
            found.append(f"P9: {_short(chat)} is told as {told.get(chat.id)}")
        if chat.state is ChatState.CLOSED and chat.close_reason is None:
            found.append(f"P2: {_short(chat)} is closed for no reason")
    return found


def _served_twice(stage: Stage) -> list[str]:
    """P3: by our doing no service has two agents, nor is it given twice."""
    found = []
    for service in Truth.of(stage.platform.log).services.values():
        ours = [each for each in service.servings if each.by == "api"]
        for each, following in pairwise(ours):
            if each.until_at is None or each.until_at > following.from_at:
                found.append(f"P3: {service.room_id} is served by {each} and {following}")
        found += [
            f"P3: {service.room_id} was given to {mine} beside {other}"
            for mine in ours
            for other in service.servings
            if other is not mine
            and other.from_at < mine.from_at
            and (other.until_at is None or other.until_at > mine.from_at)
        ]
    return found
