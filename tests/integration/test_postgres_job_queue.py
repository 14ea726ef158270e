from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import psycopg
import pytest

from sebastian_adapters.postgres.job_queue import PostgresJobQueue
from sebastian_adapters.testing.contracts.job_queue import (
    SOON_SECONDS,
    ConnectedJobQueueContract,
    fall_silent,
)
from sebastian_adapters.testing.waiting import until
from sebastian_apps.dev.servers import EmbeddedPostgres
from tests.integration.postgres import read_only_for_new_sessions, rows

LISTENERS = """
    select pid from pg_stat_activity
    where datname = current_database() and query ~ '^(listen|show) '
"""


@pytest.fixture
async def bell(postgres_url: str) -> AsyncIterator[PostgresJobQueue]:
    async with PostgresJobQueue(postgres_url) as queue:
        yield queue


@pytest.fixture
async def ear(postgres_url: str) -> AsyncIterator[PostgresJobQueue]:
    async with PostgresJobQueue(postgres_url) as queue:
        await queue.listen()
        yield queue


@pytest.fixture
def unopened(postgres_url: str) -> PostgresJobQueue:
    return PostgresJobQueue(postgres_url)


@pytest.mark.both_ways
class TestPostgresJobQueue(ConnectedJobQueueContract):
    pass


async def test_all_who_listen_hear_a_ring(bell: PostgresJobQueue, postgres_url: str) -> None:
    async with PostgresJobQueue(postgres_url) as one, PostgresJobQueue(postgres_url) as other:
        await one.listen()
        await other.listen()

        bell.ring()

        assert await one.wait(SOON_SECONDS)
        assert await other.wait(SOON_SECONDS)


async def test_a_change_may_ring_in_its_own_transaction(
    ear: PostgresJobQueue, postgres_url: str
) -> None:
    async with await psycopg.AsyncConnection.connect(postgres_url) as connection:
        await connection.execute("notify sebastian_doorbell")
        assert not await ear.wait(0.0)
        await connection.commit()

        assert await ear.wait(SOON_SECONDS)


async def test_hears_and_rings_again_after_its_connections_were_ended(
    bell: PostgresJobQueue, ear: PostgresJobQueue, postgres_url: str
) -> None:
    bell.ring()
    assert await ear.wait(SOON_SECONDS)
    end_all = (
        "select pg_terminate_backend(pid) from pg_stat_activity"
        " where datname = current_database() and pid <> pg_backend_pid()"
    )
    async with await psycopg.AsyncConnection.connect(postgres_url) as connection:
        await connection.execute(end_all)

    assert await ear.wait(SOON_SECONDS), "what rang while it was deaf is made good"
    await fall_silent(ear)
    bell.ring()

    assert await ear.wait(SOON_SECONDS)
    assert bell.failed


async def test_leaves_a_server_that_takes_no_writes(postgres_url: str) -> None:
    async with (
        PostgresJobQueue(postgres_url) as bell,
        PostgresJobQueue(postgres_url, look_seconds=0.1) as ear,
    ):
        with read_only_for_new_sessions(postgres_url):
            await ear.listen()
            bell.ring()
            await until(lambda: bell.failed)
        before = rows(postgres_url, LISTENERS)
        assert before

        await until(lambda: bell.sent)
        await until(lambda: rows(postgres_url, LISTENERS) not in ([], before))

        await fall_silent(ear)
        bell.ring()
        assert await ear.wait(SOON_SECONDS)


async def test_hears_again_after_the_server_was_killed_and_started_again(
    own_postgres: EmbeddedPostgres,
) -> None:
    async with (
        PostgresJobQueue(own_postgres.url) as bell,
        PostgresJobQueue(own_postgres.url) as ear,
    ):
        await ear.listen()
        bell.ring()
        assert await ear.wait(SOON_SECONDS)

        own_postgres.kill()
        bell.ring()
        await until(lambda: bell.failed)
        sent = bell.sent
        own_postgres.start()
        await until(lambda: bell.sent > sent)
        assert await ear.wait(SOON_SECONDS)
        await fall_silent(ear)
        bell.ring()

        assert await ear.wait(SOON_SECONDS)


async def test_a_database_that_is_not_there_costs_a_ring_and_nothing_else() -> None:
    async with PostgresJobQueue("host=/nonexistent dbname=sebastian") as queue:
        queue.ring()
        await queue.listen()

        await until(lambda: queue.failed)
        assert not await queue.wait(0.0)


async def test_closing_ends_in_time_while_the_server_is_silent(
    own_postgres: EmbeddedPostgres,
) -> None:
    queue = PostgresJobQueue(own_postgres.url)
    await queue.open()
    await queue.listen()
    queue.ring()
    await until(lambda: queue.sent)
    own_postgres.freeze()
    queue.ring()

    async with asyncio.timeout(8):
        await queue.aclose()

    own_postgres.thaw()


async def test_ringing_waits_for_nothing_while_the_server_is_silent(
    own_postgres: EmbeddedPostgres,
) -> None:
    async with PostgresJobQueue(own_postgres.url) as queue:
        queue.ring()
        await until(lambda: queue.sent)
        own_postgres.freeze()

        for _ in range(1000):
            queue.ring()

        assert queue.failed == 0
        await until(lambda: queue.failed)
        own_postgres.thaw()


def test_building_one_needs_neither_loop_nor_server() -> None:
    PostgresJobQueue("host=/nonexistent dbname=sebastian")
