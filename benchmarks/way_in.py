"""The way in: webhooks that are durable when they are answered."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import psycopg
from attrs import asdict, frozen

from benchmarks.load import Webhooks, flood, steady
from benchmarks.measuring import Percentiles, median
from benchmarks.report import Figure
from benchmarks.stage import Program, Stage, settings, wait_until
from sebastian_apps.dev.servers import free_port

CONNECTIONS = 64
SERVICE, RIVALS = "sebastian_apps.entry.webhook", "benchmarks.way_in_rivals"
_TABLE = """
create table if not exists bench_webhook (
    id bigint generated always as identity primary key,
    room_id text not null, channel_id bigint, source text, at timestamptz default now()
)
"""


WARM_SECONDS = 0.5


@frozen
class Server:
    """One contender that listens."""

    url: str
    program: Program


@frozen(kw_only=True)
class Flood:
    """What a contender reached in one round, and the processor milliseconds for each webhook."""

    rate: float
    wait: Percentiles
    service_ms: float
    postgres_ms: float
    load_ms: float


def measure(stage: Stage, *, rounds: int, seconds: float) -> list[Figure]:
    """One and two processes and their rivals in turns, all warm; then a steady 500 a second."""
    with ExitStack() as stack:
        servers = {
            "one process": stack.enter_context(service(stage, processes=1)),
            "two processes": stack.enter_context(service(stage, processes=2)),
            "INSERT per request": stack.enter_context(_rival(stage, "insert")),
            "without the commit": stack.enter_context(_rival(stage, "no commit")),
            "bare ASGI": stack.enter_context(_rival(stage, "bare")),
        }
        asyncio.run(_flooded(stage, servers, "warm", WARM_SECONDS))
        floods = [
            asyncio.run(_flooded(stage, servers, f"flood-{number}", seconds))
            for number in range(rounds)
        ]
        steadies = [
            asyncio.run(_steady(servers["one process"], number, seconds))
            for number in range(rounds)
        ]
    return [*_flood_figures(floods), _steady_figure(steadies)]


async def _flooded(
    stage: Stage, servers: dict[str, Server], prefix: str, seconds: float
) -> dict[str, Flood]:
    return {name: await _flood(stage, name, servers[name], prefix, seconds) for name in servers}


async def _flood(stage: Stage, name: str, server: Server, prefix: str, seconds: float) -> Flood:
    webhooks = Webhooks(server.url, prefix)
    service, postgres = server.program.cpu, stage.postgres_cpu
    answers = await flood(server.url, webhooks, connections=CONNECTIONS, seconds=seconds)
    if answers.failed:
        raise RuntimeError(f"{name}: {answers.failed} webhooks were not answered with 200")
    each_ms = 1000 / len(answers.seconds)
    return Flood(
        rate=answers.rate,
        wait=Percentiles.of(answers.seconds),
        service_ms=(server.program.cpu - service) * each_ms,
        postgres_ms=(stage.postgres_cpu - postgres) * each_ms,
        load_ms=answers.cpu_seconds * each_ms,
    )


async def _steady(server: Server, number: int, seconds: float) -> Percentiles:
    webhooks = Webhooks(server.url, f"steady-{number}")
    answers = await steady(server.url, webhooks, rate=500, seconds=seconds)
    return Percentiles.of(answers.seconds)


@contextmanager
def service(stage: Stage, *, processes: int) -> Iterator[Server]:
    """Our webhook service, ready, on a database of its own."""
    config, url = _configured(stage, f"webhook{processes}")
    arguments = (str(processes), url.rpartition(":")[2], SERVICE, "-c", config)
    alone = (SERVICE, "-c", config)
    command = alone if processes == 1 else ("benchmarks.handed", *arguments)
    with stage.program(f"webhook{processes}", *command) as program:
        yield _listening(url, program)


@contextmanager
def _rival(stage: Stage, name: str) -> Iterator[Server]:
    config, url = _configured(stage, name.replace(" ", "-"))
    with stage.program(name.replace(" ", "-"), RIVALS, name, config) as program:
        yield _listening(url, program)


def _configured(stage: Stage, name: str) -> tuple[str, str]:
    database_url, port = stage.new_database(), free_port()
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(_TABLE)
    config = settings(
        database_url=database_url,
        redis_url=stage.new_redis(),
        platform_url="http://127.0.0.1:9",
        port=port,
    )
    return str(stage.config(name, config)), f"http://127.0.0.1:{port}"


def _listening(url: str, program: Program) -> Server:
    port = int(url.rpartition(":")[2])
    wait_until(f"{program.name} listens", lambda: _accepts(port), program)
    return Server(url, program)


def _accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def _flood_figures(floods: list[dict[str, Flood]]) -> list[Figure]:
    rounds = {name: [flood[name] for flood in floods] for name in floods[0]}
    rate = {name: median([each.rate for each in runs]) for name, runs in rounds.items()}
    wanted = {
        "one process": "≥ 2,300/s, 2× INSERT",
        "two processes": "≥ 1.1× one process",
    }
    return [
        Figure(
            subject="way in",
            what=f"{name}, {CONNECTIONS} connections, 1.5 KB",
            value=rate[name],
            unit="webhooks/s",
            wanted=wanted.get(name, ""),
            beside=_beside(name, rate, runs),
            details={"floods": [asdict(each) for each in runs]},
        )
        for name, runs in rounds.items()
    ]


def _beside(name: str, rate: dict[str, float], runs: list[Flood]) -> str:
    p50 = median([each.wait.p50 for each in runs]) * 1000
    p99 = median([each.wait.p99 for each in runs]) * 1000
    ratio = rate[name] / rate["INSERT per request"]
    told = f"{ratio:.1f}× INSERT; ack p50 {p50:.0f}, p99 {p99:.0f} ms"
    if name == "two processes":
        told += f"; {rate[name] / rate['one process']:.2f}× one process"
    service = median([each.service_ms for each in runs])
    postgres = median([each.postgres_ms for each in runs])
    load = median([each.load_ms for each in runs])
    return f"{told}; CPU {service:.2f} + {postgres:.2f} + {load:.2f} ms (it, PostgreSQL, load)"


def _steady_figure(steadies: list[Percentiles]) -> Figure:
    return Figure(
        subject="way in",
        what="ack p99 at a steady 500 webhooks/s",
        value=median([each.p99 for each in steadies]) * 1000,
        unit="ms",
        wanted="≤ 50 ms",
        beside=f"p50 {median([each.p50 for each in steadies]) * 1000:.1f} ms",
        details={"p99": [each.p99 for each in steadies]},
    )
