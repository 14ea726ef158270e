"""People at the command line: they look at the line, pause agents, change capacities."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from sebastian_core.domain.agent import AgentSetting
from sebastian_core.domain.errors import SebastianError
from sebastian_core.domain.ids import AgentId, RoomId
from tests.simulation.plan import CHAOS_SECONDS
from tests.simulation.process import OUTSIDE, Process
from tests.simulation.stores import Ports, Stores
from tests.simulation.world import World

Act = Callable[[], Awaitable[Any]]


class Office:
    """Runs one command now and then, each in a process of its own."""

    def __init__(self, stores: Stores, world: World) -> None:
        self._stores = stores
        self._world = world
        self._rng = random.Random(f"{stores.scenario.seed} office")

    def open(self) -> None:
        """Begin."""
        OUTSIDE.spawn(self._work())

    def calm_down(self) -> None:
        """Everybody works again, with the capacity of the file."""
        for agent_id in self._world.agents:
            OUTSIDE.spawn(
                self._stores.room_repo.set_agent(
                    AgentId(agent_id), lambda _: AgentSetting(), actor="test"
                )
            )

    async def _work(self) -> None:
        acts = self._stores.scenario.office_acts
        for number in range(acts):
            await asyncio.sleep(CHAOS_SECONDS / (acts + 1))
            if self._world.is_calm:
                return
            process = Process(f"cli.{number}", self._stores.trace)
            act = self._rng.choice(self._acts(self._stores.ports_of(process)))
            process.spawn(_quietly(act))

    def _acts(self, ports: Ports) -> list[Act]:
        rng, repo, roster = self._rng, ports.room_repo, ports.agent_store
        agent_id = AgentId(rng.choice(self._world.agents))
        capacity = rng.choice((None, 0, 1, 2, 3))
        setting = AgentSetting(paused=rng.random() < 0.3, capacity=capacity)
        return [
            lambda: repo.set_agent(agent_id, lambda _: setting, actor="cli:test"),
            lambda: repo.set_agent(agent_id, lambda _: setting, actor="cli:test"),
            lambda: repo.set_default_capacity(None, actor="cli:test"),
            lambda: repo.summary(5),
            lambda: repo.staffing(),
            lambda: repo.waiting(100),
            lambda: repo.history(RoomId("1000")),
            lambda: repo.decisions(20),
            lambda: repo.prune(timedelta(days=90)),
            lambda: roster.roster(),
            lambda: ports.client.register_webhooks("http://a/", "http://b/"),
            lambda: ports.client.account(),
        ]


async def _quietly(act: Act) -> None:
    try:
        await act()
    except SebastianError:
        return
