"""Hours in which the platform is away, throttles or fails for one room, in virtual time.

The real loop runs on the adapters in memory; the customers' agents resolve what they are
given after a while.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from attrs import define, field

from sebastian_adapters.memory.clock import InMemoryClock
from sebastian_core.allocator import Allocator
from sebastian_core.domain.chat import Chat, Transition
from sebastian_core.domain.ids import AgentId, RoomId
from sebastian_core.domain.rate_limit import Limits
from sebastian_core.domain.rules import Rules
from sebastian_core.usecases.run import Polling
from tests.unit.core.building import NOW
from tests.unit.core.staging import (
    Failure,
    FaultyQiscusClient,
    Stage,
    refusal,
    server_error,
    throttled,
)
from tests.unit.core.virtual_time import run

MINUTE, HOUR = 60.0, 3600.0
OPERATIONS = ("account", "agents", "assign", "eligible_agents", "room", "rooms_of", "waiting_rooms")
SERVICE_SECONDS = 20.0
UNHURRIED = Polling(hot_poll_interval=timedelta(seconds=0.5), hot_poll_limit=timedelta(seconds=0.5))
"""Between passes while there is something to give: the real pauses take too long."""


@define(eq=False)
class Desk:
    """A platform, one worker, and agents who resolve each chat after a while."""

    stage: Stage
    agents: tuple[AgentId, ...]
    allocator: Allocator = field(init=False)
    _running: list[asyncio.Task[Any]] = field(factory=list, init=False)

    @classmethod
    async def opened(cls, agents: int) -> Desk:
        """So many agents with three places each."""
        loop = asyncio.get_running_loop()
        stage = Stage(clock=InMemoryClock(NOW, seconds=loop.time), rules=Rules())
        desk = cls(stage, tuple(AgentId(number + 1) for number in range(agents)))
        for agent_id in desk.agents:
            stage.agent(agent_id)
        desk.allocator = stage.allocator(limits=Limits(), polling=UNHURRIED)
        desk._running = [
            asyncio.create_task(desk.allocator.run()),
            asyncio.create_task(desk._serve()),
        ]
        return desk

    async def close(self) -> None:
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    @property
    def client(self) -> FaultyQiscusClient:
        client = self.allocator.qiscus_client
        assert isinstance(client, FaultyQiscusClient)
        return client

    @contextmanager
    def failing(self, failure: Callable[[], Failure]) -> Iterator[None]:
        """Every call fails, as long as the block lasts."""
        self.stage.faults.always = dict.fromkeys(OPERATIONS, failure)
        try:
            yield
        finally:
            self.stage.faults.always = {}

    def given(self) -> list[RoomId]:
        """The rooms in the order in which they were given to agents and confirmed."""
        history = self.stage.record.history
        confirmed = {row.reservation_id for row in history if row.move is Transition.CONFIRM}
        return [
            row.room_id
            for row in history
            if row.move is Transition.RESERVE and row.reservation_id in confirmed
        ]

    async def all_chats(self) -> list[Chat]:
        """Those that wait and those that are just being offered to somebody."""
        repo, journal = self.stage.room_repo, self.stage.journal
        return [*await repo.waiting(2000), *await journal.held(2000)]

    async def all_given(self, number: int, seconds: float) -> None:
        async with asyncio.timeout(seconds):
            while len(self.given()) < number:
                await asyncio.sleep(1)

    async def _serve(self) -> None:
        begun: dict[str, float] = {}
        while True:
            await asyncio.sleep(1)
            now = asyncio.get_running_loop().time()
            for room in [room for each in self.agents for room in self._rooms_of(each)]:
                if now - begun.setdefault(room, now) >= SERVICE_SECONDS:
                    del begun[room]
                    await self.stage.resolve(RoomId(room))

    def _rooms_of(self, agent_id: AgentId) -> list[str]:
        return self.stage.platform.rooms_of(agent_id)


def at_a_desk(agents: int, story: Callable[[Desk], Coroutine[Any, Any, None]]) -> None:
    async def opened() -> None:
        desk = await Desk.opened(agents)
        try:
            await story(desk)
        finally:
            await desk.close()

    run(opened())


def rooms(first: int, last: int) -> list[RoomId]:
    return [RoomId(str(number)) for number in range(first, last + 1)]


def test_an_hours_outage_loses_none_of_a_thousand_customers_and_keeps_their_order() -> None:
    async def story(desk: Desk) -> None:
        await asyncio.sleep(MINUTE)
        with desk.failing(server_error):
            for room in rooms(1, 1000):
                await desk.stage.arrive(room)
                await asyncio.sleep(HOUR / 1000)
            assert not desk.given()
            assert len(await desk.all_chats()) == 1000
        await desk.all_given(1000, seconds=HOUR)

        assert desk.given() == rooms(1, 1000)

    at_a_desk(20, story)


def test_an_account_that_is_throttled_for_minutes_loses_nobody_and_is_not_pestered() -> None:
    async def story(desk: Desk) -> None:
        await asyncio.sleep(MINUTE)
        with desk.failing(lambda: throttled(30)):
            desk.stage.faults.calls.clear()
            for room in rooms(1, 50):
                await desk.stage.arrive(room)
            await asyncio.sleep(5 * MINUTE)
            calls = len(desk.stage.faults.calls)
            refused = [chat.refusals for chat in await desk.all_chats()]
        await desk.all_given(50, seconds=10 * MINUTE)

        assert refused == [0] * 50
        assert calls < 300, "one burst at most each half minute"
        assert desk.given() == rooms(1, 50)

    at_a_desk(20, story)


def test_a_room_that_always_fails_and_one_always_refused_hold_up_nobody_in_a_quiet_hour() -> None:
    async def story(desk: Desk) -> None:
        await asyncio.sleep(MINUTE)
        failing, refused = rooms(1, 2)
        desk.client.poisoned = {failing: server_error, refused: refusal}
        for room in (failing, refused):
            await desk.stage.arrive(room)
        for room in rooms(3, 62):
            await asyncio.sleep(MINUTE)
            await desk.stage.arrive(room)
            await desk.all_given(int(room) - 2, seconds=3)

        assert desk.given() == rooms(3, 62)
        left = {chat.room_id: chat for chat in await desk.all_chats()}
        assert {failing, refused} <= left.keys()
        assert all(left[room].refusals >= Rules().alert_refusals for room in (failing, refused))
        desk.client.poisoned = {}
        await desk.all_given(62, seconds=10 * MINUTE)

    at_a_desk(2, story)
