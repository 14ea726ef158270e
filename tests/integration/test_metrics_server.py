"""A worker's port for machines: who may read there, and what it may take from the worker."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import psutil
import pytest
from structlog.testing import capture_logs

from sebastian_adapters.testing.waiting import until
from sebastian_apps.dev.servers import free_port
from sebastian_apps.http.metrics_server import CONNECTION_LIMIT, serve_metrics
from sebastian_apps.observability.metrics import WorkerMetrics
from sebastian_apps.settings import SettingsError
from tests.integration.cli_world import World, a_world
from tests.scraping import Scrape
from tests.webhook_service import some_settings
from tests.worker_process import worker_process

TOKEN = "0123456789abcdef0123456789abcdef"
OPEN = {"QT_METRICS_HOST": "0.0.0.0"}
LOCKED = {**OPEN, "QT_ADMIN_TOKENS": f"prometheus={TOKEN}"}
BEARER = {"authorization": f"Bearer {TOKEN}"}
HALF = b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nX: "


@asynccontextmanager
async def port_of_a_worker(environ: dict[str, str] | None = None) -> AsyncIterator[int]:
    """Where a worker with these variables shows its numbers."""
    settings = some_settings({"QT_METRICS_PORT": str(free_port()), **(environ or {})})
    async with serve_metrics(WorkerMetrics(), settings) as port:
        yield port


async def asked(
    port: int, path: str = "/metrics", headers: dict[str, str] | None = None
) -> httpx.Response:
    """What is answered there."""
    async with httpx.AsyncClient(timeout=2) as http:
        return await http.get(f"http://127.0.0.1:{port}{path}", headers=headers)


async def answered(port: int) -> httpx.Response:
    """What is answered at last: a crowd at the door may push out one that comes with it."""
    async with asyncio.timeout(30):
        while True:
            with contextlib.suppress(httpx.HTTPError):
                return await asked(port)


@pytest.mark.parametrize(
    ("environ", "headers", "status"),
    [
        ({}, {}, 200),
        ({}, {"host": "rebound.example"}, 404),
        ({}, {"origin": "https://evil.example"}, 404),
        (OPEN, {}, 404),
        (LOCKED, {}, 401),
        (LOCKED, {"authorization": "Bearer guess"}, 401),
        (LOCKED, BEARER, 200),
    ],
)
async def test_who_may_read_a_workers_metrics_is_decided_as_at_the_webhook_service(
    environ: dict[str, str], headers: dict[str, str], status: int
) -> None:
    async with port_of_a_worker(environ) as port:
        metrics, health = await asked(port, headers=headers), await asked(port, "/healthz")

    assert metrics.status_code == status
    assert ("sebastian_assignments_total" in metrics.text) is (status == 200)
    assert health.json() == {"status": "ok"}


async def test_metrics_that_nobody_may_read_are_told_at_start() -> None:
    with capture_logs() as logged:
        async with port_of_a_worker(OPEN):
            pass

    assert "metrics are shown to nobody" in [line["event"] for line in logged]


async def test_guesses_at_a_worker_are_slowed_and_counted() -> None:
    async with port_of_a_worker(LOCKED) as port:
        async with httpx.AsyncClient(headers={"authorization": "Bearer guess"}) as http:
            guesses = [await http.get(f"http://127.0.0.1:{port}/metrics") for _ in range(50)]
        told = Scrape.of((await asked(port, headers=BEARER)).text)

    assert 429 in {answer.status_code for answer in guesses}
    assert told.total("wrong_tokens_total") == 50


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/", 404), ("POST", "/metrics", 405), ("HEAD", "/metrics", 200)],
)
async def test_nothing_else_is_there(method: str, path: str, status: int) -> None:
    async with port_of_a_worker() as port, httpx.AsyncClient() as http:
        answer = await http.request(method, f"http://127.0.0.1:{port}{path}")

    assert answer.status_code == status
    assert "Traceback" not in answer.text


@asynccontextmanager
async def half_sent_requests(port: int, number: int) -> AsyncIterator[None]:
    """So many connections that never end their request."""
    with contextlib.ExitStack() as stack:

        def open_all() -> None:
            for _ in range(number):
                with contextlib.suppress(OSError):
                    connection = socket.create_connection(("127.0.0.1", port), timeout=2)
                    stack.enter_context(connection).sendall(HALF)

        await asyncio.to_thread(open_all)
        yield


async def test_strangers_hold_few_connections_and_no_thread_and_keep_nobody_out() -> None:
    async with port_of_a_worker() as port:
        await asyncio.to_thread(int)  # the one thread that the test itself uses
        threads = threading.active_count()
        async with half_sent_requests(port, 100):
            assert (await answered(port)).status_code == 200
            held = accepted_at(port)

        assert threading.active_count() == threads
        assert held <= CONNECTION_LIMIT + 1


def accepted_at(port: int) -> int:
    """How many connections this process has accepted at this port."""
    connections = psutil.Process().net_connections("tcp")
    return sum(c.laddr.port == port and c.status != psutil.CONN_LISTEN for c in connections)


@pytest.fixture
async def world(tmp_path: Path, postgres_url: str, redis_url: str) -> AsyncIterator[World]:
    async with a_world(tmp_path, postgres_url, redis_url) as world:
        world.fake.platform.add_agent("Anne", agent_id=7)
        world.configure("webhook", max_current_customer=100)
        world.configure("reconcile", interval="500ms")
        yield world


async def test_a_worker_with_few_files_assigns_while_strangers_hold_its_metrics_port(
    world: World,
) -> None:
    port = free_port()
    world.configure("metrics", port=port)
    async with worker_process(world.config) as worker:
        resource.prlimit(worker.process.pid, resource.RLIMIT_NOFILE, (96, 96))
        await worker.says("metrics are served")
        async with half_sent_requests(port, 100):
            answer = await answered(port)
            for _ in range(30):
                world.fake.platform.customer_message(world.fake.platform.new_room_id())
            await until(lambda: world.fake.platform.loads().get(7, 0) == 30, 30)

    assert answer.status_code == 200
    assert "unavailable" not in worker.said


async def test_a_port_that_cannot_be_had_is_a_sentence() -> None:
    with pytest.raises(SettingsError, match=r"metrics\.host: cannot listen on 192\.0\.2\.1: "):
        async with port_of_a_worker({"QT_METRICS_HOST": "192.0.2.1"}):
            pass
