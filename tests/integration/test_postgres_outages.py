"""What holds when the database goes away, hangs, or answers nobody any more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from functools import partial
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from sebastian_adapters.postgres.clock import PostgresClock
from sebastian_adapters.postgres.migrate import migrate
from sebastian_adapters.postgres.pipeline import NamedQuery
from sebastian_adapters.postgres.pool import Pool, Transaction, webhook_pool, worker_pool
from sebastian_adapters.postgres.room_repo import PostgresRoomRepo
from sebastian_adapters.testing.builders import a_plan, an_arrival
from sebastian_adapters.testing.contracts.room_repo import (
    RULES,
    arrive,
    arrive_all,
    chat_of,
    reserve_one,
)
from sebastian_adapters.testing.waiting import until
from sebastian_apps.dev.servers import EmbeddedPostgres
from sebastian_core.domain.errors import SchemaMismatch, StoreUnavailable
from sebastian_core.domain.ids import RoomId
from sebastian_core.domain.room import Decided, Room
from sebastian_core.domain.webhooks import Admission, admit
from tests.integration.postgres import execute, read_only_for_new_sessions, room_repo, rows
from tests.servers import temporary_directory

pytestmark = pytest.mark.both_ways

AT_MOST_SECONDS = 8.0
"""Far more than two of the webhook's limits, far less than for ever."""
LOCK_SECONDS = 4.5
"""Less than a worker would wait for a lock."""
COMMIT = b"commit\0"
KILL_OURS = """
    select pg_terminate_backend(pid) from pg_stat_activity
    where starts_with(application_name, 'sebastian-') and datname = current_database()
"""


OUR_SESSIONS = """
    select pid from pg_stat_activity
    where starts_with(application_name, 'sebastian-') and datname = current_database()
"""


def rows_of_type(url: str, column_type: str) -> None:
    """Let the ids of rooms be of this type of text."""
    execute(url, f"alter table sebastian.room alter column room_id type {column_type}")


def one_connection(url: str) -> Pool:
    """A pool that has no second one."""
    return worker_pool(url, max_size=1)


async def asleep(transaction: Transaction) -> None:
    """Hold a connection for a moment, without writing."""
    await transaction.send(NamedQuery("clock"))
    await asyncio.sleep(0.05)


@pytest.fixture
async def own(own_postgres: EmbeddedPostgres) -> AsyncIterator[EmbeddedPostgres]:
    await migrate(own_postgres.url)
    yield own_postgres
    own_postgres.thaw()


async def healed(attempt: Callable[[], Awaitable[object]]) -> None:
    """Until it succeeds again, within twenty seconds."""
    async with asyncio.timeout(20):
        while True:
            with suppress(StoreUnavailable):
                await attempt()
                return
            await asyncio.sleep(0.05)


async def test_a_connection_killed_while_it_decides_is_replaced(
    repo: PostgresRoomRepo, url: str
) -> None:
    kills: list[object] = []

    def kill_once(room: Room, now: datetime) -> Decided[Admission]:
        if not kills:
            kills.append(rows(url, KILL_OURS))
        return admit(an_arrival(), RULES, room, now)

    decided = await repo.decide(RoomId("room-1"), kill_once)

    assert decided.answer is Admission.ADMITTED
    assert kills
    assert rows(url, "select count(*) from sebastian.chat") == [(1,)]


async def test_every_idle_connection_may_be_dead_and_nobody_notices(url: str) -> None:
    async with room_repo(url) as repo:
        await asyncio.gather(*(repo.waiting(5) for _ in range(20)))
        rows(url, KILL_OURS)

        await arrive_all(repo, "a", "b")

        assert len(await repo.reserve(a_plan(), limit=5)) == 2


async def test_sessions_that_may_not_write_any_more_are_left_for_new_ones(url: str) -> None:
    with read_only_for_new_sessions(url):
        pool = webhook_pool(url)
        await pool.open()
        await asyncio.gather(*(pool.run(asleep) for _ in range(4)))
    before = rows(url, OUR_SESSIONS)

    await arrive(PostgresRoomRepo(pool))

    assert len(before) > 1
    await until(lambda: not set(before) & set(rows(url, OUR_SESSIONS)))
    await pool.close()


async def test_while_no_server_takes_writes_that_is_told_and_then_work_goes_on(url: str) -> None:
    async with room_repo(url, webhook_pool) as repo:
        await healed(partial(arrive, repo, "before"))
        with read_only_for_new_sessions(url):
            rows(url, KILL_OURS)
            with pytest.raises(StoreUnavailable):
                await arrive(repo, "during")
            with pytest.raises(StoreUnavailable, match="takes no writes"):
                await repo.waiting(5)

        await healed(partial(arrive, repo, "after"))


async def test_statements_whose_tables_have_changed_are_prepared_anew(url: str) -> None:
    async with room_repo(url, one_connection) as repo:
        await arrive(repo, "before")
        rows_of_type(url, "varchar")
        try:
            await arrive(repo, "after")
        finally:
            rows_of_type(url, "text")


async def test_statements_that_the_server_has_forgotten_are_prepared_anew(url: str) -> None:
    pool = one_connection(url)
    await pool.open()
    repo = PostgresRoomRepo(pool)
    await arrive(repo, "before")
    async with pool.connections.connection() as connection:
        connection.leave()
        await connection.execute("deallocate all")

    await arrive(repo, "after")

    await pool.close()


async def test_new_sessions_that_stay_silent_are_given_up_for_others(url: str) -> None:
    async with Wire.to(url) as wire:
        wire.swallows = b"set search_path"
        pool = webhook_pool(wire.url)
        await pool.open()
        with pytest.raises(StoreUnavailable):
            await asyncio.gather(*(pool.run(asleep) for _ in range(8)))
        assert wire.swallowed

        wire.swallows = None

        await healed(lambda: pool.run(asleep))
        await pool.close()


async def test_a_commit_whose_answer_is_lost_is_done_once(url: str) -> None:
    async with Wire.to(url) as wire, room_repo(wire.url) as repo:
        await arrive(repo, "room-0")
        wire.lose_answer_to(COMMIT)

        decided = await arrive(repo, "room-1")

    assert wire.lost == 1
    assert decided.answer is Admission.REPEATED
    assert rows(url, "select room_id from sebastian.chat order by id") == [("room-0",), ("room-1",)]
    assert rows(url, "select count(*) from sebastian.history") == [(2,)]


async def test_a_reserve_whose_answer_is_lost_gives_no_chat_twice(url: str) -> None:
    async with Wire.to(url) as wire, room_repo(wire.url) as repo:
        await arrive_all(repo, "a", "b", "c")
        wire.lose_answer_to(COMMIT)

        reservations = await repo.reserve(a_plan(capacity=2), limit=1)

    assert wire.lost == 1
    assert [each.chat.room_id for each in reservations] == ["b"]
    held = rows(url, "select room_id from sebastian.chat where state = 'reserved' order by id")
    assert held == [("a",), ("b",)]


async def test_no_database_is_told_and_its_return_is_noticed(own: EmbeddedPostgres) -> None:
    async with room_repo(own.url, webhook_pool) as repo:
        await healed(partial(arrive, repo, "before"))
        own.kill()

        async with asyncio.timeout(AT_MOST_SECONDS):
            with pytest.raises(StoreUnavailable):
                await arrive(repo, "during")
            with pytest.raises(StoreUnavailable):
                await repo.waiting(5)

        await asyncio.to_thread(own.start)
        await healed(partial(arrive, repo, "after"))
        assert (await chat_of(repo, "before")).room_id == "before"


async def test_a_database_that_hangs_is_told_and_its_return_is_noticed(
    own: EmbeddedPostgres,
) -> None:
    async with room_repo(own.url, webhook_pool) as repo:
        await healed(partial(arrive, repo, "before"))
        own.freeze()

        async with asyncio.timeout(AT_MOST_SECONDS):
            calls = [arrive(repo, f"during-{number}") for number in range(20)]
            outcomes = await asyncio.gather(*calls, return_exceptions=True)
            with pytest.raises(StoreUnavailable):
                await repo.waiting(5)

        own.thaw()
        assert all(isinstance(each, StoreUnavailable) for each in outcomes)
        await healed(partial(arrive, repo, "after"))


async def test_a_database_that_comes_after_us_is_found(own: EmbeddedPostgres) -> None:
    await asyncio.to_thread(own.stop)
    async with room_repo(own.url, webhook_pool) as repo:
        with pytest.raises(StoreUnavailable):
            await arrive(repo)

        await asyncio.to_thread(own.start)

        await healed(partial(arrive, repo))


async def test_what_was_answered_survives_the_crash_of_the_server(own: EmbeddedPostgres) -> None:
    async with room_repo(own.url, webhook_pool) as repo:
        calls = [asyncio.create_task(arrive(repo, f"room-{number}")) for number in range(400)]
        await calls[0]
        own.kill()
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        await asyncio.to_thread(own.start)

    answered = {
        f"room-{number}" for number, each in enumerate(outcomes) if isinstance(each, Decided)
    }
    kept = {room_id for (room_id,) in rows(own.url, "select room_id from sebastian.chat")}
    assert answered
    assert answered <= kept


async def test_a_room_that_somebody_holds_is_told_within_the_webhook_s_limits(url: str) -> None:
    async with room_repo(url, webhook_pool) as repo:
        await healed(partial(arrive, repo, "held"))
        async with await psycopg.AsyncConnection.connect(url) as holder:
            await holder.execute("select from sebastian.room where room_id = 'held' for update")

            async with asyncio.timeout(LOCK_SECONDS):
                with pytest.raises(StoreUnavailable):
                    await arrive(repo, "held")

        await healed(partial(arrive, repo, "held"))


async def test_missing_tables_are_told_with_what_to_do(postgres_url: str) -> None:
    async with room_repo(postgres_url) as repo:
        with pytest.raises(SchemaMismatch, match="sebastian migrate"):
            await arrive(repo)


async def test_the_limits_are_in_force(url: str) -> None:
    for make_pool in (worker_pool, webhook_pool):
        pool = make_pool(url)
        await pool.open()
        await pool.check()
        await pool.close()


async def test_the_clock_tells_when_it_cannot_be_read(own: EmbeddedPostgres) -> None:
    pool = webhook_pool(own.url)
    await pool.open()
    clock = PostgresClock(pool)
    await clock.sync()
    known = clock.now()
    own.kill()

    with pytest.raises(StoreUnavailable):
        await clock.sync()

    assert clock.now() >= known
    await pool.close()


async def test_a_reservation_made_before_the_outage_is_still_held(own: EmbeddedPostgres) -> None:
    async with room_repo(own.url) as repo:
        await arrive(repo)
        reservation = await reserve_one(repo)
        own.kill()
        await asyncio.to_thread(own.start)

        await healed(partial(repo.waiting, 5))

        assert await chat_of(repo) == reservation.chat


class Wire:
    """A wire to the database that can be cut just when an answer comes back.

    Whatever comes on a connection from the words that it `swallows` on goes nowhere, and the
    connection stays.

    It is of the kind of the database's URL: a Unix socket, or TCP.
    """

    def __init__(self, target: Path | tuple[str, int]) -> None:
        self._target = target
        self._awaited: bytes | None = None
        self.swallows: bytes | None = None
        self.swallowed = 0
        self._carrying: list[asyncio.Task[None]] = []
        self.url = ""
        self.lost = 0

    @classmethod
    @asynccontextmanager
    async def to(cls, url: str) -> AsyncIterator[Wire]:
        """A wire to this database."""
        known = conninfo_to_dict(url)
        host, port = str(known["host"]), int(known.get("port") or 5432)
        by_socket = host.startswith("/")
        with temporary_directory() as directory:
            if by_socket:
                wire = cls(Path(host) / f".s.PGSQL.{port}")
                socket = directory / ".s.PGSQL.5432"
                server = await asyncio.start_unix_server(wire._take, socket)
                there: dict[str, str | int] = {"host": str(directory), "port": 5432}
            else:
                wire = cls((host, port))
                server = await asyncio.start_server(wire._take, "127.0.0.1", 0)
                there = {"host": "127.0.0.1", "port": server.sockets[0].getsockname()[1]}
            wire.url = make_conninfo(url, **there)
            try:
                yield wire
            finally:
                server.close()
                for carrying in wire._carrying:
                    carrying.cancel()
                await asyncio.gather(*wire._carrying, return_exceptions=True)

    def lose_answer_to(self, words: bytes) -> None:
        """Once: let the next message with these words through, and lose what is answered."""
        self._awaited = words

    def _take(self, client: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        self._carrying.append(asyncio.create_task(self._carry(client, back)))

    async def _carry(self, client: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        server, there = await self._connected()
        cut = asyncio.Event()
        try:
            await asyncio.gather(self._forth(client, there, cut), self._back(server, back, cut))
        finally:
            there.close()
            back.close()

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if isinstance(self._target, Path):
            return await asyncio.open_unix_connection(self._target)
        return await asyncio.open_connection(*self._target)

    async def _forth(
        self, client: asyncio.StreamReader, there: asyncio.StreamWriter, cut: asyncio.Event
    ) -> None:
        is_swallowing = False
        while part := await client.read(65536):
            if not is_swallowing and self.swallows is not None and self.swallows in part:
                is_swallowing = True
                self.swallowed += 1
            if is_swallowing:
                continue
            if self._awaited is not None and self._awaited in part:
                self._awaited = None
                cut.set()
            there.write(part)
        there.close()

    async def _back(
        self, server: asyncio.StreamReader, back: asyncio.StreamWriter, cut: asyncio.Event
    ) -> None:
        while part := await server.read(65536):
            if cut.is_set():
                self.lost += 1
                break
            back.write(part)
        back.close()
