"""Calls to the platform: our client, a plain `httpx.AsyncClient`, and bare sockets as the limit."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from urllib.parse import urlencode, urlsplit

import httpx
from attrs import frozen

from benchmarks.measuring import median
from benchmarks.report import Figure
from benchmarks.stage import APP_ID, SECRET_KEY, Stage, fake_platform
from sebastian_adapters.memory.clock import InMemoryClock
from sebastian_adapters.qiscus.client import HttpxQiscusClient
from sebastian_core.domain.ids import AgentId, RoomId

PATH = "/api/v1/admin/service/assign_agent"
HEADERS = {"Qiscus-App-Id": APP_ID, "Qiscus-Secret-Key": SECRET_KEY}
LATENCY_SECONDS = 0.02
Call = Callable[[], Awaitable[object]]


@frozen
class Pace:
    """Calls a second, and processor milliseconds of the caller for each."""

    rate: float
    cpu_ms: float


def measure(stage: Stage, *, rounds: int, seconds: float) -> list[Figure]:
    """At 1, 32, 128 and 256 in flight, in turns."""
    with fake_platform(stage, agents=1, latency_seconds=LATENCY_SECONDS) as platform:
        room_id = RoomId(platform.told("message", {})["room_ids"][0])
        agent_id = AgentId(platform.told("truth")["online"][0])
        figures = []
        for in_flight in (1, 32, 128, 256):
            paces = asyncio.run(
                _alternating(platform.url, room_id, agent_id, in_flight, rounds, seconds)
            )
            figures.append(_figure(in_flight, paces))
        return figures


async def _alternating(
    url: str, room_id: RoomId, agent_id: AgentId, in_flight: int, rounds: int, seconds: float
) -> dict[str, list[Pace]]:
    async with AsyncExitStack() as stack:
        contenders = {
            "ours": await _ours(stack, url, room_id, agent_id, in_flight),
            "plain httpx": await _plain(stack, url, room_id, agent_id, in_flight),
            "bare sockets": await _bare(stack, url, room_id, agent_id, in_flight),
        }
        paces: dict[str, list[Pace]] = {name: [] for name in contenders}
        for _ in range(rounds):
            for name, call in contenders.items():
                paces[name].append(await _pace(call, in_flight, seconds))
        return paces


async def _pace(call: Call, in_flight: int, seconds: float) -> Pace:
    count = 0
    cpu, began = time.process_time(), time.monotonic()

    async def repeat() -> None:
        nonlocal count
        while time.monotonic() - began < seconds:
            await call()
            count += 1

    await asyncio.gather(*(repeat() for _ in range(in_flight)))
    elapsed = time.monotonic() - began
    return Pace(count / elapsed, (time.process_time() - cpu) * 1000 / count)


async def _ours(
    stack: AsyncExitStack, url: str, room_id: RoomId, agent_id: AgentId, in_flight: int
) -> Call:
    client = await stack.enter_async_context(
        HttpxQiscusClient(
            base_url=url,
            app_id=APP_ID,
            secret_key=SECRET_KEY,
            clock=InMemoryClock(),
            in_flight=in_flight,
            timeout=timedelta(seconds=30),
        )
    )
    return lambda: client.assign(room_id, agent_id)


async def _plain(
    stack: AsyncExitStack, url: str, room_id: RoomId, agent_id: AgentId, in_flight: int
) -> Call:
    limits = httpx.Limits(max_connections=in_flight, max_keepalive_connections=in_flight)
    client = await stack.enter_async_context(httpx.AsyncClient(limits=limits, timeout=30))
    form = {"room_id": room_id, "agent_id": agent_id, "max_agent": 1}

    async def call() -> object:
        answer = await client.post(url + PATH, headers=HEADERS, data=form)
        return answer.raise_for_status().json()

    return call


async def _bare(
    stack: AsyncExitStack, url: str, room_id: RoomId, agent_id: AgentId, in_flight: int
) -> Call:
    """A request of bytes and a response of bytes: what the event loop and the kernel cost."""
    host, port = urlsplit(url).hostname, urlsplit(url).port
    lines = deque([await asyncio.open_connection(host, port) for _ in range(in_flight)])
    for _, writer in lines:
        stack.callback(writer.close)
    form = urlencode({"room_id": room_id, "agent_id": agent_id, "max_agent": 1}).encode()
    head = {
        "Host": f"{host}:{port}",
        "Content-Type": "application/x-www-form-urlencoded",
        "Content-Length": str(len(form)),
        **HEADERS,
    }
    headers = "".join(f"{name}: {value}\r\n" for name, value in head.items())
    request = f"POST {PATH} HTTP/1.1\r\n{headers}\r\n".encode() + form

    async def call() -> object:
        reader, writer = line = lines.pop()
        writer.write(request)
        answered = await reader.readuntil(b"\r\n\r\n")
        length = answered.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
        body = await reader.readexactly(int(length))
        lines.append(line)
        return body

    return call


def _figure(in_flight: int, paces: dict[str, list[Pace]]) -> Figure:
    rate = {name: median([each.rate for each in runs]) for name, runs in paces.items()}
    cpu = {name: median([each.cpu_ms for each in runs]) for name, runs in paces.items()}
    rivals = ", ".join(
        f"{name} {rate[name]:.0f}/s at {cpu[name]:.2f} ms CPU" for name in rate if name != "ours"
    )
    return Figure(
        subject="platform calls",
        what=f"{in_flight} in flight, 20 ms platform latency ({cpu['ours']:.2f} ms CPU a call)",
        value=rate["ours"],
        unit="calls/s",
        beside=rivals,
        details={"rate": rate, "cpu_ms": cpu},
    )
