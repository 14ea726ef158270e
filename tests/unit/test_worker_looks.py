"""When a worker looks at the line, and with which roster."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from sebastian_adapters.memory.clock import InMemoryClock
from sebastian_adapters.memory.room_repo import InMemoryRoomRepo
from sebastian_core.domain.agent_loads import CapacityRules
from sebastian_core.domain.chat import ChatState
from sebastian_core.domain.ids import AgentId, RoomId
from sebastian_core.domain.matcher import Matcher
from sebastian_core.domain.reservation import Reservation
from sebastian_core.domain.rules import Rules
from sebastian_core.usecases.run import Polling
from tests.unit.core.building import NOW
from tests.unit.core.staging import Stage
from tests.unit.core.virtual_time import run

ONE_EACH = CapacityRules(default=1)
NO_TICK = Polling(poll_interval=timedelta(hours=1))
NO_REFRESH = {"refresh": timedelta(hours=3)}
"""Neither a tick nor a refresh of the worker's own comes to help."""


class UnhurriedRoomRepo(InMemoryRoomRepo):
    """One whose looks at the line take a while, as they do."""

    async def reserve(self, plan: Matcher, *, limit: int) -> tuple[Reservation, ...]:
        reserved = await super().reserve(plan, limit=limit)
        await asyncio.sleep(0.013)
        return reserved


@pytest.mark.parametrize("milliseconds", [5, 500, *range(970, 1020, 5), 1500])
def test_an_agent_who_came_online_gets_a_chat_soon_whenever_the_bell_rings(
    milliseconds: int,
) -> None:
    async def story() -> None:
        stage = Stage(
            clock=InMemoryClock(NOW, seconds=asyncio.get_running_loop().time),
            rules=Rules(),
            room_repo=UnhurriedRoomRepo,
        )
        stage.agent(AgentId(1))
        await stage.arrive(RoomId("first"))
        await stage.arrive(RoomId("second"))
        allocator = stage.allocator(capacities=ONE_EACH, polling=NO_TICK, every=NO_REFRESH)
        running = asyncio.create_task(allocator.run())
        await until_given(stage, RoomId("first"))

        await asyncio.sleep(milliseconds / 1000)
        stage.agent(AgentId(2))
        await stage.worker().refresh_agents()
        async with asyncio.timeout(0.2):
            await until_given(stage, RoomId("second"))

        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    run(story())


async def until_given(stage: Stage, room_id: RoomId) -> None:
    while (await stage.chat(room_id)).state is not ChatState.ASSIGNED:
        await asyncio.sleep(0.001)
