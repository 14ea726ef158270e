"""`sebastian-webhook` as a process: its start, its end, and two of it at one socket."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import psycopg
import pytest
from attrs import define, field

from sebastian_adapters.postgres.migrate import migrate
from tests.webhook_service import ARRIVAL, raw_post, read_answer

TOKEN = "canary-webhook-token"
COMMAND = (sys.executable, "-m", "sebastian_apps.entry.webhook")


@define
class WebhookProcess:
    """The process, where it listens, and what it has written so far."""

    process: Process
    url: str = ""
    shown_at: str = ""
    output: list[str] = field(factory=list)

    async def listening(self) -> None:
        """Come back when it said where it listens."""
        while not self.url:
            event = await self._line()
            self.url = event.get("url", "")
            if event["event"] == "metrics are served":
                self.shown_at = event["port"]

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

    async def _line(self) -> dict[str, str]:
        assert self.process.stderr is not None
        line = (await self.process.stderr.readline()).decode()
        assert line, "\n".join(self.output)
        self.output.append(line)
        event: dict[str, str] = json.loads(line)
        return event


@asynccontextmanager
async def spawned(
    environ: Mapping[str, str], command: Sequence[str], pass_fds: Sequence[int] = ()
) -> AsyncIterator[WebhookProcess]:
    """The process with these variables only, killed at the end if it still runs."""
    inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    process = await asyncio.create_subprocess_exec(
        *command,
        env={**inherited, "QT_LOG_FORMAT": "json", **environ},
        stderr=PIPE,
        pass_fds=pass_fds,
    )
    try:
        yield WebhookProcess(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@asynccontextmanager
async def webhook_process(
    environ: Mapping[str, str], *arguments: str
) -> AsyncIterator[WebhookProcess]:
    async with spawned(environ, (*COMMAND, *(arguments or ("--port", "0")))) as webhook:
        yield webhook


@asynccontextmanager
async def running(environ: Mapping[str, str]) -> AsyncIterator[WebhookProcess]:
    async with webhook_process(environ, "--port", "0") as webhook:
        async with asyncio.timeout(20):
            await webhook.listening()
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


async def test_more_than_one_process_is_refused_with_what_to_do(environ: dict[str, str]) -> None:
    async with webhook_process(environ, "--port", "0", "--processes", "2") as webhook:
        assert await webhook.ended() == 2

    assert "sebastian-webhook.socket" in "\n".join(webhook.output)


HAND_OVER = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"}
os.execv(sys.executable, [sys.executable, *sys.argv[2:]])
"""


@asynccontextmanager
async def handed(
    environ: Mapping[str, str], listener: socket.socket
) -> AsyncIterator[WebhookProcess]:
    """A service that is handed this socket, as systemd does it."""
    descriptor = listener.fileno()
    command = (sys.executable, "-c", HAND_OVER, str(descriptor), *COMMAND[1:])
    async with spawned(environ, command, pass_fds=(descriptor,)) as webhook:
        async with asyncio.timeout(20):
            await webhook.listening()
        yield webhook


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listening:
        yield listening


async def test_two_services_take_from_one_socket_and_one_may_end_under_load(
    environ: dict[str, str], postgres_url: str, listener: socket.socket
) -> None:
    port = listener.getsockname()[1]
    async with handed(environ, listener) as first, handed(environ, listener) as second:
        assert first.url == second.url
        numbers = iter(range(400))
        posting = [
            asyncio.create_task(post_each(port, numbers, kept)) for kept in (True, False) * 8
        ]
        async with asyncio.timeout(60):
            while await rows_in(postgres_url) < 100:
                await asyncio.sleep(0.01)
            first.process.send_signal(signal.SIGTERM)
            statuses = [status for each in posting for status in await each]
            assert await first.ended() == 0

        assert statuses == [200] * 400
        assert await rows_in(postgres_url) == 400
        assert await second.told_to_end() == 0
    assert all("admit" in "\n".join(each.output) for each in (first, second))


async def post_each(port: int, numbers: Iterator[int], kept: bool) -> list[int]:
    """Post webhooks one by one; over one connection until it is closed, or over one for each."""
    statuses, fields = [], () if kept else ("Connection: close",)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for number in numbers:
        writer.write(raw_post(ARRIVAL, b'{"room_id": "%d"}' % number, *fields))
        answer = await read_answer(reader)
        statuses.append(answer.status)
        if answer.headers.get("connection") == "close":
            writer.close()
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.close()
    return statuses


async def test_each_of_them_shows_its_health_and_its_numbers_on_a_port_of_its_own(
    environ: dict[str, str], listener: socket.socket
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        environ |= {"QT_METRICS_PORT": str(free.getsockname()[1])}
    async with handed(environ, listener) as first, handed(environ, listener) as second:
        ports = {int(each.shown_at) for each in (first, second)}
        async with httpx.AsyncClient() as client:
            answers = [
                await client.get(f"http://127.0.0.1:{port}{path}")
                for port in ports
                for path in ("/readyz", "/metrics")
            ]

    assert len(ports) == 2
    assert {answer.status_code for answer in answers} == {200}
    assert "sebastian_webhooks" in answers[1].text


async def test_what_was_handed_over_and_is_no_socket_is_told(environ: dict[str, str]) -> None:
    reading, writing = os.pipe()
    command = (sys.executable, "-c", HAND_OVER, str(reading), *COMMAND[1:])
    async with spawned(environ, command, pass_fds=(reading,)) as webhook:
        assert await webhook.ended() == 1
    os.close(reading)
    os.close(writing)

    assert "file descriptor 3 is no socket" in "\n".join(webhook.output)


async def test_a_socket_handed_over_that_others_can_reach_needs_a_token(
    environ: dict[str, str],
) -> None:
    with socket.create_server(("0.0.0.0", 0)) as listener:
        descriptor = listener.fileno()
        command = (sys.executable, "-c", HAND_OVER, str(descriptor), *COMMAND[1:])
        async with spawned(environ, command, pass_fds=(descriptor,)) as webhook:
            assert await webhook.ended() == 2

    assert "webhook.token" in "\n".join(webhook.output)


async def test_after_sigterm_the_next_request_of_each_connection_is_the_last(
    environ: dict[str, str], postgres_url: str
) -> None:
    async with running(environ) as webhook:
        port = int(webhook.url.rpartition(":")[2])
        kept, fresh = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        kept[1].write(raw_post(ARRIVAL, b'{"room_id": "1"}'))
        assert (await read_answer(kept[0])).status == 200

        webhook.process.send_signal(signal.SIGTERM)
        await webhook.told("Shutting down")
        for number, (_, writer) in enumerate((kept, fresh), 2):
            writer.write(raw_post(ARRIVAL, b'{"room_id": "%d"}' % number))
        answers = [await read_answer(reader) for reader, _ in (kept, fresh)]

        assert [answer.status for answer in answers] == [200, 200]
        assert {answer.headers["connection"] for answer in answers} == {"close"}
        for _, writer in (kept, fresh):
            writer.close()
        assert await webhook.ended() == 0
    assert await rows_in(postgres_url) == 3


async def test_after_sigterm_a_connection_without_a_request_is_kept_for_a_while_and_closed(
    environ: dict[str, str],
) -> None:
    async with running(environ) as webhook:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", int(webhook.url.rpartition(":")[2])
        )
        writer.write(raw_post(ARRIVAL, b'{"room_id": "1"}'))
        await read_answer(reader)
        webhook.process.send_signal(signal.SIGTERM)
        began = asyncio.get_running_loop().time()

        async with asyncio.timeout(12):
            assert await reader.read() == b""

        assert asyncio.get_running_loop().time() - began > 4
        writer.close()
        assert await webhook.ended() == 0


async def test_without_tables_it_says_what_to_do(postgres_url: str, redis_url: str) -> None:
    environ = environ_of(postgres_url, redis_url)
    async with webhook_process(environ, "--port", "0") as webhook:
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
from sebastian_apps.observability.logging import configure_logging
from sebastian_apps.settings import Settings
from sebastian_apps.http.listening import bind
from sebastian_apps.http.serving import run
from tests.webhook_service import parts_in_memory

async def never_comes_back():
    while True:
        pass

configure_logging(Settings())
parts = parts_in_memory(checks={"database": never_comes_back})
raise SystemExit(run(lambda: parts, bind("127.0.0.1", 0), patience_seconds=1))
"""


async def test_a_process_whose_event_loop_is_stuck_ends_itself_and_names_the_code() -> None:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", STUCK, stderr=PIPE)
    webhook = WebhookProcess(process)
    async with asyncio.timeout(20):
        await webhook.listening()
    async with httpx.AsyncClient(base_url=webhook.url) as client:
        with pytest.raises(httpx.TransportError):
            await client.get("/readyz", timeout=20)

    assert await webhook.ended() == 70
    said = "\n".join(webhook.output)
    assert "the event loop did not answer for 1 s; what it is doing" in said
    assert "in never_comes_back" in said
