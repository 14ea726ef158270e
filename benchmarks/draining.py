"""End to end: a worker process drains a line, assignment by assignment, against the platform."""

from __future__ import annotations

from typing import Any

import psycopg
from attrs import frozen

from benchmarks.line import fill_line
from benchmarks.measuring import median
from benchmarks.report import Figure
from benchmarks.stage import FakePlatform, Program, Stage, fake_platform, settings, wait_until

AGENTS = 100
WORKER, PLAIN_WORKER = "sebastian_apps.entry.worker", "benchmarks.plain_httpx_worker"
_SPAN = """
select extract(epoch from max(at) filter (where move = 'confirm') - min(at))::float,
    count(*) filter (where move = 'confirm')
from sebastian.history
"""


@frozen(kw_only=True)
class Drained:
    """One line drained: assignments a second, and processor milliseconds for each, by process."""

    rate: float
    cpu_ms: dict[str, float]


def measure(stage: Stage, *, rounds: int, chats: int) -> list[Figure]:
    """Each latency with `assign.verify` off and on, beside the same worker on plain httpx."""
    figures = []
    for latency, plain_chats in ((0.02, chats // 5), (0.0, 0), (0.1, 0)):
        runs: dict[str, list[Drained]] = {}
        for _ in range(rounds if latency == 0.02 else max(1, rounds // 2)):
            for verify in (False, True):
                name = f"verify {'on' if verify else 'off'}"
                run = drain(stage, latency=latency, verify=verify, chats=chats)
                runs.setdefault(name, []).append(run)
                if plain_chats:
                    plain = drain(
                        stage, latency=latency, verify=verify, chats=plain_chats, plain=True
                    )
                    runs.setdefault(f"{name}, plain httpx", []).append(plain)
        figures += _figures(runs, latency)
    return figures


def drain(
    stage: Stage,
    *,
    latency: float,
    verify: bool,
    chats: int,
    plain: bool = False,
    in_flight: int = 64,
) -> Drained:
    """Let so many chats wait, start one worker, and see how fast it gives them away."""
    database_url = stage.new_database()
    with fake_platform(stage, agents=AGENTS, latency_seconds=latency) as platform:
        rooms = platform.told("message", {"count": chats})["room_ids"]
        fill_line(database_url, rooms)
        config = stage.config(
            "drain",
            settings(
                database_url=database_url,
                redis_url=stage.new_redis(),
                platform_url=platform.url,
                webhook={"max_current_customer": chats // AGENTS},
                assign={"verify": verify},
                qiscus={"in_flight": in_flight},
            ),
        )
        module = PLAIN_WORKER if plain else WORKER
        with stage.program("worker", module, "-c", str(config)) as worker:
            return _watch(stage, worker, platform, database_url, chats)


def _watch(
    stage: Stage, worker: Program, platform: FakePlatform, database_url: str, chats: int
) -> Drained:
    with psycopg.connect(database_url, autocommit=True) as connection:
        wait_until("the first is assigned", lambda: _assigned(connection) > 0, worker)
        before = _cpu(stage, worker, platform)
        began_with = _assigned(connection)
        wait_until("all are assigned", lambda: _assigned(connection) >= chats, worker, seconds=300)
        after = _cpu(stage, worker, platform)
        seconds, assigned = _span(connection)
    counted = max(assigned - began_with, 1)
    used = {name: (after[name] - before[name]) * 1000 / counted for name in after}
    return Drained(rate=assigned / seconds, cpu_ms=used)


def _assigned(connection: psycopg.Connection[Any]) -> int:
    row = connection.execute(
        "select count(*) from sebastian.chat where state = 'assigned'"
    ).fetchone()
    return int(row[0]) if row else 0


def _span(connection: psycopg.Connection[Any]) -> tuple[float, int]:
    row = connection.execute(_SPAN).fetchone()
    assert row is not None
    return float(row[0]), int(row[1])


def _cpu(stage: Stage, worker: Program, platform: FakePlatform) -> dict[str, float]:
    return {
        "worker": worker.cpu,
        "postgres": stage.postgres_cpu,
        "redis": stage.valkey_cpu,
        "platform": platform.program.cpu,
    }


def _figures(runs: dict[str, list[Drained]], latency: float) -> list[Figure]:
    wanted = {"verify off": "≥ 500/s, 4× plain httpx", "verify on": "≥ 250/s, 4× plain httpx"}
    figures = []
    for name, drained in runs.items():
        rate = median([each.rate for each in drained])
        plain = runs.get(f"{name}, plain httpx")
        cpu = {part: median([each.cpu_ms[part] for each in drained]) for part in drained[0].cpu_ms}
        figures.append(
            Figure(
                subject="end to end",
                what=f"drain at {latency * 1000:g} ms platform latency, {name}",
                value=rate,
                unit="assignments/s",
                wanted=wanted.get(name, "") if latency == 0.02 else "",
                beside=_beside(rate, plain, cpu),
                details={"rates": [each.rate for each in drained], "cpu_ms": cpu},
            )
        )
    return figures


def _beside(rate: float, plain: list[Drained] | None, cpu: dict[str, float]) -> str:
    told = "CPU " + ", ".join(f"{part} {used:.2f}" for part, used in cpu.items()) + " ms each"
    if not plain:
        return told
    plain_rate = median([each.rate for each in plain])
    return f"{rate / plain_rate:.1f}× plain httpx ({plain_rate:.0f}/s); {told}"
