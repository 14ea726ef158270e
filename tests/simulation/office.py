"""People at the command line: they look at the line, pause agents, change capacities."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from attrs import frozen

from sebastian_core.domain.agent_loads import AgentSetting, CapacityRules
from sebastian_core.domain.chat import Chat, ChatState
from sebastian_core.domain.errors import SebastianError
from sebastian_core.domain.ids import AgentId, RoomId
from sebastian_core.domain.manual import AssignRequest
from sebastian_core.domain.room import Decided
from sebastian_core.domain.rules import Rules
from sebastian_core.usecases.assign import AssignChat
from sebastian_core.usecases.circuit_breaker import CircuitBreaker
from sebastian_core.usecases.manual import (
    AssignByHand,
    DropChat,
    PauseAgent,
    ReleaseChat,
    SetCapacity,
)
from sebastian_core.usecases.roster_cache import RosterCache
from tests.simulation.plan import CHAOS_SECONDS, STOPPED_SECONDS, Fault
from tests.simulation.process import OUTSIDE, Process
from tests.simulation.stores import Ports, Stores
from tests.simulation.world import World

Act = Callable[[], Awaitable[Any]]
ACTOR = "cli:test"
HUNG_SECONDS = 10.0
"""After so long whatever hung has been applied, or never will be."""


class Office:
    """Runs one command now and then, each in a process of its own."""

    def __init__(self, stores: Stores, world: World) -> None:
        self._stores = stores
        self._world = world
        self._rng = random.Random(f"{stores.scenario.seed} office")

    def open(self) -> None:
        """Begin; where a fault is planned for a command's call, the command is given then."""
        OUTSIDE.start(self._work())
        loop = asyncio.get_running_loop()
        for fault in self._stores.scenario.faults:
            loop.call_at(fault.at + 0.001, self._provoke, fault)

    def calm_down(self) -> None:
        """Everybody works again, with the capacity of the file; what was dropped is over.

        So is what a command drops whose call hung, or whose process was stopped, until now.
        """
        self._end_dropped()
        for seconds in (HUNG_SECONDS, 2 * STOPPED_SECONDS):
            asyncio.get_running_loop().call_later(seconds, self._end_dropped)
        for agent_id in self._world.agents:
            OUTSIDE.start(
                self._stores.agent_settings.set_agent(
                    AgentId(agent_id), lambda _: AgentSetting(), actor="test"
                )
            )

    def _end_dropped(self) -> None:
        for room in list(self._stores.record.rooms.values()):
            if room.dropped and room.chat is None:
                self._world.resolve_dropped(room.room_id)

    def _provoke(self, fault: Fault) -> None:
        process = Process(f"cli.f{fault.number}", self._stores.trace)
        act = Desk.of(self._stores, process).looks().get((fault.port or "", fault.method or ""))
        if act is not None:
            process.start(_quietly(act))

    async def _work(self) -> None:
        acts = self._stores.scenario.office_acts
        for number in range(acts):
            await asyncio.sleep(CHAOS_SECONDS / (acts + 1))
            if self._world.is_calm:
                return
            process = Process(f"cli.{number}", self._stores.trace)
            process.start(_quietly(self._draw(Desk.of(self._stores, process))))

    def _draw(self, desk: Desk) -> Act:
        looks, deeds = list(desk.looks().values()), self._deeds(desk)
        return self._rng.choice(looks if self._rng.random() < 0.4 else deeds)

    def _deeds(self, desk: Desk) -> list[Act]:
        rng = self._rng
        agent_id = AgentId(rng.choice(self._world.agents))
        capacity, paused = rng.choice((None, 0, 1, 2, 3)), rng.random() < 0.5
        return [
            lambda: desk.pause_agent(agent_id, paused=paused, actor=ACTOR),
            lambda: desk.set_capacity.of_agent(agent_id, capacity, actor=ACTOR),
            lambda: desk.set_capacity.of_all_others(None, actor=ACTOR),
            lambda: self._drop(desk),
            lambda: self._with_waiting(desk, lambda room: desk.release_chat(room, actor=ACTOR)),
            lambda: self._with_waiting(
                desk,
                lambda room: desk.assign_by_hand(
                    room, AssignRequest(agent_id=agent_id, actor=ACTOR)
                ),
            ),
        ]

    async def _drop(self, desk: Desk) -> None:
        async def drop(room_id: RoomId) -> None:
            handled = await desk.drop_chat(room_id, actor=ACTOR)
            if handled.is_done:
                self._world.resolve_dropped(room_id)

        await self._with_waiting(desk, drop)

    async def _with_waiting(self, desk: Desk, act: Callable[[RoomId], Awaitable[Any]]) -> None:
        line = await desk.ports.room_repo.waiting(100)
        if line:
            await act(self._rng.choice(line).room_id)


@frozen(kw_only=True)
class Desk:
    """The commands of one process at the command line."""

    ports: Ports
    drop_chat: DropChat
    release_chat: ReleaseChat
    assign_by_hand: AssignByHand
    pause_agent: PauseAgent
    set_capacity: SetCapacity

    @classmethod
    def of(cls, stores: Stores, process: Process) -> Desk:
        """Build the real use cases on this process's ports."""
        ports, rules = stores.ports_of(process), Rules()
        repo, settings, bell = ports.room_repo, ports.agent_settings, ports.job_queue
        roster = RosterCache(ports.agent_store)
        breaker = CircuitBreaker(ports.client, ports.clock)
        assign_chat = AssignChat(
            repo, roster, ports.client, breaker, ports.clock, rules, verify=False
        )
        capacities = CapacityRules(default=stores.scenario.capacity)
        return cls(
            ports=ports,
            drop_chat=DropChat(repo),
            release_chat=ReleaseChat(repo, bell, rules),
            assign_by_hand=AssignByHand(repo, roster, assign_chat, ports.clock, capacities, rules),
            pause_agent=PauseAgent(settings, bell),
            set_capacity=SetCapacity(settings, bell),
        )

    def looks(self) -> dict[tuple[str, str], Act]:
        """The commands that decide nothing, by the port and method that they call."""
        ports = self.ports
        repo, journal, settings = ports.room_repo, ports.journal, ports.agent_settings
        since = self.ports.clock.now() - timedelta(minutes=5)
        return {
            ("journal", "summary"): lambda: journal.summary(5),
            ("agent_settings", "agent_loads"): settings.agent_loads,
            ("journal", "ahead_of"): self._ahead,
            ("journal", "history"): lambda: journal.history(RoomId("1000")),
            ("journal", "decisions"): lambda: journal.decisions(20),
            ("agent_settings", "setting_changes"): lambda: settings.setting_changes(20),
            ("journal", "held"): lambda: journal.held(20),
            ("journal", "flow"): lambda: journal.flow(since),
            ("leadership", "reports"): ports.leadership.reports,
            ("room_repo", "hasten"): lambda: repo.hasten(since),
            ("agent_settings", "set_default_capacity"): lambda: settings.set_default_capacity(
                None, actor=ACTOR
            ),
            ("room_repo", "decide_on_floor"): self._nothing_on_floor,
            ("agent_store", "roster"): ports.agent_store.roster,
            ("qiscus_client", "account"): ports.client.account,
            ("qiscus_client", "register_webhooks"): lambda: ports.client.register_webhooks(
                "a", "b"
            ),
        }

    async def _nothing_on_floor(self) -> None:
        await self.ports.room_repo.decide_on_floor(
            RoomId("1000"), lambda room, agent_loads, reservation_id: Decided(None)
        )

    async def _ahead(self) -> None:
        somebody = Chat(
            room_id=RoomId("1000"),
            state=ChatState.WAITING,
            arrived_at=self.ports.clock.now(),
            changed_at=self.ports.clock.now(),
            ready_at=self.ports.clock.now(),
        )
        await self.ports.journal.ahead_of(somebody)


async def _quietly(act: Act) -> None:
    try:
        await act()
    except SebastianError:
        return
