"""The doorbell on a real RabbitMQ, which must be brought along.

`SEBASTIAN_TEST_RABBITMQ_URL` names a broker and a virtual host that nobody else rings in.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from random import Random
from urllib.parse import urlsplit

import pytest

from sebastian_adapters.dramatiq.job_queue import DramatiqJobQueue
from tests.chaos.proxy import Proxy, Weather
from tests.contracts.job_queue import SOON_SECONDS, ConnectedJobQueueContract, fall_silent
from tests.waiting import until

VARIABLE = "SEBASTIAN_TEST_RABBITMQ_URL"
URL = os.environ.get(VARIABLE, "")
pytestmark = pytest.mark.skipif(not URL, reason=f"{VARIABLE} names no RabbitMQ")


@pytest.fixture
async def bell() -> AsyncIterator[DramatiqJobQueue]:
    async with DramatiqJobQueue(URL) as queue:
        yield queue


@pytest.fixture
async def ear() -> AsyncIterator[DramatiqJobQueue]:
    """One that has heard what an earlier test left."""
    async with DramatiqJobQueue(URL) as queue:
        await queue.listen()
        await fall_silent(queue)
        yield queue


@pytest.fixture
def unopened() -> DramatiqJobQueue:
    return DramatiqJobQueue(URL)


class TestDramatiqJobQueueOnRabbitmq(ConnectedJobQueueContract):
    pass


async def test_one_bell_hangs_there_while_nobody_listens(bell: DramatiqJobQueue) -> None:
    for expected in range(1, 21):
        bell.ring()
        await until(lambda: bell.sent >= expected)  # noqa: B023

    async with DramatiqJobQueue(URL) as ear:
        await ear.listen()

        assert await ear.wait(SOON_SECONDS)
        assert await fall_silent(ear) == 0


async def test_closing_ends_in_time_while_the_broker_is_silent() -> None:
    address = urlsplit(URL)
    proxy = Proxy([(address.hostname or "", address.port or 5672)], Random(1))
    await proxy.start()
    user, _, _ = address.netloc.rpartition("@")
    queue = DramatiqJobQueue(address._replace(netloc=f"{user}@127.0.0.1:{proxy.port}").geturl())
    await queue.open()
    await queue.listen()
    queue.ring()
    assert await queue.wait(SOON_SECONDS)
    proxy.turn(Weather.BLACK_HOLE)

    async with asyncio.timeout(9):
        await queue.aclose()

    await proxy.stop()
