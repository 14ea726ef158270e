"""`sebastian-webhook` as a process: its start, its end, and several of it at one address."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import psutil
import psycopg
import pytest
from attrs import define, field

from sebastian_adapters.postgres.migrate import migrate
from tests.webhook_service import ARRIVAL, raw_post, read_answer

TOKEN = "canary-webhook-token"
COMMAND = (sys.executable, "-m", "sebastian_apps.webhook.main")


@define
class WebhookProcess:
    """The process, where it listens, and what it has written so far."""

    process: Process
    url: str = ""
    output: list[str] = field(factory=list)

    async def listening(self, processes: int) -> None:
        """Come back when each process said where it listens."""
        for _ in range(processes):
            self.url = (await self.told("listening"))["url"]

    async def told(self, name: str) -> dict[str, str]:
        """The next event with this name."""
        while True:
            event = await self._line()
            if event["event"] == name:
                return event

    async def ended(self) -> int:
        """The exit status, once it has ended by itself."""
        assert self.process.stderr is not None
        async with asyncio.timeout(15):
            self.output += (await self.process.stderr.read()).decode().splitlines()
            return await self.process.wait()

    async def told_to_end(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return await self.ended()

    @property
    def children(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children()

    async def _line(self) -> dict[str, str]:
        assert self.process.stderr is not None
        line = (await self.process.stderr.readline()).decode()
        assert line, "\n".join(self.output)
        self.output.append(line)
        event: dict[str, str] = json.loads(line)
        return event


@asynccontextmanager
async def webhook_process(
    environ: Mapping[str, str], *arguments: str
) -> AsyncIterator[WebhookProcess]:
    """The process with these variables only, killed at the end if it still runs."""
    command = (*COMMAND, *(arguments or ("--port", "0")))
    inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    process = await asyncio.create_subprocess_exec(
        *command, env={**inherited, "QT_LOG_FORMAT": "json", **environ}, stderr=PIPE
    )
    try:
        yield WebhookProcess(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@asynccontextmanager
async def running(
    environ: Mapping[str, str], *, processes: int = 1
) -> AsyncIterator[WebhookProcess]:
    arguments = ("--port", "0", "--processes", str(processes))
    async with webhook_process(environ, *arguments) as webhook:
        async with asyncio.timeout(20):
            await webhook.listening(processes)
        yield webhook


@pytest.fixture
async def environ(postgres_url: str, redis_url: str) -> dict[str, str]:
    await migrate(postgres_url)
    return environ_of(postgres_url, redis_url)


def environ_of(postgres_url: str, redis_url: str) -> dict[str, str]:
    return {
        "QT_DB_CONNECTION_STRING": postgres_url,
        "QT_REDIS_URL": redis_url,
        "QT_QISCUS_APP_ID": "app",
        "QT_QISCUS_SECRET_KEY": "secret-key",
    }


async def rows_in(url: str) -> int:
    async with await psycopg.AsyncConnection.connect(url) as connection:
        cursor = await connection.execute("select count(*) from sebastian.chat")
        row = await cursor.fetchone()
    assert row is not None
    return int(row[0])


async def test_it_records_webhooks_until_it_is_told_to_end(
    environ: dict[str, str], postgres_url: str
) -> None:
    async with running(environ | {"QT_WEBHOOK_TOKEN": TOKEN}) as webhook:
        async with httpx.AsyncClient(base_url=webhook.url) as client:
            answer = await client.post(f"{ARRIVAL}/{TOKEN}", json={"room_id": "1"})
            await client.post(f"{ARRIVAL}/{TOKEN}x", json={"room_id": "2"})
            await client.post(f"{ARRIVAL}/{TOKEN}", content=b"rubbish")

        assert answer.status_code == 200
        assert await rows_in(postgres_url) == 1
        assert await webhook.told_to_end() == 0
        assert TOKEN not in "\n".join(webhook.output)


async def test_a_request_under_way_is_finished_before_the_end(environ: dict[str, str]) -> None:
    async with running(environ) as webhook:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", int(webhook.url.rpartition(":")[2])
        )
        request = raw_post(ARRIVAL, b'{"room_id": "1"}', "Expect: 100-continue")
        writer.write(request[:-5])
        assert b" 100 " in await reader.readuntil(b"\r\n\r\n")
        webhook.process.send_signal(signal.SIGTERM)
        writer.write(request[-5:])

        answer = await read_answer(reader)
        writer.close()

        assert answer.status == 200
        assert await webhook.ended() == 0


async def test_one_that_is_killed_between_commit_and_answer_has_recorded_and_a_repeat_adds_nothing(
    environ: dict[str, str], postgres_url: str
) -> None:
    await make_commits_slow(postgres_url)
    async with running(environ) as webhook, httpx.AsyncClient(base_url=webhook.url) as client:
        asking = asyncio.create_task(client.post(ARRIVAL, json={"room_id": "1"}))
        await commit_under_way(postgres_url)

        webhook.process.kill()

        with pytest.raises(httpx.TransportError):
            await asking
    async with asyncio.timeout(10):
        while await rows_in(postgres_url) == 0:
            await asyncio.sleep(0.02)
    async with running(environ) as webhook, httpx.AsyncClient(base_url=webhook.url) as client:
        again = await client.post(ARRIVAL, json={"room_id": "1"})

    assert again.status_code == 200
    assert await rows_in(postgres_url) == 1


async def make_commits_slow(url: str) -> None:
    """A commit that adds a chat takes half a second from now on."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute(
            "create function public.wait() returns trigger language plpgsql as"
            " $$ begin perform pg_sleep(0.5); return null; end $$"
        )
        await connection.execute(
            "create constraint trigger slow after insert on sebastian.chat"
            " deferrable initially deferred for each row execute function public.wait()"
        )


async def commit_under_way(url: str) -> None:
    """Come back once a session waits in that trigger."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        async with asyncio.timeout(10):
            while True:
                waits = await connection.execute(
                    "select from pg_stat_activity where wait_event = 'PgSleep'"
                    " and datname = current_database()"
                )
                if waits.rowcount:
                    return


async def test_a_body_that_never_comes_does_not_delay_the_end(environ: dict[str, str]) -> None:
    async with running(environ) as webhook:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", int(webhook.url.rpartition(":")[2])
        )
        writer.write(raw_post(ARRIVAL, b"{}", "Expect: 100-continue")[:-1])
        assert b" 100 " in await reader.readuntil(b"\r\n\r\n")

        async with asyncio.timeout(10):
            assert await webhook.told_to_end() == 0
        writer.close()


async def test_several_processes_share_the_address_and_end_together(
    environ: dict[str, str], postgres_url: str
) -> None:
    async with running(environ, processes=2) as webhook:
        assert len(webhook.children) == 2

        async with httpx.AsyncClient(base_url=webhook.url) as client:
            answers = await asyncio.gather(
                *(client.post(ARRIVAL, json={"room_id": str(number)}) for number in range(40))
            )

        assert {answer.status_code for answer in answers} == {200}
        assert await rows_in(postgres_url) == 40
        assert await webhook.told_to_end() == 0


async def test_when_one_of_several_dies_the_others_serve_on(environ: dict[str, str]) -> None:
    async with running(environ, processes=2) as webhook:
        killed, other = webhook.children
        killed.kill()

        async with asyncio.timeout(10):
            await webhook.told("a process ended")
        async with httpx.AsyncClient(base_url=webhook.url) as client:
            for number in range(20):
                headers = {"connection": "close"}
                answer = await client.post(ARRIVAL, json={"room_id": str(number)}, headers=headers)
                assert answer.status_code == 200

        assert other.is_running()
        assert await webhook.told_to_end() == 1


async def test_when_the_parent_is_killed_the_others_end_by_themselves(
    environ: dict[str, str],
) -> None:
    async with running(environ, processes=2) as webhook:
        children = webhook.children
        webhook.process.kill()

        _, left = await asyncio.to_thread(psutil.wait_procs, children, 12)

    assert left == []


@pytest.mark.parametrize("processes", ["1", "2"])
async def test_without_tables_it_says_what_to_do(
    postgres_url: str, redis_url: str, processes: str
) -> None:
    environ = environ_of(postgres_url, redis_url)
    async with webhook_process(environ, "--port", "0", "--processes", processes) as webhook:
        assert await webhook.ended() == 1

    assert "sebastian migrate" in "\n".join(webhook.output)
    assert "Traceback" not in "\n".join(webhook.output)


async def test_it_refuses_to_listen_to_strangers_without_a_token(
    environ: dict[str, str], tmp_path: Path
) -> None:
    config = tmp_path / "config.yml"
    config.write_text("listen: {port: 3999}\n")
    arguments = ("-c", str(config), "--host", "0.0.0.0")
    async with webhook_process(environ, *arguments) as webhook:
        assert await webhook.ended() == 2

    assert "webhook.token" in "\n".join(webhook.output)


async def test_without_a_database_configured_it_says_what_is_missing() -> None:
    async with webhook_process({}, "--port", "0") as webhook:
        assert await webhook.ended() == 2

    assert "db.connection_string" in "\n".join(webhook.output)


async def test_an_address_that_is_taken_is_named(environ: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        async with webhook_process(environ, "--port", port) as webhook:
            assert await webhook.ended() == 1

    assert f"cannot listen on 127.0.0.1:{port}" in "\n".join(webhook.output)


STUCK = """
from sebastian_apps.logging import configure_logging
from sebastian_apps.settings import Settings
from sebastian_apps.webhook.serving import bind, serve
from tests.webhook_service import parts_in_memory

async def never_comes_back():
    while True:
        pass

configure_logging(Settings())
(listener,) = bind("127.0.0.1", 0)
parts = parts_in_memory(checks={"database": never_comes_back})
raise SystemExit(serve(lambda: parts, listener, patience_seconds=1))
"""


async def test_a_process_whose_event_loop_is_stuck_ends_itself_and_names_the_code() -> None:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", STUCK, stderr=PIPE)
    webhook = WebhookProcess(process)
    async with asyncio.timeout(20):
        await webhook.listening(1)
    async with httpx.AsyncClient(base_url=webhook.url) as client:
        with pytest.raises(httpx.TransportError):
            await client.get("/readyz", timeout=20)

    assert await webhook.ended() == 70
    said = "\n".join(webhook.output)
    assert "the event loop did not answer for 1 s; what it is doing" in said
    assert "in never_comes_back" in said
