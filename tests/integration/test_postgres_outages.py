"""What holds when the database goes away, hangs, or answers nobody any more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import psycopg
import pytest

from sebastian_adapters.postgres.clock import PostgresClock
from sebastian_adapters.postgres.migrate import migrate
from sebastian_adapters.postgres.pools import webhook_pool, worker_pool
from sebastian_adapters.postgres.room_repo import PostgresRoomRepo
from sebastian_apps.dev.servers import EmbeddedPostgres
from sebastian_core.domain.arrivals import Admission, admit
from sebastian_core.domain.errors import SchemaMismatch, StoreUnavailable
from sebastian_core.domain.ids import RoomId
from sebastian_core.domain.room import Decided, Room
from tests.builders import a_plan, an_arrival
from tests.contracts.room_repo import RULES, arrive, arrive_all, chat_of, reserve_one
from tests.integration.postgres import room_repo, rows
from tests.servers import temporary_directory

AT_MOST_SECONDS = 8.0
"""Far more than two of the webhook's limits, far less than for ever."""
LOCK_SECONDS = 4.5
"""Less than a worker would wait for a lock."""
COMMIT = b"commit\0"
KILL_OURS = """
    select pg_terminate_backend(pid) from pg_stat_activity
    where starts_with(application_name, 'sebastian-') and datname = current_database()
"""


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
        await asyncio.gather(*(repo.summary(5) for _ in range(20)))
        rows(url, KILL_OURS)

        await arrive_all(repo, "a", "b")

        assert len(await repo.reserve(a_plan(), limit=5)) == 2


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
                await repo.summary(5)

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
                await repo.summary(5)

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

        await healed(repo.staffing)

        assert await chat_of(repo) == reservation.chat


class Wire:
    """A wire to the database that can be cut just when an answer comes back."""

    def __init__(self, directory: Path, target: Path) -> None:
        self._socket = directory / ".s.PGSQL.5432"
        self._target = target
        self._awaited: bytes | None = None
        self._carrying: list[asyncio.Task[None]] = []
        self.url = f"postgresql://postgres@/{{}}?host={quote(str(directory), safe='')}"
        self.lost = 0

    @classmethod
    @asynccontextmanager
    async def to(cls, url: str) -> AsyncIterator[Wire]:
        """A wire to this database."""
        parts = urlsplit(url)
        host = parse_qs(parts.query).get("host", [""])[0]
        if not host:
            pytest.skip("the wire is a Unix socket")
        with temporary_directory() as directory:
            wire = cls(directory, Path(host) / ".s.PGSQL.5432")
            wire.url = wire.url.format(parts.path.lstrip("/"))
            server = await asyncio.start_unix_server(wire._take, wire._socket)
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
        server, there = await asyncio.open_unix_connection(self._target)
        cut = asyncio.Event()
        try:
            await asyncio.gather(self._forth(client, there, cut), self._back(server, back, cut))
        finally:
            there.close()
            back.close()

    async def _forth(
        self, client: asyncio.StreamReader, there: asyncio.StreamWriter, cut: asyncio.Event
    ) -> None:
        while part := await client.read(65536):
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
