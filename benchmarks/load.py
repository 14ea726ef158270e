"""Posting webhooks as fast as they are answered, or at a steady rate, at little cost of our own."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Iterator
from itertools import count
from typing import cast
from urllib.parse import urlsplit

from attrs import define, field

from sebastian_adapters.memory.platform import Platform
from sebastian_apps.settings.webhook_urls import ARRIVAL_PATH

BODY_BYTES = 1500
_ROOM = "ROOM-TO-BE"
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)


class Webhooks:
    """Allocation webhooks of 1.5 KB, each for a room that nobody has seen."""

    def __init__(self, url: str, prefix: str) -> None:
        host = urlsplit(url).netloc
        body = _body()
        self._prefix = prefix
        self._numbers = count()
        self._template = body
        self._host = host

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        room_id = f"{self._prefix}-{next(self._numbers)}"
        body = self._template.replace(_ROOM, room_id).encode()
        head = (
            f"POST {ARRIVAL_PATH} HTTP/1.1\r\nHost: {self._host}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body


def _body() -> str:
    body = Platform(clock=lambda: 0.0).customer_message(_ROOM)
    assert body is not None
    missing = BODY_BYTES - len(json.dumps(body))
    return json.dumps({**body, "padding": "x" * max(missing, 0)})


@define
class Answers:
    """How long each answer took, how many were not 200, and what asking cost this process."""

    seconds: list[float] = field(factory=list)
    failed: int = 0
    elapsed: float = 0.0
    cpu_seconds: float = 0.0

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.seconds) / self.elapsed


async def flood(url: str, webhooks: Webhooks, *, connections: int, seconds: float) -> Answers:
    """Each connection posts the next webhook as soon as the last one is answered."""
    answers = Answers()
    lines = await _connected(url, connections)
    began, used = time.perf_counter(), time.process_time()

    async def repeat(line: _Line) -> None:
        while time.perf_counter() - began < seconds:
            await _timed(line, webhooks, answers)

    await asyncio.gather(*(repeat(line) for line in lines))
    answers.elapsed = time.perf_counter() - began
    answers.cpu_seconds = time.process_time() - used
    _hang_up(lines)
    return answers


async def steady(url: str, webhooks: Webhooks, *, rate: float, seconds: float) -> Answers:
    """So many a second, whatever the answers take: who waits in line is timed from its moment."""
    answers = Answers()
    lines = await _connected(url, 64)
    free = asyncio.Queue[_Line]()
    for line in lines:
        free.put_nowait(line)
    began = time.perf_counter()

    async def post(due_at: float) -> None:
        line = await free.get()
        await _timed(line, webhooks, answers, since=due_at)
        free.put_nowait(line)

    async with asyncio.TaskGroup() as posts:
        for number in range(int(rate * seconds)):
            due_at = began + number / rate
            await asyncio.sleep(max(0.0, due_at - time.perf_counter()))
            posts.create_task(post(time.perf_counter()))
    answers.elapsed = time.perf_counter() - began
    _hang_up(lines)
    return answers


async def _timed(
    line: _Line, webhooks: Webhooks, answers: Answers, since: float | None = None
) -> None:
    request = next(webhooks)
    began = since or time.perf_counter()
    answer = await line.ask(request)
    answers.seconds.append(time.perf_counter() - began)
    answers.failed += not answer.startswith(b"HTTP/1.1 200")


async def _connected(url: str, connections: int) -> list[_Line]:
    where = urlsplit(url)
    loop = asyncio.get_running_loop()
    host, port = str(where.hostname), where.port or 80
    opened = [await loop.create_connection(_Line, host, port) for _ in range(connections)]
    return [line for _, line in opened]


def _hang_up(lines: list[_Line]) -> None:
    for line in lines:
        line.transport.close()


class _Line(asyncio.Protocol):
    """A connection with one request at a time."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self._answer: asyncio.Future[bytes] | None = None
        self._arrived = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def ask(self, request: bytes) -> asyncio.Future[bytes]:
        """Send a request; its whole answer comes."""
        self._arrived = b""
        self._answer = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return self._answer

    def data_received(self, data: bytes) -> None:
        self._arrived += data
        end = self._arrived.find(b"\r\n\r\n")
        if end < 0 or self._answer is None:
            return
        length = _LENGTH.search(self._arrived, 0, end + 2)
        if length is not None and len(self._arrived) - end - 4 >= int(length[1]):
            self._answer.set_result(self._arrived)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionError(f"the service hung up: {exc}"))
