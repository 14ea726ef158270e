"""Both services where nobody reads what they write to standard error."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from sebastian_adapters.postgres.migrate import migrate
from sebastian_adapters.testing.waiting import until
from sebastian_apps.dev.servers import free_port
from tests.integration.cli_world import World, a_world
from tests.integration.test_webhook_process import environ_of
from tests.integration.test_worker_process import STUCK
from tests.webhook_service import ARRIVAL

END_SECONDS = 15


@contextmanager
def pipe_that_nobody_reads() -> Iterator[int]:
    """Full to the last byte; its reader holds it and reads nothing."""
    read, write = os.pipe()
    os.set_blocking(write, False)
    with suppress(BlockingIOError):
        while True:
            os.write(write, b"x" * 4096)
    with suppress(BlockingIOError):
        while True:
            os.write(write, b"x")
    os.set_blocking(write, True)
    try:
        yield write
    finally:
        os.close(write)
        os.close(read)


@contextmanager
def pipe_that_is_full_in_the_middle_of_a_report() -> Iterator[int]:
    """It takes the first line of what a stuck process says, and not the rest."""
    with pipe_that_nobody_reads() as write:
        room = os.open(f"/proc/self/fd/{write}", os.O_RDONLY | os.O_NONBLOCK)
        os.read(room, 4096)
        os.close(room)
        yield write


@contextmanager
def pipe_whose_reader_left() -> Iterator[int]:
    read, write = os.pipe()
    os.close(read)
    try:
        yield write
    finally:
        os.close(write)


@contextmanager
def full_disk() -> Iterator[int]:
    with open("/dev/full", "wb", buffering=0) as full:  # noqa: PTH123 - it is no file of ours
        yield full.fileno()


@pytest.fixture(params=[pipe_that_nobody_reads, pipe_whose_reader_left, full_disk])
def unread(request: pytest.FixtureRequest) -> Iterator[int]:
    """A standard error that takes nothing."""
    with request.param() as descriptor:
        yield descriptor


@asynccontextmanager
async def started(
    *command: str, stderr: int, environ: dict[str, str] | None = None
) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, env={**os.environ, **(environ or {})}, stderr=stderr
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def told_to_end(process: Process) -> int:
    process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(END_SECONDS):
        return await process.wait()


async def test_the_webhook_service_answers_and_ends_when_it_is_told(
    unread: int, postgres_url: str, redis_url: str
) -> None:
    await migrate(postgres_url)
    port = free_port()
    command = ("-m", "sebastian_apps.entry.webhook", "--port", str(port))
    environ = environ_of(postgres_url, redis_url)
    async with (
        started(*command, stderr=unread, environ=environ) as process,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client,
    ):
        async with asyncio.timeout(20):
            while not await is_answered(client):
                await asyncio.sleep(0.02)

        answers = [
            await client.post(ARRIVAL, json={"room_id": str(number)}) for number in range(300)
        ]

        assert {answer.status_code for answer in answers} == {200}
        assert await told_to_end(process) == 0


async def test_the_webhook_service_answers_where_its_standard_error_is_closed(
    postgres_url: str, redis_url: str
) -> None:
    await migrate(postgres_url)
    port = free_port()
    closed = (
        "import os, sys; os.close(2); os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
    )
    command = ("-c", closed, "-m", "sebastian_apps.entry.webhook", "--port", str(port))
    environ = environ_of(postgres_url, redis_url)
    async with (
        started(*command, stderr=2, environ=environ) as process,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client,
    ):
        async with asyncio.timeout(20):
            while not await is_answered(client):
                await asyncio.sleep(0.02)

        assert descriptor(process, 2) == Path(os.devnull)
        assert await told_to_end(process) == 0


def descriptor(process: Process, number: int) -> Path:
    """What a process has open under this number."""
    return Path(f"/proc/{process.pid}/fd/{number}").readlink()


async def is_answered(client: httpx.AsyncClient) -> bool:
    with suppress(httpx.TransportError):
        return (await client.get("/healthz")).is_success
    return False


async def test_a_worker_gives_chats_and_ends_when_it_is_told(
    unread: int, tmp_path: Path, postgres_url: str, redis_url: str
) -> None:
    async with a_world(tmp_path, postgres_url, redis_url) as world:
        world.fake.platform.add_agent("Anne", agent_id=7)
        world.configure("webhook", max_current_customer=100)
        for _ in range(20):
            world.fake.platform.customer_message(world.fake.platform.new_room_id())
        command = ("-m", "sebastian_apps.entry.worker", "-c", str(world.config))
        async with started(*command, stderr=unread) as process:
            await until(lambda: served(world) == 20, 20)

            assert await told_to_end(process) == 0


def served(world: World) -> int:
    return world.fake.platform.loads().get(7, 0)


@pytest.mark.parametrize("hang", ["never_comes_back()", "logging.info('%s', Endless())"])
async def test_a_process_that_is_stuck_ends_itself_all_the_same(unread: int, hang: str) -> None:
    async with started("-c", STUCK.replace("HANG", hang), stderr=unread) as process:
        async with asyncio.timeout(END_SECONDS):
            assert await process.wait() == 70


async def test_a_process_that_is_stuck_ends_where_its_report_is_not_read_to_the_end() -> None:
    many = "[threading.Thread(target=never_comes_back, daemon=True).start() for _ in range(60)]"
    program = STUCK.replace("HANG", f"{many}; never_comes_back()")
    with pipe_that_is_full_in_the_middle_of_a_report() as stderr:
        async with started("-c", program, stderr=stderr) as process:
            async with asyncio.timeout(END_SECONDS):
                assert await process.wait() in {70, -signal.SIGALRM}
