from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from redis.asyncio import Redis

from sebastian_adapters.redis.agent_store import DEADLINE_SECONDS, RedisAgentStore
from sebastian_adapters.redis.keys import roster_key
from sebastian_adapters.testing.contracts.agent_store import (
    NOON,
    AgentStoreContract,
    AnotherStore,
    at,
    listed,
    online,
    present,
)
from sebastian_apps.dev.servers import LOOPBACK, EmbeddedValkey
from sebastian_core.domain.errors import StoreUnavailable
from tests.chaos.proxy import Proxy
from tests.servers import embedded_valkey

ANSWERED_SECONDS = 10.0
"""Room for a machine that stands still while a deadline of ours ends."""


@pytest.fixture
async def another(redis_url: str, redis_prefix: str) -> AsyncIterator[AnotherStore]:
    async with AsyncExitStack() as stores:

        def open_another() -> RedisAgentStore:
            store = RedisAgentStore(redis_url, prefix=redis_prefix)
            stores.push_async_callback(store.aclose)
            return store

        yield open_another


@pytest.fixture
def store(another: AnotherStore) -> RedisAgentStore:
    opened = another()
    assert isinstance(opened, RedisAgentStore)
    return opened


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
async def frail_store(own_valkey: EmbeddedValkey) -> AsyncIterator[RedisAgentStore]:
    """A store on a server that the test may break."""
    async with RedisAgentStore(own_valkey.url) as store:
        yield store


@pytest.mark.both_ways
class TestRedisAgentStore(AgentStoreContract):
    pass


async def test_keeps_everything_under_one_key_with_its_prefix(
    store: RedisAgentStore, redis: Redis, redis_prefix: str
) -> None:
    await store.replace(listed(NOON, 1), NOON)
    await store.update([present(1, at(1))])

    keys = [key async for key in redis.scan_iter(f"{redis_prefix}*")]

    assert keys == [roster_key(redis_prefix).encode()]


async def test_two_deployments_with_their_own_prefix_know_nothing_of_each_other(
    store: RedisAgentStore, redis_url: str, redis_prefix: str
) -> None:
    await store.replace(listed(NOON, 1), NOON)

    async with RedisAgentStore(redis_url, prefix=f"{redis_prefix}other:") as neighbour:
        assert await neighbour.roster() is None


async def test_what_cannot_be_read_counts_as_lost_until_the_next_listing(
    store: RedisAgentStore, another: AnotherStore, redis: Redis, redis_prefix: str
) -> None:
    await store.replace(listed(NOON, 1), NOON)
    torn = ["listing", '{"read_at": 1', "listed", "torn"]
    await redis.hset(roster_key(redis_prefix), items=torn)

    assert await store.roster() is None
    assert await another().roster() is None
    assert await store.replace(listed(at(1), 2), at(1))
    assert online(await another().roster()) == {2}


async def test_a_flushed_redis_has_no_roster_and_takes_the_next_one(
    own_valkey: EmbeddedValkey, frail_store: RedisAgentStore
) -> None:
    await frail_store.replace(listed(NOON, 1), NOON)
    await frail_store.roster()
    async with Redis.from_url(own_valkey.url) as redis:
        await redis.flushall()

    assert await frail_store.roster() is None
    await frail_store.update([present(1, at(1))])
    assert await frail_store.roster() is None
    assert await frail_store.replace(listed(NOON, 2), NOON)
    assert online(await frail_store.roster()) == {2}


async def test_a_roster_written_after_a_flush_is_never_taken_for_the_one_before(
    own_valkey: EmbeddedValkey, frail_store: RedisAgentStore
) -> None:
    await frail_store.replace(listed(NOON, 1), NOON)
    async with Redis.from_url(own_valkey.url) as redis, RedisAgentStore(own_valkey.url) as other:
        await redis.flushall()
        await other.replace(listed(NOON, 2), NOON)

    assert online(await frail_store.roster()) == {2}


async def test_a_demoted_server_that_keeps_its_connections_is_left_for_the_next() -> None:
    with embedded_valkey() as first, embedded_valkey() as second:
        async with (
            Proxy([(LOOPBACK, first.port)], random.Random(0)) as proxy,
            RedisAgentStore(f"redis://{LOOPBACK}:{proxy.port}/0") as store,
        ):
            await store.replace(listed(NOON, 1), NOON)

            proxy.targets = [(LOOPBACK, second.port)]
            async with Redis.from_url(first.url) as redis:
                await redis.execute_command("REPLICAOF", LOOPBACK, 1)  # type: ignore[no-untyped-call]

            assert await store.replace(listed(at(1), 2), at(1))
            assert online(await store.roster()) == {2}


async def test_heals_by_itself_after_redis_was_killed_and_started_again(
    own_valkey: EmbeddedValkey, frail_store: RedisAgentStore
) -> None:
    await frail_store.replace(listed(NOON, 1), NOON)
    own_valkey.kill()
    async with asyncio.timeout(ANSWERED_SECONDS):
        with pytest.raises(StoreUnavailable):
            await frail_store.roster()
        with pytest.raises(StoreUnavailable):
            await frail_store.replace(listed(at(1), 1), at(1))
        with pytest.raises(StoreUnavailable):
            await frail_store.update([present(1, at(1))])

    own_valkey.start()

    assert await frail_store.roster() is None
    assert await frail_store.replace(listed(at(1), 1), at(1))
    assert online(await frail_store.roster()) == {1}


async def test_a_restart_between_two_calls_goes_unnoticed(
    own_valkey: EmbeddedValkey, frail_store: RedisAgentStore
) -> None:
    await frail_store.replace(listed(NOON, 1), NOON)

    own_valkey.kill()
    own_valkey.start()

    assert await frail_store.roster() is None


async def test_a_silent_redis_is_unavailable_within_two_seconds_and_heals(
    own_valkey: EmbeddedValkey, frail_store: RedisAgentStore
) -> None:
    await frail_store.replace(listed(NOON, 1), NOON)
    own_valkey.freeze()
    assert DEADLINE_SECONDS < 2
    async with asyncio.timeout(ANSWERED_SECONDS):
        answers = await asyncio.gather(
            *(frail_store.roster() for _ in range(10)),
            frail_store.update([present(1, at(1))]),
            return_exceptions=True,
        )
    assert {type(answer) for answer in answers} == {StoreUnavailable}

    own_valkey.thaw()

    assert online(await frail_store.roster()) == {1}


async def test_a_cancelled_call_leaves_the_next_one_its_own_answer(
    own_valkey: EmbeddedValkey, frail_store: RedisAgentStore
) -> None:
    await frail_store.replace(listed(NOON, 1), NOON)
    own_valkey.freeze()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await frail_store.update([present(1, at(1), online=False)])
    own_valkey.thaw()

    roster = await frail_store.roster()

    assert roster is not None
    assert set(roster.agents) == {1}


async def test_a_wrong_password_is_unavailable_and_does_not_tell_it(
    own_valkey: EmbeddedValkey,
) -> None:
    async with Redis.from_url(own_valkey.url) as redis:
        await redis.config_set("requirepass", "correct horse")

    async with RedisAgentStore(f"{own_valkey.url}&password=hunter2") as store:
        with pytest.raises(StoreUnavailable) as refusal:
            await store.roster()

    assert "hunter2" not in str(refusal.value)


async def test_a_redis_that_is_not_there_is_unavailable() -> None:
    async with RedisAgentStore("unix:///nonexistent/valkey.sock") as store:
        with pytest.raises(StoreUnavailable):
            await store.roster()


async def test_a_crowd_of_words_does_not_keep_a_listing_out(another: AnotherStore) -> None:
    everyone = range(2_000)
    listers, talkers = another(), [another() for _ in range(4)]
    await listers.replace(listed(NOON, *everyone), NOON)
    done = asyncio.Event()

    async def talk(number: int) -> None:
        seconds = 0.0
        while not done.is_set():
            seconds += 0.001
            await talkers[number].update([present(number, at(1 + seconds), online=False)])

    talking = [asyncio.create_task(talk(number)) for number in range(len(talkers))]
    for turn in range(5):
        began_at = at(100 + turn)
        assert await listers.replace(listed(began_at, *everyone), began_at)
    done.set()
    await asyncio.gather(*talking)

    assert online(await another().roster()) == set(everyone)


def test_building_a_store_connects_to_nothing() -> None:
    RedisAgentStore(f"redis://localhost:1/{os.getpid() % 16}")
