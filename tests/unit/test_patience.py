from __future__ import annotations

import asyncio

import pytest

from sebastian_apps.http.patience import Patience


async def stay(patience: Patience, until: asyncio.Event) -> str:
    with patience.limit():
        await until.wait()
    return "left"


async def test_a_block_that_ends_in_time_is_left_alone() -> None:
    gate, never = asyncio.Event(), asyncio.Event()
    gate.set()

    left = await stay(Patience(0.01), gate)

    assert left == "left"
    with pytest.raises(TimeoutError):
        await stay(Patience(0.03), never)


async def test_each_task_is_interrupted_when_its_own_time_is_over() -> None:
    patience, never, gate = Patience(0.02), asyncio.Event(), asyncio.Event()
    slow = [asyncio.create_task(stay(patience, never)) for _ in range(3)]
    quick = asyncio.create_task(stay(patience, gate))
    await asyncio.sleep(0)
    gate.set()

    ended = await asyncio.gather(*slow, quick, return_exceptions=True)
    later = await asyncio.gather(stay(patience, never), return_exceptions=True)

    assert [type(each) for each in ended] == [TimeoutError] * 3 + [str]
    assert [type(each) for each in later] == [TimeoutError]


async def test_a_task_goes_on_after_a_block_that_took_too_long() -> None:
    patience = Patience(0.01)

    with pytest.raises(TimeoutError):
        await stay(patience, asyncio.Event())
    await asyncio.sleep(0)

    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_who_is_cancelled_from_outside_is_not_overdue() -> None:
    task = asyncio.create_task(stay(Patience(60), asyncio.Event()))
    await asyncio.sleep(0)

    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


async def test_an_error_within_the_block_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError), Patience(60).limit():
        raise ZeroDivisionError


async def test_blocks_within_blocks_have_their_own_limits() -> None:
    outer, inner = Patience(60), Patience(0.01)

    with outer.limit(), pytest.raises(TimeoutError):
        await stay(inner, asyncio.Event())


def test_only_a_task_can_be_limited() -> None:
    with pytest.raises(RuntimeError):
        Patience(1).limit()
