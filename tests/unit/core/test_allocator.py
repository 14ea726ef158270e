"""The front door: one object for admitting, giving, explaining, and the loop."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from datetime import timedelta

import pytest

from sebastian_adapters.memory import in_memory
from sebastian_adapters.memory.clock import InMemoryClock
from sebastian_adapters.testing.failing import failing
from sebastian_core import Allocator, Arrival, Candidate, Duty, Placement, Policy, ReadyChat
from sebastian_core.domain.ids import RoomId
from tests.unit.core.virtual_time import run


class Raising(Policy):
    """Fails, with a customer's words in what it says."""

    def place(
        self, chats: Sequence[ReadyChat], candidates: Sequence[Candidate]
    ) -> Sequence[Placement]:
        raise RuntimeError("what the customer wrote")


async def held(allocator: Allocator) -> list[str]:
    """The rooms that agents hold."""
    return [chat.room_id for chat in await allocator.journal.held(10)]


async def test_what_the_design_shows_works() -> None:
    allocator = Allocator(**in_memory(agents={"Anne": 1}))

    await allocator.admit(Arrival("101"))
    await allocator.admit(Arrival("102"))
    await allocator.dispatch()
    await allocator.dispatch.finish(5)

    assert await held(allocator) == ["101"]
    assert (await allocator.explain(RoomId("102"))).waiting is not None
    assert (await allocator.manual.drop(RoomId("102"), actor="me")).is_done


async def test_a_step_does_every_duty_once_and_gives_what_can_be_given() -> None:
    allocator = Allocator(**in_memory(agents={"Anne": 2}))
    await allocator.admit(Arrival("101"))

    assert await allocator.step() == 1

    assert allocator.leads
    assert list(allocator.results) == [duty.name for duty in allocator.duties]
    assert all(result.succeeded_at for result in allocator.results.values())


def test_the_loop_runs_for_as_long_as_the_block_lasts() -> None:
    async def story() -> None:
        clock = InMemoryClock(seconds=asyncio.get_running_loop().time)
        allocator = Allocator(**in_memory(agents={"Anne": 2}, clock=clock))
        async with allocator:
            await allocator.admit(Arrival("101"))
            await asyncio.sleep(3)
            assert await held(allocator) == ["101"]

        await allocator.admit(Arrival("102"))
        await asyncio.sleep(60)
        assert await held(allocator) == ["101"]

    run(story())


def test_a_duty_of_ones_own_is_done_by_the_one_that_leads_and_its_failure_is_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def story() -> None:
        clock = InMemoryClock(seconds=asyncio.get_running_loop().time)
        arguments = in_memory(clock=clock)
        one, other = (Allocator(**arguments, name=name) for name in ("one", "other"))
        done: list[str] = []

        for each in (one, other):

            async def sweep(name: str = each.name) -> None:
                done.append(name)
                raise OSError("no broom")

            each.add(Duty("sweep", timedelta(seconds=10), sweep))
        async with one, other:
            await asyncio.sleep(35)

        assert len(done) == 3
        assert len(set(done)) == 1
        leader = one if done[0] == "one" else other
        assert leader.results["sweep"].failed_at is not None

    run(story())
    assert "the duty sweep failed and is tried again" in caplog.text


async def test_a_policy_that_raises_is_told_by_default_without_its_words(
    caplog: pytest.LogCaptureFixture,
) -> None:
    allocator = Allocator(**in_memory(agents={"Anne": 1}), policy=Raising())
    await allocator.admit(Arrival("101"))

    await allocator.step()

    assert await held(allocator) == ["101"]
    (told,) = [each for each in caplog.records if each.levelno >= logging.ERROR]
    assert "the policy's plan cannot be used; LeastLoaded serves: RuntimeError in" in told.message
    assert "what the customer wrote" not in caplog.text


async def test_a_roster_that_was_never_read_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    arguments = in_memory(agents={"Anne": 1})
    arguments["agent_store"].lose()
    allocator = Allocator(**arguments)

    for _ in range(3):
        await allocator.dispatch()

    told = [each.message for each in caplog.records]
    assert told == ["nothing can be given: the list of agents has not been read yet"]


async def test_a_duty_that_fails_keeps_what_its_last_good_run_found() -> None:
    arguments = in_memory(agents={"Anne": 1})
    allocator = Allocator(**arguments)
    await allocator.step()
    good = allocator.results["prune"]

    with failing(arguments["journal"], "prune"):
        await allocator.step()

    failed = allocator.results["prune"]
    assert (failed.succeeded_at, failed.found) == (good.succeeded_at, good.found)
    assert failed.error == "InMemoryJournal is unavailable: it was told to fail"


@pytest.mark.parametrize("turns", range(12))
async def test_the_loop_ends_also_if_it_is_cancelled_while_somebody_rings(turns: int) -> None:
    arguments = in_memory(agents={"Anne": 2})
    running = asyncio.create_task(Allocator(**arguments).run())
    await asyncio.sleep(0.05)

    arguments["job_queue"].ring()
    for _ in range(turns):
        await asyncio.sleep(0)
    running.cancel()

    ended, _ = await asyncio.wait({running}, timeout=5)
    assert ended == {running}
