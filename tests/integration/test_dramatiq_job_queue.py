from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator

import pytest
import redis
from dramatiq import Message

from sebastian_adapters.redis.dramatiq.broker import ACTOR, QUEUE, DoorbellBroker
from sebastian_adapters.redis.dramatiq.job_queue import DramatiqJobQueue
from sebastian_adapters.testing.contracts.job_queue import SOON_SECONDS, ConnectedJobQueueContract
from sebastian_adapters.testing.waiting import until
from sebastian_apps.dev.servers import EmbeddedValkey


@pytest.fixture
def namespace(redis_prefix: str) -> str:
    return redis_prefix.rstrip(":")


@pytest.fixture
async def bell(redis_url: str, namespace: str) -> AsyncIterator[DramatiqJobQueue]:
    async with DramatiqJobQueue(redis_url, namespace=namespace) as queue:
        yield queue


@pytest.fixture
async def ear(redis_url: str, namespace: str) -> AsyncIterator[DramatiqJobQueue]:
    async with DramatiqJobQueue(redis_url, namespace=namespace) as queue:
        await queue.listen()
        yield queue


@pytest.fixture
def unopened(redis_url: str, namespace: str) -> DramatiqJobQueue:
    return DramatiqJobQueue(redis_url, namespace=namespace)


@pytest.mark.both_ways
class TestDramatiqJobQueue(ConnectedJobQueueContract):
    pass


def bells_in(url: str, namespace: str) -> int:
    """Bells that are kept anywhere: hanging, taken, delayed or dead."""
    with redis.Redis.from_url(url) as client:
        kept = client.scan_iter(f"{namespace}:{QUEUE}*.msgs")
        return sum(int(str(client.hlen(key))) for key in kept)


async def test_one_object_may_ring_and_listen(redis_url: str, namespace: str) -> None:
    async with DramatiqJobQueue(redis_url, namespace=namespace) as queue:
        await queue.listen()

        queue.ring()

        assert await queue.wait(SOON_SECONDS)


async def test_a_ring_before_somebody_listens_is_heard_later(
    bell: DramatiqJobQueue, redis_url: str, namespace: str
) -> None:
    bell.ring()
    await until(lambda: bell.sent)

    async with DramatiqJobQueue(redis_url, namespace=namespace) as ear:
        await ear.listen()

        assert await ear.wait(SOON_SECONDS)


async def test_bells_do_not_pile_up_while_nobody_listens(
    bell: DramatiqJobQueue, redis_url: str, namespace: str
) -> None:
    for expected in range(1, 51):
        bell.ring()
        await until(lambda: bell.sent >= expected)  # noqa: B023

    assert bells_in(redis_url, namespace) == 1


async def test_a_bell_that_a_killed_worker_took_along_silences_nobody(
    bell: DramatiqJobQueue, ear: DramatiqJobQueue, redis_url: str, namespace: str
) -> None:
    with redis.Redis.from_url(redis_url) as client:
        client.hset(f"{namespace}:{QUEUE}.msgs", "taken", "{}")
        client.sadd(f"{namespace}:__acks__.dead.{QUEUE}", "taken")

    bell.ring()

    assert await ear.wait(SOON_SECONDS)


async def test_bells_that_were_heard_leave_nothing_behind(
    bell: DramatiqJobQueue, ear: DramatiqJobQueue, redis_url: str, namespace: str
) -> None:
    for _ in range(5):
        bell.ring()
        assert await ear.wait(SOON_SECONDS)

    await until(lambda: bells_in(redis_url, namespace) == 0)


async def test_who_listens_lets_redis_wait_for_the_bell(own_valkey: EmbeddedValkey) -> None:
    def blocked() -> int:
        return int(client.info("clients")["blocked_clients"])

    with redis.Redis.from_url(own_valkey.url) as client:
        async with (
            DramatiqJobQueue(own_valkey.url) as bell,
            DramatiqJobQueue(own_valkey.url) as ear,
        ):
            await ear.listen()
            await until(lambda: blocked() == 1)

            bell.ring()
            assert await ear.wait(SOON_SECONDS)

            await until(lambda: blocked() == 1)
        await until(lambda: blocked() == 0)


async def test_is_heard_again_after_redis_was_killed_and_started_again(
    own_valkey: EmbeddedValkey,
) -> None:
    async with DramatiqJobQueue(own_valkey.url) as bell, DramatiqJobQueue(own_valkey.url) as ear:
        await ear.listen()
        bell.ring()
        assert await ear.wait(SOON_SECONDS)

        own_valkey.kill()
        bell.ring()
        await until(lambda: bell.failed)
        own_valkey.start()
        sent = bell.sent
        bell.ring()
        await until(lambda: bell.sent > sent)

        assert await ear.wait(SOON_SECONDS)


async def test_ringing_waits_for_nothing_while_redis_is_silent(own_valkey: EmbeddedValkey) -> None:
    async with DramatiqJobQueue(own_valkey.url) as bell:
        own_valkey.freeze()

        for _ in range(1000):
            bell.ring()

        assert bell.failed == 0
        await until(lambda: bell.failed)
        own_valkey.thaw()


async def test_closing_ends_in_time_while_redis_is_silent(own_valkey: EmbeddedValkey) -> None:
    queue = DramatiqJobQueue(own_valkey.url)
    await queue.open()
    await queue.listen()
    queue.ring()
    own_valkey.freeze()

    async with asyncio.timeout(8):
        await queue.aclose()

    own_valkey.thaw()


async def test_a_redis_that_is_not_there_costs_a_ring_and_nothing_else() -> None:
    async with DramatiqJobQueue("unix:///nonexistent/valkey.sock") as queue:
        await queue.listen()

        queue.ring()

        await until(lambda: queue.failed)
        assert not await queue.wait(0.0)


def test_building_one_starts_nothing_and_leaves_dramatiqs_global_broker_alone() -> None:
    program = """
import sys, threading, dramatiq.broker
from sebastian_adapters.redis.dramatiq.job_queue import DramatiqJobQueue
DramatiqJobQueue("redis://localhost:1/0")
assert dramatiq.broker.global_broker is None
assert threading.active_count() == 1
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_listener_takes_every_bell_though_none_is_answered(own_valkey: EmbeddedValkey) -> None:
    broker = DoorbellBroker(own_valkey.url)
    consumer = broker.consume(QUEUE, prefetch=1)
    for _ in range(3):
        broker.enqueue(Message(queue_name=QUEUE, actor_name=ACTOR, args=(), kwargs={}, options={}))

    taken = [next(consumer) for _ in range(4)]

    assert [message is not None for message in taken] == [True, True, True, False]
    assert not broker.has_bell(), "a bell that hangs there ends every wait at once"
    broker.close()
