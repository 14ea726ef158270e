"""Strangers who hold what they can: requests in a pipeline, answers unread, bodies without end."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress

import httpx
import psutil
from attrs import frozen

from tests.hostile.stage import HOOK_TOKEN, Stage
from tests.webhook_service import ARRIVAL

PIPELINED = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 14_000
UNREAD = b"GET /floor/floor.js HTTP/1.1\r\nHost: x\r\n\r\n" * 300
REFUSED = b"POST /nothing HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
CRUMBS = b"1\r\nx\r\n" * 10_000


UNKEPT = httpx.Limits(max_keepalive_connections=0)


@frozen
class Held:
    """What came of it: the service's memory, and the webhooks that were sent meanwhile."""

    most_megabytes: float
    statuses: tuple[int, ...]
    slowest_seconds: float


async def hold(stage: Stage, sent: Iterable[bytes], *, seconds: float, then: bytes = b"") -> Held:
    """One connection for each of these, that never reads; a webhook ten times a second beside.

    Each webhook has a connection of its own: one that is kept may be sent away between two.

    With `then` each sends that on and on, and begins anew when the service ends its connection.
    """
    most, statuses, waits, began = 0.0, list[int](), list[float](), time.monotonic()
    async with (
        strangers(stage, list(sent), then),
        httpx.AsyncClient(base_url=stage.url, timeout=30, limits=UNKEPT) as client,
    ):
        while (now := time.monotonic()) - began < seconds:
            body = {"room_id": str(700_000 + len(statuses))}
            answer = await client.post(f"{ARRIVAL}/{HOOK_TOKEN}", json=body)
            statuses.append(answer.status_code)
            waits.append(time.monotonic() - now)
            most = max(most, psutil.Process(stage.pid).memory_info().rss / 1e6)
            await asyncio.sleep(0.1)
    return Held(most, tuple(statuses), max(waits))


@asynccontextmanager
async def strangers(stage: Stage, sent: list[bytes], then: bytes) -> AsyncIterator[None]:
    """These senders, for as long as the block lasts."""
    port = int(stage.url.rpartition(":")[2])
    tasks = [asyncio.create_task(_insist(port, each, then)) for each in sent]
    await asyncio.sleep(0)
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _insist(port: int, sent: bytes, then: bytes) -> None:
    loop = asyncio.get_running_loop()
    while True:
        with suppress(OSError), socket.socket() as stranger:
            stranger.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            stranger.setblocking(False)
            await loop.sock_connect(stranger, ("127.0.0.1", port))
            await loop.sock_sendall(stranger, sent)
            while then:
                await loop.sock_sendall(stranger, then)
            await asyncio.Event().wait()
        if not then:
            return
