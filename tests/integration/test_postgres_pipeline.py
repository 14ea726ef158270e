"""What a connection makes of groups of statements: in one write, whatever becomes of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from psycopg.pq import TransactionStatus

from sebastian_adapters.postgres.arrays import array
from sebastian_adapters.postgres.pipeline import NamedQuery, PipelineConnection
from sebastian_adapters.testing.contracts.room_repo import arrive
from sebastian_adapters.testing.waiting import until
from tests.integration.postgres import room_repo, rows

pytestmark = pytest.mark.both_ways

SOON_SECONDS = 5.0
"""Far more than it takes to hear that a session has ended, far less than for ever."""

BEGIN, COMMIT, ROLLBACK = NamedQuery("begin"), NamedQuery("commit"), NamedQuery("rollback")
NUMBERED = "select count(*) from sebastian.room"
WAITING = "select count(*) from pg_stat_activity where wait_event_type = 'Lock'"


@pytest.fixture
async def connection(url: str) -> AsyncIterator[PipelineConnection]:
    async with await PipelineConnection.connect(url, autocommit=True) as connection:
        yield connection


def met(*room_ids: str) -> NamedQuery:
    return NamedQuery("lock_rooms", {"room_ids": array(room_ids)})


def rooms(*room_ids: str) -> NamedQuery:
    return NamedQuery("rooms", {"room_ids": array(room_ids)})


def altered(url: str, statement: str) -> None:
    with psycopg.connect(url) as other:
        other.execute(statement.encode())


async def test_each_statement_sees_what_came_before_it(connection: PipelineConnection) -> None:
    begun, added, found, ended = await connection.exchange([BEGIN, met("a"), rooms("a"), COMMIT])

    assert (begun, ended) == ([], [])
    assert added == found == [("a", None, None, False, None, False)]


async def test_one_statement_may_come_twice_in_a_group(connection: PipelineConnection) -> None:
    first, second = await connection.exchange([rooms("a"), rooms("a")])

    assert first == second == []


async def test_behind_one_that_fails_nothing_is_done(
    connection: PipelineConnection, url: str
) -> None:
    wrong = NamedQuery("lock_offered_chats", {"ids": "{one}"})

    with pytest.raises(psycopg.errors.InvalidTextRepresentation):
        await connection.exchange([BEGIN, met("a"), wrong, met("b"), COMMIT])

    assert connection.pgconn.transaction_status == TransactionStatus.INERROR
    await connection.exchange([ROLLBACK])
    assert rows(url, NUMBERED) == [(0,)]


async def test_what_was_prepared_beside_one_that_failed_is_prepared_once(
    connection: PipelineConnection,
) -> None:
    wrong = NamedQuery("lock_offered_chats", {"ids": "{one}"})

    for _ in range(2):
        with pytest.raises(psycopg.errors.InvalidTextRepresentation):
            await connection.exchange([rooms("a"), wrong, NamedQuery("clock")])
    nothing, ((now,),) = await connection.exchange([rooms("a"), NamedQuery("clock")])

    assert nothing == []
    assert now.tzinfo is not None


async def test_a_statement_whose_table_came_later_is_prepared_then(
    connection: PipelineConnection, url: str
) -> None:
    altered(url, "alter table sebastian.room rename to hidden")

    with pytest.raises(psycopg.errors.UndefinedTable):
        await connection.exchange([rooms("a")])
    altered(url, "alter table sebastian.hidden rename to room")

    assert await connection.exchange([rooms("a")]) == [[]]


async def test_a_row_that_cannot_be_read_does_not_spoil_what_was_prepared_with_it(
    connection: PipelineConnection, url: str
) -> None:
    altered(url, "insert into sebastian.room (room_id, closed_at) values ('a', 'infinity')")

    with pytest.raises(psycopg.DataError):
        await connection.exchange([rooms("a"), NamedQuery("clock")])

    assert len(await connection.exchange([rooms("b"), NamedQuery("clock")])) == 2


async def test_text_is_the_same_text_whatever_encoding_the_deployment_asks_for(url: str) -> None:
    async with room_repo(make_conninfo(url, client_encoding="LATIN1")) as repo:
        await arrive(repo, "a", source="é")

    assert rows(url, "select source, char_length(source) from sebastian.chat") == [("é", 1)]


async def test_far_more_than_any_buffer_holds_goes_both_ways(
    connection: PipelineConnection,
) -> None:
    names = [f"{number:064}" for number in range(100_000)]

    _, added, found, _ = await connection.exchange([BEGIN, met(*names), rooms(*names), ROLLBACK])

    assert {name for name, *_ in added} == {name for name, *_ in found} == set(names)


async def test_nothing_is_sent_of_a_group_with_a_text_that_cannot_be_stored(
    connection: PipelineConnection, url: str
) -> None:
    with pytest.raises(psycopg.DataError):
        await connection.exchange([BEGIN, met("a"), met("b\0"), COMMIT])

    assert connection.pgconn.transaction_status == TransactionStatus.IDLE
    await connection.exchange([BEGIN, met("c"), COMMIT])
    assert rows(url, NUMBERED) == [(1,)]


async def test_one_whose_caller_goes_costs_the_connection(
    connection: PipelineConnection, url: str
) -> None:
    async with await psycopg.AsyncConnection.connect(url) as holder:
        await holder.execute("insert into sebastian.room (room_id) values ('a')")
        asking = asyncio.create_task(connection.exchange([BEGIN, met("a"), COMMIT]))
        await until(lambda: rows(url, WAITING) == [(1,)])
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking

    assert connection.closed
    assert not connection.is_lost


async def test_one_whose_server_has_gone_is_over_at_once_and_loses_the_connection(
    connection: PipelineConnection, url: str
) -> None:
    await connection.exchange([NamedQuery("clock")])
    rows(url, f"select pg_terminate_backend({connection.info.backend_pid})")

    async with asyncio.timeout(SOON_SECONDS):
        with pytest.raises(psycopg.OperationalError):
            await connection.exchange([NamedQuery("clock")])

    assert connection.closed
    assert connection.is_lost


async def test_the_driver_gets_the_connection_back(connection: PipelineConnection) -> None:
    await connection.exchange([NamedQuery("clock")])

    connection.leave()
    cursor = await connection.execute("select 1")
    answer = await cursor.fetchall()

    assert answer == [(1,)]
    assert len(await connection.exchange([NamedQuery("clock")])) == 1
