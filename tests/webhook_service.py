"""The webhook service in the test's own event loop, over real HTTP, on any stores."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx
from attrs import define, frozen

from sebastian_adapters.memory.agent_settings import InMemoryAgentSettings
from sebastian_adapters.memory.agent_store import InMemoryAgentStore
from sebastian_adapters.memory.clock import InMemoryClock
from sebastian_adapters.memory.job_queue import InMemoryJobQueue
from sebastian_adapters.memory.journal import InMemoryJournal
from sebastian_adapters.memory.leadership import InMemoryLeadership
from sebastian_adapters.memory.platform import Platform
from sebastian_adapters.memory.qiscus_client import InMemoryQiscusClient
from sebastian_adapters.memory.record import Record
from sebastian_adapters.memory.room_repo import InMemoryRoomRepo
from sebastian_adapters.testing.waiting import until
from sebastian_apps.http.listening import bind
from sebastian_apps.http.parts import WebhookParts
from sebastian_apps.http.serving import make_server
from sebastian_apps.settings import Settings, load_settings
from sebastian_core.allocator import Allocator
from sebastian_core.domain.history import HistoryRow
from sebastian_core.domain.ids import RoomId
from sebastian_core.ports.room_repo import RoomRepo
from tests.canaries import SUITE

APP_ID = "demoapp-x1y2z3a4b5c6d7e"
ARRIVAL = "/webhook-incoming-message"
RESOLVE = "/webhook-mark-as-resolved"


def some_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Settings with an app id, and with these variables."""
    return load_settings(None, {"QT_QISCUS_APP_ID": APP_ID, **(environ or {})})


def parts_on(
    record: Record,
    settings: Settings | None = None,
    *,
    room_repo: RoomRepo | None = None,
    **other: Any,
) -> WebhookParts:
    """Parts that record into this record, by this room repo; their platform has nobody."""
    allocator = Allocator(
        room_repo=room_repo or InMemoryRoomRepo(record),
        agent_settings=InMemoryAgentSettings(record),
        journal=InMemoryJournal(record),
        leadership=InMemoryLeadership(record.clock),
        agent_store=InMemoryAgentStore(),
        job_queue=InMemoryJobQueue(),
        qiscus_client=InMemoryQiscusClient(Platform(clock=record.clock.monotonic), record.clock),
        clock=record.clock,
    )
    return WebhookParts(settings=settings or some_settings(), allocator=allocator, **other)


def parts_in_memory(environ: Mapping[str, str] | None = None, **other: Any) -> WebhookParts:
    """Parts that record into memory."""
    return parts_on(Record(InMemoryClock()), some_settings(environ), **other)


@frozen
class Answer:
    """What came back over a raw connection."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@define
class WebhookService:
    """A running service and how to reach it."""

    parts: WebhookParts
    port: int
    http: httpx.AsyncClient

    async def post(self, path: str, body: object) -> httpx.Response:
        """Send a body as JSON, or as it is where it is bytes."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await self.http.post(path, content=content)

    async def history(self, room_id: str) -> list[HistoryRow]:
        """What the record says of a room, newest first."""
        return list(await self.parts.allocator.journal.history(RoomId(room_id)))

    async def rows(self) -> int:
        """How many changes were recorded in all rooms."""
        return len(await self.parts.allocator.journal.decisions(1000))

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A bare connection."""
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def send_raw(self, sent: bytes) -> Answer:
        """Send these bytes over a connection of their own and read one answer."""
        reader, writer = await self.connect()
        try:
            writer.write(sent)
            return await read_answer(reader)
        finally:
            writer.close()


@asynccontextmanager
async def webhook_service(parts: WebhookParts) -> AsyncIterator[WebhookService]:
    """The service on a free port, for as long as the block lasts."""
    server = make_server(parts)
    (listener,) = bind("127.0.0.1", 0)
    port: int = listener.getsockname()[1]
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        await until(lambda: server.started or serving.done())
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}",
            timeout=20,
            event_hooks={"response": [look_for_canaries]},
        ) as client:
            yield WebhookService(parts, port, client)
    finally:
        server.should_exit = True
        with listener:
            await serving


async def look_for_canaries(answer: httpx.Response) -> None:
    """Search what a service answered; a stream that never ends is left to who reads it."""
    if "event-stream" not in answer.headers.get("content-type", ""):
        await answer.aread()
        head = repr(sorted(answer.headers.items()))
        SUITE.look("answer", str(answer.url.path), head.encode() + answer.content)


async def read_answer(reader: asyncio.StreamReader) -> Answer:
    """One answer with a content length."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").strip()
    line, *fields = head.split("\r\n")
    headers = {
        name.lower(): value.strip() for name, _, value in (each.partition(":") for each in fields)
    }
    body = await reader.readexactly(int(headers["content-length"]))
    return Answer(int(line.split()[1]), headers, body)


def raw_post(path: str, body: bytes, *fields: str) -> bytes:
    """The bytes of a POST request with these header fields."""
    head = [f"POST {path} HTTP/1.1", "Host: test", f"Content-Length: {len(body)}", *fields]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body
