"""A hundred browsers before one real webhook process: `python -m tests.browser.crowd`.

Prints how often the database was read, how the memory went, and how long SIGTERM took with all
streams open.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx
import psutil
import psycopg
from attrs import define

from sebastian_adapters.postgres.migrate import migrate
from sebastian_apps.dev.servers import EmbeddedPostgres, EmbeddedServer, EmbeddedValkey, free_port

TOKEN = "0123456789abcdef0123456789abcdef"
MEGABYTE = 1024 * 1024


@define
class Watcher:
    """One browser's stream."""

    events: int = 0
    beats: int = 0

    async def watch(self, http: httpx.AsyncClient) -> None:
        """Read until the service ends the stream."""
        async with http.stream("GET", "/floor/events") as answer:
            answer.raise_for_status()
            async for line in answer.aiter_lines():
                self.events += line == "event: floor"
                self.beats += line == "event: beat"


async def main(clients: int, seconds: float) -> int:
    """Run it; 0 if all went as it should."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="crowd-")))
        postgres = EmbeddedPostgres(directory=folder / "postgres", tcp=True)
        valkey = EmbeddedValkey(directory=folder / "valkey", tcp=True)
        for server in (postgres, valkey):
            await stack.enter_async_context(_running(server))
        await migrate(postgres.url)
        port = free_port()
        process = _start(postgres.url, valkey.url, port)
        try:
            return await _crowd(process, port, postgres.url, clients, seconds)
        finally:
            process.kill()
            process.wait()


async def _crowd(
    process: subprocess.Popen[bytes], port: int, url: str, clients: int, seconds: float
) -> int:
    limits = httpx.Limits(max_connections=clients + 1)
    headers = {"authorization": f"Bearer {TOKEN}"}
    watchers = [Watcher() for _ in range(clients)]
    async with httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{port}", limits=limits, headers=headers, timeout=60
    ) as http:
        await _until_ready(http)
        watching = [asyncio.create_task(each.watch(http)) for each in watchers]
        customers = asyncio.create_task(_customers(http))
        await asyncio.sleep(seconds / 6)
        before, began = await _commits(url), time.monotonic()
        memory = [_memory(process)]
        while time.monotonic() - began < seconds * 5 / 6:
            await asyncio.sleep(1)
            memory.append(_memory(process))
        commits = (await _commits(url) - before) / (time.monotonic() - began)
        customers.cancel()
        stopped_at = time.monotonic()
        process.send_signal(signal.SIGTERM)
        status = await asyncio.to_thread(process.wait)
        took = time.monotonic() - stopped_at
        await asyncio.gather(*watching, customers, return_exceptions=True)
    events = [each.events for each in watchers]
    told = [
        f"clients                 {clients} for {seconds:.0f} s",
        f"events a client         {min(events)} to {max(events)}",
        f"transactions a second   {commits:.1f} (one look is 7, one customer 1)",
        f"memory                  {memory[0]:.1f} MB, then at most {max(memory):.1f} MB",
        f"SIGTERM                 {took:.2f} s, status {status}",
    ]
    sys.stdout.write("\n".join(told) + "\n")
    is_flat = max(memory) - memory[0] < 5
    return int(not (is_flat and took < 10 and status == 0 and min(events) > seconds / 3))


async def _customers(http: httpx.AsyncClient) -> None:
    """One new customer a second, so that there is something to send."""
    room = 0
    while True:
        room += 1
        await http.post("/webhook-incoming-message", json={"room_id": str(room)})
        await asyncio.sleep(1)


def _start(postgres_url: str, redis_url: str, port: int) -> subprocess.Popen[bytes]:
    environ = {
        "QT_DB_CONNECTION_STRING": postgres_url,
        "QT_REDIS_URL": redis_url,
        "QT_ADMIN_TOKEN": TOKEN,
        "QT_LOG_LEVEL": "warning",
        "QT_LISTEN_PORT": str(port),
    }
    command = [sys.executable, "-m", "sebastian_apps.entry.webhook"]
    return subprocess.Popen(command, env=os.environ | environ)


async def _until_ready(http: httpx.AsyncClient) -> None:
    async with asyncio.timeout(20):
        while True:
            try:
                if (await http.get("/readyz")).status_code == 200:
                    return
            except httpx.ConnectError:
                pass
            await asyncio.sleep(0.1)


async def _commits(url: str) -> int:
    """How many transactions the database has committed, the asking ones aside."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute("select pg_stat_clear_snapshot()")
        cursor = await connection.execute(
            "select xact_commit from pg_stat_database where datname = current_database()"
        )
        row = await cursor.fetchone()
    return int(row[0]) if row else 0


def _memory(process: subprocess.Popen[bytes]) -> float:
    return float(psutil.Process(process.pid).memory_info().rss) / MEGABYTE


@asynccontextmanager
async def _running(server: EmbeddedServer) -> AsyncIterator[None]:
    await asyncio.to_thread(server.start)
    try:
        yield
    finally:
        await asyncio.to_thread(server.stop)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=60)
    given = parser.parse_args()
    sys.exit(asyncio.run(main(given.clients, given.seconds)))
