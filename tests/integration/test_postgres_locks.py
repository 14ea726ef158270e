"""What holds when transactions meet: locks, snapshots, groups."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import psycopg
import pytest
from attrs import evolve

from sebastian_adapters.postgres.pipeline import NamedQuery
from sebastian_adapters.postgres.pool import WORKER, Pool, Transaction, worker_pool
from sebastian_adapters.postgres.room_repo import PostgresRoomRepo
from sebastian_adapters.testing.builders import ANNE, BEN, CLEO, a_plan, an_agent
from sebastian_adapters.testing.contracts.room_repo import (
    RULES,
    adopt_listed,
    arrive,
    arrive_all,
    end,
    give_back,
    reserve_one,
    rooms_in,
)
from sebastian_adapters.testing.waiting import until
from sebastian_core.domain.errors import InvalidInput
from sebastian_core.domain.ids import RoomId
from sebastian_core.domain.matcher import Matcher
from sebastian_core.domain.policy import Candidate, LeastLoaded, Placement, ReadyChat
from sebastian_core.domain.reservation import Reservation, confirm
from sebastian_core.domain.room import Decided, Room
from sebastian_core.domain.webhooks import Admission
from tests.integration.postgres import room_repo, rows

LINE = "select pg_advisory_xact_lock(5337264819)"
DEADLOCKS = "select deadlocks from pg_stat_database where datname = current_database()"
FREE_LINE = "select pg_try_advisory_xact_lock(5337264819)"
WAITERS = "select count(*) from pg_locks where not granted and locktype = 'advisory'"
OTHERS_WAITED_FOR = "select count(*) from pg_locks where not granted and locktype = 'transactionid'"


@pytest.fixture
async def another(url: str) -> AsyncIterator[PostgresRoomRepo]:
    async with room_repo(url) as repo:
        yield repo


async def waiting_for_the_line(url: str, number: int = 1) -> None:
    """Until so many transactions wait for the line's lock."""
    await until(lambda: rows(url, WAITERS) == [(number,)])


async def test_reserve_waits_for_the_line_and_sees_what_its_holder_committed(
    repo: PostgresRoomRepo, url: str
) -> None:
    await arrive(repo)
    async with await psycopg.AsyncConnection.connect(url) as holder:
        await holder.execute(LINE.encode())
        taking = asyncio.create_task(repo.reserve(a_plan(capacity=1), limit=1))
        await waiting_for_the_line(url)
        await holder.execute(
            "insert into sebastian.chat (room_id, state, version, arrived_at, changed_at, ready_at,"
            " agent_id, assigned_at) values ('by-hand', 'assigned', 1, now(), now(), now(), %s,"
            " now())",
            (ANNE,),
        )

    assert await taking == ()


async def test_what_alters_the_line_waits_for_it_and_what_arrives_does_not(
    repo: PostgresRoomRepo, url: str
) -> None:
    await arrive(repo)
    reservation = await reserve_one(repo)
    async with await psycopg.AsyncConnection.connect(url) as holder:
        await holder.execute(LINE.encode())
        releasing = asyncio.create_task(give_back(repo, reservation))
        await waiting_for_the_line(url)

        assert (await arrive(repo, "another-room")).answer is Admission.ADMITTED
        assert not releasing.done()

    await releasing


async def test_a_stopped_holder_of_the_line_is_thrown_out_by_the_server(
    repo: PostgresRoomRepo, url: str
) -> None:
    await arrive(repo)
    stopped = asyncio.Event()

    async def stop(transaction: Transaction) -> None:
        await transaction.send(NamedQuery("lock_line"))
        stopped.set()
        await asyncio.Event().wait()

    pool = short_of_patience(url)
    await pool.open()
    holding = asyncio.create_task(pool.run(stop))
    await stopped.wait()

    assert len(await repo.reserve(a_plan(), limit=1)) == 1
    holding.cancel()
    await pool.close()


async def test_a_process_stopped_while_it_decides_is_thrown_out_and_decides_again(
    url: str,
) -> None:
    seen: list[list[tuple[object]]] = []

    def stop_once(room: Room, now: datetime) -> Decided[str]:
        if not seen:
            seen.append(until_free(url))
        return Decided("decided")

    pool = short_of_patience(url)
    await pool.open()
    decided = await PostgresRoomRepo(pool).decide(RoomId("room-1"), stop_once, alters_line=True)
    await pool.close()

    assert seen == [[(True,)]]
    assert decided.answer == "decided"


def until_free(url: str) -> list[tuple[object]]:
    """Whether the line comes free, without a turn for the loop of who holds it."""
    give_up_at = time.monotonic() + 20
    while not (found := rows(url, FREE_LINE))[0][0] and time.monotonic() < give_up_at:
        time.sleep(0.02)
    return found


def short_of_patience(url: str) -> Pool:
    """A pool whose transactions are thrown out when they idle for 200 ms."""
    pool = worker_pool(url)
    pool.limits = evolve(WORKER, idle_in_transaction=timedelta(milliseconds=200))
    return pool


async def test_groups_with_the_same_rooms_in_opposite_order_never_deadlock(
    repo: PostgresRoomRepo, another: PostgresRoomRepo, url: str
) -> None:
    before = rows(url, DEADLOCKS)
    room_ids = [f"room-{number}" for number in range(60)]
    for turn in range(10):
        forth = [arrive(repo, f"{room_id}-{turn % 2}") for room_id in room_ids]
        back = [end(another, f"{room_id}-{turn % 2}") for room_id in reversed(room_ids)]
        await asyncio.gather(*forth, *back)

    assert rows(url, DEADLOCKS) == before


async def test_a_room_that_somebody_adds_meanwhile_is_waited_for_and_met_as_it_is_then(
    repo: PostgresRoomRepo, url: str
) -> None:
    await arrive(repo, "known")
    async with await psycopg.AsyncConnection.connect(url) as other:
        await other.execute("insert into sebastian.room (room_id) values ('new')")
        arriving = [asyncio.create_task(arrive(repo, room_id)) for room_id in ("known", "new")]
        await until(lambda: rows(url, OTHERS_WAITED_FOR) == [(1,)])

    decided = await asyncio.gather(*arriving)

    assert [each.answer for each in decided] == [Admission.REPEATED, Admission.ADMITTED]


@pytest.mark.parametrize(
    "bad",
    [{"source": "NUL \0"}, {"source": "lone \ud800"}, {"properties": {"note": "NUL \0"}}],
    ids=["NUL", "surrogate", "NUL in properties"],
)
async def test_one_bad_text_in_a_group_of_ten_harms_only_itself(
    repo: PostgresRoomRepo, bad: dict[str, Any]
) -> None:
    good = [arrive(repo, f"room-{number}") for number in range(9)]

    outcomes = await asyncio.gather(
        *good[:5], arrive(repo, "bad", **bad), *good[5:], return_exceptions=True
    )

    assert isinstance(outcomes.pop(5), InvalidInput)
    assert all(isinstance(each, Decided) for each in outcomes)
    assert len(await repo.waiting(20)) == 9


async def test_calls_that_come_together_share_transactions(
    repo: PostgresRoomRepo, url: str
) -> None:
    await asyncio.gather(*(arrive(repo, f"room-{number}") for number in range(300)))

    assert rows(url, "select count(*), count(distinct xid) <= 6 from sebastian.history") == [
        (300, True)
    ]


async def test_a_caller_who_gives_up_does_not_hurt_the_group(repo: PostgresRoomRepo) -> None:
    calls = [asyncio.create_task(arrive(repo, f"room-{number}")) for number in range(20)]
    await asyncio.sleep(0)
    for call in calls[::2]:
        call.cancel()

    outcomes = await asyncio.gather(*calls, return_exceptions=True)

    kept = outcomes[1::2]
    assert all(isinstance(each, Decided) for each in kept)
    assert {f"room-{number}" for number in range(1, 20, 2)} <= {
        chat.room_id for chat in await repo.waiting(50)
    }


async def test_a_release_during_a_reserve_is_given_again_or_waits(
    repo: PostgresRoomRepo, another: PostgresRoomRepo, url: str
) -> None:
    await arrive_all(repo, "a", "b")
    reservation = await reserve_one(repo)
    async with await psycopg.AsyncConnection.connect(url) as holder:
        await holder.execute(LINE.encode())
        releasing = asyncio.create_task(give_back(repo, reservation))
        await waiting_for_the_line(url)
        taking = asyncio.create_task(another.reserve(a_plan(), limit=1))
        await waiting_for_the_line(url, 2)
    await releasing

    assert rooms_in(await taking) == ["a"]


async def test_a_chat_closed_while_it_is_reserved_is_left_out(
    repo: PostgresRoomRepo, another: PostgresRoomRepo, url: str
) -> None:
    await arrive_all(repo, "a", "b")
    async with await psycopg.AsyncConnection.connect(url) as closer:
        await closer.execute("select from sebastian.chat where room_id = 'a' for update")
        taking = asyncio.create_task(another.reserve(a_plan(), limit=2))
        await until(lambda: rows(url, "select true from pg_locks where not granted"))
        await closer.execute(
            "update sebastian.chat set state = 'closed', closed_at = now(), version = 2,"
            " close_reason = 'resolved' where room_id = 'a'"
        )

    assert rooms_in(await taking) == ["b"]


class Shift:
    """Eight processes that reserve, confirm, give back and resolve as fast as they can."""

    def __init__(self, repos: list[PostgresRoomRepo], plan: Matcher) -> None:
        self._repos = repos
        self._plan = plan
        self._chance = random.Random(7)

    async def work(self, rooms: int) -> None:
        """Let so many rooms come, and be served until none waits."""
        arrivals = asyncio.create_task(self._arrive(rooms))
        await asyncio.gather(*(self._serve(repo, arrivals) for repo in self._repos))

    async def _arrive(self, rooms: int) -> None:
        for number in range(rooms):
            repo = self._repos[number % len(self._repos)]
            await arrive(repo, f"room-{number}")
            if number % 10 == 0:
                await adopt_listed(repo, f"by-hand-{number}")
                await end(repo, f"by-hand-{number}", service_id=number + 1)

    async def _serve(self, repo: PostgresRoomRepo, arrivals: asyncio.Task[None]) -> None:
        while not arrivals.done() or await repo.waiting(1):
            for reservation in await repo.reserve(self._plan, limit=5):
                await self._call(repo, reservation)

    async def _call(self, repo: PostgresRoomRepo, reservation: Reservation) -> None:
        room_id = reservation.chat.room_id
        if self._chance.random() < 0.3:
            await give_back(repo, reservation)
        else:
            await repo.decide(room_id, partial(confirm, reservation, RULES))
            await end(repo, room_id, service_id=reservation.id)


OVERBOOKED = """
    select count(*) from sebastian.history
    where move = 'reserve' and (details ->> 'load')::int >= (details ->> 'capacity')::int
"""

INVERTED = """
    with seen as (
        select p.id as pass, p.at, h.chat_id, h.after, c.arrived_at,
            row_number() over (partition by p.id, h.chat_id order by h.version desc) as age
        from sebastian.pass p
        join sebastian.history h on pg_visible_in_snapshot(h.xid, p.snapshot)
        join sebastian.chat c on c.id = h.chat_id
    ),
    given as (
        select (h.details ->> 'pass')::bigint as pass, max((c.arrived_at, c.id)) as last
        from sebastian.history h join sebastian.chat c on c.id = h.chat_id
        where h.move = 'reserve' group by 1
    )
    select count(*) from given join seen using (pass)
    where seen.age = 1 and seen.after = 'waiting' and (seen.arrived_at, seen.chat_id) < given.last
        and not exists (
            select from sebastian.history h
            where h.chat_id = seen.chat_id and h.move = 'reserve'
                and (h.details ->> 'pass')::bigint = given.pass
        )
"""


class Overtaking(LeastLoaded):
    """Leaves the oldest out."""

    def place(
        self, chats: Sequence[ReadyChat], candidates: Sequence[Candidate]
    ) -> Sequence[Placement]:
        return super().place(chats[1:], candidates)


async def test_who_is_overtaken_can_be_told_from_what_a_pass_saw(
    repo: PostgresRoomRepo, url: str
) -> None:
    await arrive_all(repo, "a", "b")

    await repo.reserve(a_plan(policy=Overtaking()), limit=2)

    assert rows(url, INVERTED) == [(1,)]


async def test_eight_processes_never_overbook_nor_overtake(url: str) -> None:
    agents = [an_agent(agent_id) for agent_id in (ANNE, BEN, CLEO)]
    pools = [worker_pool(url, max_size=3) for _ in range(8)]
    for pool in pools:
        await pool.open()

    await Shift([PostgresRoomRepo(pool) for pool in pools], a_plan(*agents, capacity=2)).work(200)

    for pool in pools:
        await pool.close()
    assert rows(url, "select count(*) from sebastian.chat where state <> 'closed'") == [(0,)]
    assert rows(url, OVERBOOKED) == [(0,)]
    assert rows(url, INVERTED) == [(0,)]
    assert rows(url, DEADLOCKS) == [(0,)]
