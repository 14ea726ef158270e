"""More processes on the same servers: what each of them adds, and what it uses of the servers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import psycopg
import redis
from attrs import fields, frozen

from benchmarks.draining import AGENTS, WORKER
from benchmarks.line import fill_line
from benchmarks.load import Webhooks, flood
from benchmarks.measuring import median, resident_mebibytes
from benchmarks.report import Figure
from benchmarks.stage import FakePlatform, Program, Stage, fake_platform, settings, wait_until
from benchmarks.way_in import CONNECTIONS, service

PROCESSES = (1, 2, 4)
LATENCY_SECONDS = 0.02
_ASSIGNED = "select count(*) from sebastian.chat where state = 'assigned'"
_SPAN = """
select count(*) / extract(epoch from max(at) - min(at))::float
from sebastian.history where move = 'confirm'
"""
_SESSIONS = "select count(*) from pg_stat_activity where application_name like 'sebastian-%'"


@frozen(kw_only=True)
class Shared:
    """What so many workers reached together, and what one assignment cost everybody."""

    rate: float
    worker_ms: float
    postgres_ms: float
    redis_ms: float
    redis_commands: float
    platform_calls: float
    sessions_each: float
    mebibytes_each: float


def measure(stage: Stage, *, rounds: int, seconds: float, chats: int) -> list[Figure]:
    """One, two and four processes drain a line, and as many take webhooks; in turns."""
    drained: dict[int, list[Shared]] = {count: [] for count in PROCESSES}
    taken: dict[int, list[float]] = {count: [] for count in PROCESSES}
    for _ in range(rounds):
        for count in PROCESSES:
            drained[count].append(drain(stage, workers=count, chats=chats))
            taken[count].append(_flooded(stage, count, seconds))
    return [*_drain_figures(drained), *_way_in_figures(taken)]


def drain(stage: Stage, *, workers: int, chats: int) -> Shared:
    """Let so many chats wait, start the workers, and see what they do together."""
    database_url, redis_url = stage.new_database(), stage.new_redis()
    with ExitStack() as stack:
        platform = stack.enter_context(
            fake_platform(stage, agents=AGENTS, latency_seconds=LATENCY_SECONDS)
        )
        told = settings(
            database_url=database_url,
            redis_url=redis_url,
            platform_url=platform.url,
            webhook={"max_current_customer": chats // AGENTS},
        )
        config = stage.config("scaling", told)
        programs = [
            stack.enter_context(stage.program(f"worker{number}", WORKER, "-c", str(config)))
            for number in range(workers)
        ]
        for program in programs:
            wait_until("it has started", lambda p=program: "worker started" in p.log.read_text())
        connection = stack.enter_context(psycopg.connect(database_url, autocommit=True))
        rooms = platform.told("message", {"count": chats})["room_ids"]
        return _watched(stage, programs, platform, connection, redis_url, database_url, rooms)


def _watched(
    stage: Stage,
    programs: list[Program],
    platform: FakePlatform,
    connection: psycopg.Connection[Any],
    redis_url: str,
    database_url: str,
    rooms: list[str],
) -> Shared:
    """The workers run idle already, so that all of them begin with the line at once."""
    used: list[Callable[[], float]] = [
        lambda: sum(program.cpu for program in programs) * 1000,
        lambda: stage.postgres_cpu * 1000,
        lambda: stage.valkey_cpu * 1000,
        lambda: _commands(redis_url),
        platform.calls,
    ]
    before = [each() for each in used]
    fill_line(database_url, rooms)
    wait_until(
        "all are assigned",
        lambda: _number(connection, _ASSIGNED) >= len(rooms),
        *programs,
        seconds=300,
    )
    spent = [(each() - was) / len(rooms) for each, was in zip(used, before, strict=True)]
    return Shared(
        rate=_number(connection, _SPAN),
        worker_ms=spent[0],
        postgres_ms=spent[1],
        redis_ms=spent[2],
        redis_commands=spent[3],
        platform_calls=spent[4],
        sessions_each=_number(connection, _SESSIONS) / len(programs),
        mebibytes_each=median([resident_mebibytes(program.pid) for program in programs]),
    )


def _flooded(stage: Stage, processes: int, seconds: float) -> float:
    with service(stage, processes=processes) as server:
        webhooks = Webhooks(server.url, "scaling")
        answers = asyncio.run(flood(server.url, webhooks, connections=CONNECTIONS, seconds=seconds))
    return answers.rate


def _commands(redis_url: str) -> float:
    """Of everybody who uses the server, which is only us."""
    with redis.Redis.from_url(redis_url) as client:
        about: Any = client.info("stats")
    return float(about["total_commands_processed"])


def _number(connection: psycopg.Connection[Any], question: str) -> float:
    row = connection.execute(question.encode()).fetchone()
    return float(row[0] or 0) if row else 0.0


def _drain_figures(drained: dict[int, list[Shared]]) -> list[Figure]:
    figures = []
    for count, runs in drained.items():
        names = [each.name for each in fields(Shared)]
        middle = Shared(**{name: median([getattr(run, name) for run in runs]) for name in names})
        figures.append(
            Figure(
                subject="scaling",
                what=f"{count} workers drain, 20 ms platform latency, verify on",
                value=middle.rate,
                unit="assignments/s",
                beside=(
                    f"for each: CPU worker {middle.worker_ms:.2f}, "
                    f"postgres {middle.postgres_ms:.2f}, redis {middle.redis_ms:.2f} ms; "
                    f"{middle.redis_commands:.1f} Redis commands, "
                    f"{middle.platform_calls:.2f} calls; for each worker: "
                    f"{middle.sessions_each:.1f} sessions, {middle.mebibytes_each:.0f} MiB"
                ),
                details={"rates": [run.rate for run in runs]},
            )
        )
    return figures


def _way_in_figures(taken: dict[int, list[float]]) -> list[Figure]:
    return [
        Figure(
            subject="scaling",
            what=f"{count} webhook processes, {CONNECTIONS} connections",
            value=median(rates),
            unit="webhooks/s",
            beside=f"{median(rates) / median(taken[1]):.2f}× one",
            details={"rates": rates},
        )
        for count, rates in taken.items()
    ]
