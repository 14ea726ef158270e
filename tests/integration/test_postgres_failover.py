"""A real webhook service over TCP, whose sessions end, or whose primary becomes another server."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from sebastian_adapters.postgres.migrate import migrate
from sebastian_adapters.testing.waiting import until
from sebastian_apps.dev.servers import LOOPBACK, EmbeddedPostgres
from tests.chaos.proxy import Proxy
from tests.integration.postgres import execute, rows
from tests.integration.test_webhook_process import environ_of, running
from tests.servers import copied_postgres
from tests.webhook_service import ARRIVAL

WRITING_AGAIN_SECONDS = 10.0
NO_REDIS = "redis://127.0.0.1:1"
END_ALL = """
    select pg_terminate_backend(pid) from pg_stat_activity
    where application_name = 'sebastian-webhook' and datname = current_database()
"""
SESSIONS = """
    select count(*) from pg_stat_activity
    where application_name = 'sebastian-webhook' and datname = current_database()
"""
ADMITTED = "select count(*), count(distinct room_id) from sebastian.history where move = 'admit'"
DEMOTED = "alter system set default_transaction_read_only = on"
RELOADED = "select pg_reload_conf()"


@asynccontextmanager
async def service_on(url: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the service, which is a process of its own on this database."""
    async with running(environ_of(url, NO_REDIS)) as webhook:
        assert webhook.process.stderr is not None
        reading = asyncio.create_task(webhook.process.stderr.read())
        async with httpx.AsyncClient(base_url=webhook.url, timeout=20) as client:
            await answered(client.get, "/readyz")
            yield client
        reading.cancel()


async def answered(ask: Callable[..., Any], *asked: Any, **more: Any) -> float:
    """Ask until the answer is 200, for ten seconds; how many seconds that took."""
    began = time.monotonic()
    async with asyncio.timeout(WRITING_AGAIN_SECONDS):
        while (await ask(*asked, **more)).status_code != 200:
            await asyncio.sleep(0.05)
    return time.monotonic() - began


async def arrive(client: httpx.AsyncClient, room_id: str) -> int:
    """The status that the webhook of this room's customer is answered with."""
    return (await client.post(ARRIVAL, json={"room_id": room_id})).status_code


async def test_no_webhook_is_lost_to_sessions_that_ended_while_they_were_idle(
    postgres_url: str,
) -> None:
    await migrate(postgres_url)
    statuses: list[int] = []
    async with service_on(postgres_url) as client:
        for turn in range(20):
            calls = [arrive(client, f"{turn}-{number}") for number in range(10)]
            ended = rows(postgres_url, END_ALL)
            statuses += await asyncio.gather(*calls)
            assert ended

    assert statuses == [200] * 200
    assert rows(postgres_url, ADMITTED) == [(200, 200)]


@pytest.fixture
async def second_postgres(postgres_original: Path) -> AsyncIterator[EmbeddedPostgres]:
    """Another server than `own_postgres`."""
    with copied_postgres(postgres_original) as server:
        yield server


@pytest.fixture
async def address(
    own_postgres: EmbeddedPostgres, second_postgres: EmbeddedPostgres
) -> AsyncIterator[Proxy]:
    """The one address of both servers: new connections go to the first."""
    for server in (own_postgres, second_postgres):
        await migrate(server.url)
    async with Proxy([(LOOPBACK, own_postgres.port)], random.Random(0)) as proxy:
        yield proxy


def url_of(proxy: Proxy) -> str:
    return f"postgresql://postgres@{LOOPBACK}:{proxy.port}/postgres"


def demote(server: EmbeddedPostgres) -> None:
    """Let it take no more writes, and keep its sessions."""
    execute(server.url, DEMOTED)
    execute(server.url, RELOADED)


async def until_not_ready(client: httpx.AsyncClient) -> None:
    """Wait until readiness tells what the webhooks meet."""
    async with asyncio.timeout(5):
        while (await client.get("/readyz")).status_code != 503:
            await asyncio.sleep(0.05)


async def test_after_a_failover_behind_one_address_it_writes_again_within_ten_seconds(
    address: Proxy,
    own_postgres: EmbeddedPostgres,
    second_postgres: EmbeddedPostgres,
    record_property: Callable[[str, object], None],
) -> None:
    async with service_on(url_of(address)) as client:
        assert await arrive(client, "before") == 200

        demote(own_postgres)
        during = await arrive(client, "during")
        await until_not_ready(client)
        address.targets = [(LOOPBACK, second_postgres.port)]
        seconds = await answered(client.post, ARRIVAL, json={"room_id": "after"})

        assert during == 503
        assert rows(second_postgres.url, "select room_id from sebastian.chat") == [("after",)]
        await answered(client.get, "/readyz")
    record_property("told", f"failover behind one address: writing again after {seconds:.2f} s")


async def test_sessions_that_a_demoted_primary_keeps_cost_no_webhook(
    address: Proxy, own_postgres: EmbeddedPostgres, second_postgres: EmbeddedPostgres
) -> None:
    async with service_on(url_of(address)) as client:
        assert await arrive(client, "before") == 200

        address.targets = [(LOOPBACK, second_postgres.port)]
        demote(own_postgres)
        statuses = await asyncio.gather(*(arrive(client, str(number)) for number in range(30)))

        assert statuses == [200] * 30
        await until(lambda: rows(own_postgres.url, SESSIONS) == [(0,)])
    assert rows(second_postgres.url, ADMITTED) == [(30, 30)]
