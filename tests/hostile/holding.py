"""Strangers who hold what they can: requests in a pipeline, answers unread, bodies without end."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import ExitStack, asynccontextmanager

import httpx
import psutil
from attrs import frozen

from tests.hostile.stage import HOOK_TOKEN, Stage
from tests.webhook_service import ARRIVAL

PIPELINED = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 14_000
UNREAD = b"GET /floor/floor.js HTTP/1.1\r\nHost: x\r\n\r\n" * 300
IN_CRUMBS = b"POST /nothing HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + (
    b"1\r\nx\r\n" * 50_000
)


UNKEPT = httpx.Limits(max_keepalive_connections=0)


@frozen
class Held:
    """What came of it: the service's memory, and the webhooks that were sent meanwhile."""

    most_megabytes: float
    statuses: tuple[int, ...]
    slowest_seconds: float


async def hold(stage: Stage, sent: Iterable[bytes], *, seconds: float, again: bool = False) -> Held:
    """One connection for each of these, that never reads; a webhook ten times a second beside.

    Each webhook has a connection of its own: one that is kept may be sent away between two.

    With `again` a connection that the service ended is followed by a new one.
    """
    most, statuses, waits, began = 0.0, list[int](), list[float](), time.monotonic()
    async with (
        strangers(stage, list(sent), again=again),
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
async def strangers(stage: Stage, sent: list[bytes], *, again: bool) -> AsyncIterator[None]:
    """These senders, for as long as the block lasts."""
    port = int(stage.url.rpartition(":")[2])
    tasks = [asyncio.create_task(_insist(port, each, lambda: again)) for each in sent]
    await asyncio.sleep(0)
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _insist(port: int, sent: bytes, again: Callable[[], bool]) -> None:
    loop = asyncio.get_running_loop()
    while True:
        with ExitStack() as stack:
            stranger = stack.enter_context(socket.socket())
            stranger.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            stranger.setblocking(False)
            try:
                await loop.sock_connect(stranger, ("127.0.0.1", port))
                await loop.sock_sendall(stranger, sent)
                await asyncio.Event().wait()
            except OSError:
                pass
        if not again():
            return
