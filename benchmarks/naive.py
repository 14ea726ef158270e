"""The naive way, in a few lines: one task at a time, counters in Redis, a nap when all are full.

It does what the original worker does between "take a task" and "mark it served": a transaction that
stays open, a loop of GETs over all agents, one platform call, an increment, a commit.
"""

from __future__ import annotations

import time

import httpx
import psycopg
import redis
from attrs import frozen

from benchmarks.draining import drain
from benchmarks.measuring import median
from benchmarks.platform_calls import HEADERS, PATH
from benchmarks.report import Figure
from benchmarks.stage import FakePlatform, Stage, fake_platform

AGENTS, CAPACITY, CHATS = 20, 100, 300
NAP_SECONDS = 10.0


@frozen
class NaiveWorker:
    """Gives rooms to agents, one after the other."""

    database: psycopg.Connection[tuple[object, ...]]
    counters: redis.Redis
    platform: httpx.Client
    agents: list[int]

    def serve(self, room_id: str) -> None:
        """One task, from its row to its commit."""
        with self.database.transaction():
            self.database.execute("insert into naive_chat (room_id) values (%s)", [room_id])
            agent_id = self._find_agent()
            form = {"room_id": room_id, "agent_id": agent_id, "max_agent": 1}
            self.platform.post(PATH, data=form, headers=HEADERS).raise_for_status()
            self.counters.incr(f"agent:{agent_id}:customer_count")
            self.counters.set(f"room:{room_id}:agent", agent_id)
            self.database.execute(
                "update naive_chat set status = 'SERVED' where room_id = %s", [room_id]
            )

    def _find_agent(self) -> int:
        while True:
            loads = {agent_id: self._load(agent_id) for agent_id in self.agents}
            free = {agent_id: load for agent_id, load in loads.items() if load < CAPACITY}
            if free:
                return min(free, key=lambda agent_id: free[agent_id])
            time.sleep(NAP_SECONDS)

    def _load(self, agent_id: int) -> int:
        if self.counters.get(f"agent:{agent_id}:is_online") != b"1":
            return CAPACITY
        return int(str(self.counters.get(f"agent:{agent_id}:customer_count").decode()))  # type: ignore[union-attr]


def measure(stage: Stage, *, rounds: int) -> list[Figure]:
    """The naive worker and ours on the same line, in turns, at 20 ms platform latency."""
    naive, ours = [], []
    for _ in range(rounds):
        naive.append(_drain_naively(stage))
        ours.append(drain(stage, latency=0.02, verify=False, chats=2000).rate)
    return [
        Figure(
            subject="the naive way",
            what=f"drain at 20 ms platform latency, {AGENTS} agents",
            value=median(naive),
            unit="assignments/s",
            beside=f"ours, one process, verify off: {median(ours):.0f}/s, "
            f"{median(ours) / median(naive):.0f}×",
            details={"naive": naive, "ours": ours},
        )
    ]


def _drain_naively(stage: Stage) -> float:
    with fake_platform(stage, agents=AGENTS, latency_seconds=0.02) as platform:
        rooms = platform.told("message", {"count": CHATS})["room_ids"]
        with (
            psycopg.connect(stage.new_database()) as database,
            redis.Redis.from_url(stage.new_redis()) as counters,
            httpx.Client(base_url=platform.url) as client,
        ):
            worker = NaiveWorker(
                database, counters, client, _prepared(database, counters, platform)
            )
            began = time.perf_counter()
            for room_id in rooms:
                worker.serve(room_id)
            return CHATS / (time.perf_counter() - began)


def _prepared(
    database: psycopg.Connection[tuple[object, ...]], counters: redis.Redis, platform: FakePlatform
) -> list[int]:
    database.execute(
        "create table naive_chat (id serial primary key, room_id varchar, status varchar)"
    )
    database.commit()
    agents = [int(each) for each in platform.told("truth")["online"]]
    for agent_id in agents:
        counters.set(f"agent:{agent_id}:is_online", 1)
        counters.set(f"agent:{agent_id}:customer_count", 0)
    return agents
