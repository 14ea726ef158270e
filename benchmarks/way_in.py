"""The way in: webhooks that are durable when they are answered."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import psycopg
from attrs import frozen

from benchmarks.load import Webhooks, flood, steady
from benchmarks.measuring import Percentiles, median
from benchmarks.report import Figure
from benchmarks.stage import Program, Stage, free_port, settings, wait_until

CONNECTIONS = 64
SERVICE, RIVALS = "sebastian_apps.webhook.main", "benchmarks.way_in_rivals"
_TABLE = """
create table if not exists bench_webhook (
    id bigint generated always as identity primary key,
    room_id text not null, channel_id bigint, source text, at timestamptz default now()
)
"""


@frozen
class Server:
    """One contender that listens."""

    url: str
    program: Program


def measure(stage: Stage, *, rounds: int, seconds: float) -> list[Figure]:
    """One and two processes, and their rivals, in turns; then a steady 500 a second."""
    with ExitStack() as stack:
        servers = {
            "one process": stack.enter_context(service(stage, processes=1)),
            "two processes": stack.enter_context(service(stage, processes=2)),
            "INSERT per request": stack.enter_context(_rival(stage, "insert")),
            "without the commit": stack.enter_context(_rival(stage, "no commit")),
            "bare ASGI": stack.enter_context(_rival(stage, "bare")),
        }
        floods = asyncio.run(_flooded(servers, rounds, seconds))
        steadies = [
            asyncio.run(_steady(servers["one process"], number, seconds))
            for number in range(rounds)
        ]
        cpu = _cpu_per_webhook(stage, servers["one process"], seconds)
    return [*_flood_figures(floods, cpu), _steady_figure(steadies)]


async def _flooded(
    servers: dict[str, Server], rounds: int, seconds: float
) -> dict[str, list[tuple[float, Percentiles]]]:
    reached: dict[str, list[tuple[float, Percentiles]]] = {name: [] for name in servers}
    for number in range(rounds):
        for name, server in servers.items():
            webhooks = Webhooks(server.url, f"flood-{number}")
            answers = await flood(server.url, webhooks, connections=CONNECTIONS, seconds=seconds)
            if answers.failed:
                raise RuntimeError(f"{name}: {answers.failed} webhooks were not answered with 200")
            reached[name].append((answers.rate, Percentiles.of(answers.seconds)))
    return reached


async def _steady(server: Server, number: int, seconds: float) -> Percentiles:
    webhooks = Webhooks(server.url, f"steady-{number}")
    answers = await steady(server.url, webhooks, rate=500, seconds=seconds)
    return Percentiles.of(answers.seconds)


def _cpu_per_webhook(stage: Stage, server: Server, seconds: float) -> dict[str, float]:
    """Processor milliseconds per webhook, of the service and of PostgreSQL."""
    before = server.program.cpu, stage.postgres_cpu
    webhooks = Webhooks(server.url, "cpu")
    answers = asyncio.run(flood(server.url, webhooks, connections=CONNECTIONS, seconds=seconds))
    number = len(answers.seconds)
    return {
        "service": (server.program.cpu - before[0]) * 1000 / number,
        "postgres": (stage.postgres_cpu - before[1]) * 1000 / number,
    }


@contextmanager
def service(stage: Stage, *, processes: int) -> Iterator[Server]:
    """Our webhook service, ready, on a database of its own."""
    config, url = _configured(stage, f"webhook{processes}")
    arguments = ("-c", config, "--processes", str(processes))
    with stage.program(f"webhook{processes}", SERVICE, *arguments) as program:
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


def _flood_figures(
    floods: dict[str, list[tuple[float, Percentiles]]], cpu: dict[str, float]
) -> list[Figure]:
    rate = {name: median([each for each, _ in runs]) for name, runs in floods.items()}
    single = rate["INSERT per request"]
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
            beside=_beside(name, rate, single, runs, cpu),
            details={"rates": [each for each, _ in runs]},
        )
        for name, runs in floods.items()
    ]


def _beside(
    name: str,
    rate: dict[str, float],
    single: float,
    runs: list[tuple[float, Percentiles]],
    cpu: dict[str, float],
) -> str:
    p50 = median([each.p50 for _, each in runs]) * 1000
    p99 = median([each.p99 for _, each in runs]) * 1000
    told = f"{rate[name] / single:.1f}× INSERT; ack p50 {p50:.0f}, p99 {p99:.0f} ms"
    if name == "one process":
        told += f"; CPU {cpu['service']:.2f} + {cpu['postgres']:.2f} ms (service, PostgreSQL)"
    if name == "two processes":
        told += f"; {rate[name] / rate['one process']:.2f}× one process"
    return told


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
