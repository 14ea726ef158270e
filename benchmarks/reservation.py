"""Reservation: chats a second that get a slot, with the database's promises kept."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

import psycopg
from attrs import frozen

from benchmarks.line import fill_line, invented_rooms
from benchmarks.measuring import median
from benchmarks.report import Figure
from benchmarks.stage import Stage
from sebastian_adapters.postgres.pool import worker_pool
from sebastian_adapters.postgres.room_repo import PostgresRoomRepo
from sebastian_apps.runtime.gc import tune_gc
from sebastian_core.domain.agent_loads import AgentLoads, CapacityRules
from sebastian_core.domain.chat import Needs
from sebastian_core.domain.ids import AgentId, ChatId, RoomId
from sebastian_core.domain.matcher import Matcher
from sebastian_core.domain.policy import ReadyChat
from sebastian_core.domain.roster import Presence, Roster

SMALL, LARGE = 1_000, 1_000_000
_PUT_BACK = """
update sebastian.chat
set state = 'waiting', agent_id = null, reservation_id = null, settle_at = null
where state = 'reserved'
"""


@frozen
class Size:
    """One point that is measured."""

    agents: int
    waiting: int
    batch: int

    @property
    def passes(self) -> int:
        """How many passes make a round."""
        return {1: 60, 10: 30}.get(self.batch, min(20, self.waiting // self.batch))

    def __str__(self) -> str:
        return f"batches of {self.batch}, {self.agents:,} agents, {self.waiting:,} waiting"


def measure(stage: Stage, *, rounds: int, large: int = LARGE) -> list[Figure]:
    """The corners and points between, in turns; each length of the line has its own database."""
    tune_gc()  # as the worker does
    urls = {waiting: _filled(stage, waiting) for waiting in (SMALL, large)}
    sizes = [Size(100, waiting, batch) for waiting in urls for batch in (1, 10)]
    sizes += [Size(agents, waiting, 100) for agents in (10, 100, 1_000, 10_000) for waiting in urls]
    return _compared(asyncio.run(_measured(urls, sizes, rounds)))


def _filled(stage: Stage, waiting: int) -> str:
    """A database in which so many wait; what filling it wrote is on the disk, not still to come."""
    url = stage.new_database()
    for first in range(0, waiting, 100_000):
        fill_line(url, invented_rooms(min(100_000, waiting - first), first))
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("checkpoint")
    return url


async def _measured(urls: Mapping[int, str], sizes: Sequence[Size], rounds: int) -> list[Figure]:
    pools = {waiting: worker_pool(url) for waiting, url in urls.items()}
    reached: dict[Size, list[float]] = {size: [] for size in sizes}
    plans = {size: _plan(size) for size in sizes}
    updates, pure = [], {size: _pure(size) for size in sizes}
    async with AsyncExitStack() as stack:
        for pool in pools.values():
            await pool.open()
            stack.push_async_callback(pool.close)
        repos = {size: PostgresRoomRepo(pools[size.waiting]) for size in sizes}
        for number in range(rounds + 1):
            for size in sizes:
                repo = repos[size]
                rate = await _round(repo, urls[size.waiting], size, plans[size])
                if number:  # the first warms up
                    reached[size].append(rate)
            updates.append(_simplest_updates(urls[SMALL]))
    return [_figure(size, rates, median(updates), pure[size]) for size, rates in reached.items()]


async def _round(repo: PostgresRoomRepo, url: str, size: Size, plan: Matcher) -> float:
    """Chats a second of one process with one roster: a new one comes every `presence.interval`."""
    given = 0
    began = time.perf_counter()
    for _ in range(size.passes):
        given += len(await repo.reserve(plan, limit=size.batch))
    elapsed = time.perf_counter() - began
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(_PUT_BACK)
        connection.execute("vacuum analyze sebastian.chat")
    if given != size.passes * size.batch:
        raise RuntimeError(f"{size}: {given} reserved")
    return given / elapsed


def _plan(size: Size) -> Matcher:
    now = datetime.now(UTC)
    agents = {
        AgentId(number): Presence(AgentId(number), True, now)
        for number in range(1, size.agents + 1)
    }
    capacity = 2 + 2 * size.passes * size.batch // size.agents
    return Matcher(Roster(now, agents), CapacityRules(default=capacity))


def _pure(size: Size) -> float:
    """Chats a second of the choice alone."""
    plan, now, needs = _plan(size), datetime.now(UTC), Needs()
    chats = [
        ReadyChat(ChatId(number), RoomId(f"r{number}"), needs, now + timedelta(milliseconds=number))
        for number in range(size.batch)
    ]
    repeats = max(3, 2_000 // (size.agents + size.batch))
    began = time.perf_counter()
    for _ in range(repeats):
        plan.look(AgentLoads(now)).place(chats)
    return size.batch * repeats / (time.perf_counter() - began)


def _simplest_updates(url: str, count: int = 200) -> float:
    """As pgbench's simplest script: one row changed and made durable, one after the other."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("create table if not exists bench_account (id int, balance int)")
        connection.execute("insert into bench_account values (1, 0)")
        began = time.perf_counter()
        for _ in range(count):
            connection.execute("update bench_account set balance = balance + 1 where id = 1")
        return count / (time.perf_counter() - began)


def _figure(size: Size, rates: Sequence[float], updates: float, pure: float) -> Figure:
    return Figure(
        subject="reservation",
        what=str(size),
        value=median(rates),
        unit="chats/s",
        wanted="≥ 5,000/s" if size.batch == 100 else "",
        beside=f"{updates:,.0f} plain updates/s; the policy alone {pure:,.0f} chats/s",
        details={
            "rates": list(rates),
            "agents": size.agents,
            "waiting": size.waiting,
            "batch": size.batch,
        },
    )


def _compared(figures: list[Figure]) -> list[Figure]:
    """The same, and how much slower a chat is where everything is a thousand times larger."""
    rate = {
        (each.details["agents"], each.details["waiting"]): each.value
        for each in figures
        if each.details["batch"] == 100
    }
    longest = max(waiting for _, waiting in rate)
    slower = {
        "100 → 1,000 agents": rate[100, SMALL] / rate[1_000, SMALL],
        f"{SMALL:,} → {longest:,} waiting": rate[100, SMALL] / rate[100, longest],
    }
    compared = [
        Figure(
            subject="reservation",
            what=f"{name}: slower per chat",
            value=times,
            unit="×",
            wanted="≤ 1.5×",
        )
        for name, times in slower.items()
    ]
    return figures + compared
