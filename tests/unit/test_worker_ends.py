"""A loop that something ends must not look like one that was told to stop."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from attrs import frozen

from sebastian_adapters.memory.clock import InMemoryClock
from sebastian_core.allocator import Allocator
from sebastian_core.domain.ids import AgentId, RoomId
from sebastian_core.domain.policy import Candidate, Placement, ReadyChat
from sebastian_core.domain.rules import Rules
from sebastian_core.usecases.run import Interrupted
from tests.unit.core.building import NOW
from tests.unit.core.staging import Stage
from tests.unit.core.virtual_time import run


class Panic(BaseException):
    """Native code gave up."""


@frozen
class Raises:
    """A policy that nobody guards."""

    error: BaseException

    def place(
        self, chats: Sequence[ReadyChat], candidates: Sequence[Candidate]
    ) -> Sequence[Placement]:
        raise self.error


async def an_allocator(stage: Stage, error: BaseException) -> Allocator:
    """One with a chat to give, whose dispatch such an error ends."""
    stage.agent(AgentId(1))
    await stage.arrive(RoomId("1"))
    return stage.allocator(policy=Raises(error))


def a_stage() -> Stage:
    return Stage(clock=InMemoryClock(NOW, seconds=asyncio.get_running_loop().time), rules=Rules())


@pytest.mark.parametrize(
    ("error", "told"), [(Panic(), Panic), (asyncio.CancelledError(), Interrupted)]
)
def test_one_whose_loop_was_ended_from_within_says_so(
    error: BaseException, told: type[BaseException]
) -> None:
    async def story() -> None:
        allocator = await an_allocator(a_stage(), error)
        with pytest.raises(told):
            await asyncio.wait_for(allocator.run(), 120)

    run(story())


@pytest.mark.parametrize(
    ("error", "told"), [(Panic(), Panic), (asyncio.CancelledError(), Interrupted)]
)
def test_one_that_something_ends_while_it_starts_says_so(
    error: BaseException, told: type[BaseException]
) -> None:
    async def story() -> None:
        stage = a_stage()
        allocator = stage.allocator()

        async def hold_duty(*_: object) -> bool:
            raise error

        stage.leadership.hold_duty = hold_duty  # type: ignore[assignment]
        with pytest.raises(told):
            await asyncio.wait_for(allocator.run(), 120)

    run(story())


def test_one_that_is_told_to_stop_ends_without_an_error() -> None:
    async def story() -> None:
        allocator = a_stage().allocator()
        running = asyncio.create_task(allocator.run())
        await asyncio.sleep(5)
        allocator.stop()
        await asyncio.wait_for(running, 60)

    run(story())
