"""One connection per request, handed out in constant time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from sebastian_adapters.qiscus.lanes import LaneTransport
from tests.waiting import until

KEEP_ALIVE_SECONDS = 60.0


class Stream(httpx.AsyncByteStream):
    """A body of one part."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b"body"


class Lane(httpx.AsyncBaseTransport):
    """Answers when it is let go; fails when it is told to."""

    def __init__(self) -> None:
        self.asked = 0
        self.goes = asyncio.Event()
        self.goes.set()
        self.error: Exception | None = None
        self.closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.asked += 1
        await self.goes.wait()
        if self.error:
            raise self.error
        return httpx.Response(200, stream=Stream())

    async def aclose(self) -> None:
        self.closed = True


class Street:
    """A transport whose lanes are all known."""

    def __init__(self, count: int, keep_alive_seconds: float = KEEP_ALIVE_SECONDS) -> None:
        self.lanes: list[Lane] = []
        self.transport = LaneTransport(count, self._new_lane, keep_alive_seconds)

    def _new_lane(self) -> Lane:
        self.lanes.append(Lane())
        return self.lanes[-1]

    async def ask(self, wait_seconds: float = 10.0) -> bytes:
        response = await self.begin(wait_seconds)
        return await response.aread()

    async def begin(self, wait_seconds: float = 10.0) -> httpx.Response:
        request = httpx.Request(
            "GET", "http://localhost", extensions={"timeout": {"pool": wait_seconds}}
        )
        return await self.transport.handle_async_request(request)


async def test_a_lane_is_used_again_once_its_answer_was_read() -> None:
    street = Street(3)

    assert [await street.ask() for _ in range(5)] == [b"body"] * 5
    assert len(street.lanes) == 1


async def test_a_lane_is_taken_until_its_answer_was_read() -> None:
    street = Street(1)
    response = await street.begin()

    with pytest.raises(httpx.PoolTimeout):
        await street.ask(wait_seconds=0.01)

    await response.aread()
    assert await street.ask() == b"body"


async def test_those_who_wait_get_lanes_in_the_order_in_which_they_came() -> None:
    street = Street(1)
    first = await street.begin()
    order: list[int] = []

    async def wait(number: int) -> None:
        response = await street.begin()
        order.append(number)
        await response.aread()

    waiting = [asyncio.create_task(wait(number)) for number in range(5)]
    await asyncio.sleep(0)
    await first.aread()
    await asyncio.gather(*waiting)

    assert order == [0, 1, 2, 3, 4]
    assert len(street.lanes) == 1


async def test_a_lane_that_failed_is_closed_and_never_used_again() -> None:
    street = Street(1)
    await street.ask()
    street.lanes[0].error = httpx.ReadError("gone")

    with pytest.raises(httpx.ReadError):
        await street.ask()

    assert await street.ask() == b"body"
    await until(lambda: street.lanes[0].closed)
    assert len(street.lanes) == 2


async def test_somebody_who_waits_gets_a_new_lane_in_place_of_one_that_failed() -> None:
    street = Street(1)
    await street.ask()
    broken = street.lanes[0]
    broken.goes.clear()
    broken.error = httpx.ReadError("gone")
    first, second = asyncio.create_task(street.ask()), asyncio.create_task(street.ask())
    await until(lambda: broken.asked == 2)

    broken.goes.set()

    assert await second == b"body"
    with pytest.raises(httpx.ReadError):
        await first


async def test_an_answer_that_was_not_read_to_its_end_costs_its_lane_and_no_other() -> None:
    street = Street(1)
    response = await street.begin()

    await response.aclose()

    assert await street.ask() == b"body"
    assert len(street.lanes) == 2
    await until(lambda: street.lanes[0].closed)


async def test_a_request_that_is_cancelled_costs_no_place() -> None:
    street = Street(1)
    for _ in range(5):
        request = asyncio.create_task(street.ask())
        await until(lambda: street.lanes and street.lanes[-1].asked)
        request.cancel()
        await asyncio.gather(request, return_exceptions=True)

    assert await street.ask() == b"body"


async def test_somebody_who_is_cancelled_while_waiting_passes_the_lane_on() -> None:
    street = Street(1)
    first = await street.begin()
    second = asyncio.create_task(street.ask())
    third = asyncio.create_task(street.ask())
    await asyncio.sleep(0)

    await first.aread()
    second.cancel()

    assert await third == b"body"
    with pytest.raises(asyncio.CancelledError):
        await second


async def test_a_lane_that_was_free_for_long_is_closed() -> None:
    street = Street(3, keep_alive_seconds=0.0)
    responses = [await street.begin() for _ in range(3)]
    for response in responses:
        await response.aread()

    for _ in range(3):
        await street.ask()

    await until(lambda: sum(not lane.closed for lane in street.lanes) == 1)


async def test_closing_closes_every_lane_and_sends_away_those_who_wait() -> None:
    street = Street(2)
    used, free = await street.begin(), await street.begin()
    await free.aread()
    again = await street.begin()
    waiting = asyncio.create_task(street.ask())
    await asyncio.sleep(0)

    await street.transport.aclose()

    with pytest.raises(httpx.ConnectError):
        await waiting
    with pytest.raises(httpx.ConnectError):
        await street.ask()
    for response in (used, again):
        await response.aread()
    await until(lambda: all(lane.closed for lane in street.lanes))
