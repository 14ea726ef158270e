"""What a stranger may send, in a few seconds; `python -m tests.hostile` takes longer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Self

import httpx
import psycopg
import pytest

from tests.hostile.fuzzing import PHASES, Case, fuzz, strange_rooms
from tests.hostile.heads import SOME_PATHS, costs, heads
from tests.hostile.holding import CRUMBS, PIPELINED, REFUSED, UNREAD, hold
from tests.hostile.stage import ADMIN_TOKEN, HOOK_TOKEN, Stage, a_stage
from tests.webhook_service import ARRIVAL, RESOLVE, raw_post

EXAMPLES, SEED = 3, 4711


@pytest.fixture
async def stage(tmp_path: Path, postgres_url: str, redis_url: str) -> AsyncIterator[Stage]:
    async with a_stage(tmp_path, postgres_url, redis_url) as stage:
        yield stage


async def test_no_request_that_can_be_derived_from_our_own_description_breaks_it(
    stage: Stage, tmp_path: Path
) -> None:
    found = await fuzz(stage, tmp_path, examples=EXAMPLES, seed=SEED)

    assert not found.failed, found.said
    assert not found.server_errors
    assert not found.strange_rooms
    assert all(found.by_phase[phase] for phase in PHASES)
    assert {200, 400, 401} <= found.statuses.keys()


async def test_no_head_of_a_stranger_holds_the_service(stage: Stage) -> None:
    sent = heads([15_000, 32_000], SOME_PATHS)

    async with asyncio.timeout(120):
        dear = [cost async for cost in costs(stage, sent) if cost.seconds > 1]

    assert not dear, "; ".join(f"{cost.head}: {cost.seconds:.2f} s" for cost in dear)


async def test_a_row_that_no_accepted_request_explains_is_found(stage: Stage) -> None:
    async with httpx.AsyncClient(base_url=stage.url) as client:
        await client.post(f"{ARRIVAL}/{HOOK_TOKEN}", json={"room_id": "1"})
        await client.post(f"{ARRIVAL}/{HOOK_TOKEN}", json={"room_id": "2"})
    taken = Case("fuzzing", "POST", stage.url, b'{"room_id": "1"}', 200)
    rejected = Case("fuzzing", "POST", stage.url, b'{"room_id": "2"}', 400)

    assert await strange_rooms(stage.database_url, (taken, rejected)) == ["2"]


class Trap:
    """A server that nobody has any business with."""

    def __init__(self) -> None:
        self.callers = 0
        self.url = ""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._called, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self._server.wait_closed()

    def _called(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.callers += 1
        writer.close()


async def test_set_webhook_calls_the_configured_platform_and_nobody_else(stage: Stage) -> None:
    async with Trap() as trap, httpx.AsyncClient(base_url=stage.url) as client:
        bearer = {"authorization": f"Bearer {ADMIN_TOKEN}"}
        host = trap.url.removeprefix("http://")
        for headers in (
            {"host": host},
            {"x-forwarded-host": host, "x-forwarded-proto": "http", "forwarded": f"host={host}"},
            {
                "x-original-url": trap.url,
                "x-rewrite-url": trap.url,
                "referer": trap.url,
            },
        ):
            answer = await client.post(
                f"/set-webhook?base_url={trap.url}&webhook_url={trap.url}",
                headers=bearer | headers,
                json={"base_url": trap.url, "webhook_url": trap.url, "qiscus": {"url": trap.url}},
            )
            assert answer.status_code == 200, answer.text
        absolute = await raw(
            stage,
            f"POST {trap.url}/set-webhook HTTP/1.1\r\nHost: {host}\r\n"
            f"Authorization: Bearer {ADMIN_TOKEN}\r\nContent-Length: 0\r\n\r\n".encode(),
        )
        registered = {
            stage.fake.platform.app.webhook_url(kind) for kind in ("allocation", "resolved")
        }

    assert absolute.startswith(b"HTTP/1.1 ")
    assert trap.callers == 0
    assert stage.fake.calls
    assert registered == {
        f"https://sebastian.example{path}/{HOOK_TOKEN}" for path in (ARRIVAL, RESOLVE)
    }


async def test_slow_heads_and_slow_bodies_do_not_hold_the_service(stage: Stage) -> None:
    target = f"{ARRIVAL}/{HOOK_TOKEN}"
    slow = [await connection(stage) for _ in range(200)]
    for number, (_, writer) in enumerate(slow):
        writer.write(raw_post(target, b'{"room_id": "9"}')[: -1 - number % 120])
    async with httpx.AsyncClient(base_url=stage.url, timeout=5) as client:
        for number in range(20):
            for _, writer in slow[number * 10 : number * 10 + 10]:
                writer.write(b" ")
            answer = await client.post(target, json={"room_id": str(number + 100)})
            assert answer.status_code == 200
        assert (await client.get("/healthz")).status_code == 200
        assert (await client.get("/readyz")).status_code == 200
    for _, writer in slow:
        writer.close()

    assert await count(stage, "select count(*) from sebastian.chat where room_id <> '9'") == 20


async def test_requests_in_a_pipeline_and_unread_answers_hold_little(stage: Stage) -> None:
    held = await hold(stage, [PIPELINED] * 30 + [UNREAD] * 60, seconds=5)

    assert held.most_megabytes < 150
    assert set(held.statuses) == {200}


async def test_with_few_open_files_a_webhook_is_answered_beside_those_who_hold_them(
    tmp_path: Path, postgres_url: str, redis_url: str
) -> None:
    async with a_stage(tmp_path, postgres_url, redis_url, files=64) as stage:
        held = await hold(stage, [UNREAD] * 60 + [b""] * 60, seconds=5)
        told = [line for line in stage.log.read_text().splitlines() if "crowded" in line]

    assert set(held.statuses) == {200}
    assert len(told) == 1


async def test_refused_bodies_in_crumbs_delay_no_webhook_for_long(stage: Stage) -> None:
    held = await hold(stage, [REFUSED] * 8, seconds=5, then=CRUMBS)

    assert set(held.statuses) == {200}


async def connection(stage: Stage) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", int(stage.url.rpartition(":")[2]))


async def raw(stage: Stage, sent: bytes) -> bytes:
    """The first line of the answer to these bytes."""
    reader, writer = await connection(stage)
    writer.write(sent)
    async with asyncio.timeout(10):
        line = await reader.readline()
    writer.close()
    return line


async def count(stage: Stage, statement: str) -> int:
    async with await psycopg.AsyncConnection.connect(stage.database_url) as connection:
        row = await (await connection.execute(statement.encode())).fetchone()
    assert row is not None
    return int(row[0])
