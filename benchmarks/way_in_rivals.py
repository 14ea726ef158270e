"""What the webhook service is measured against: `-m benchmarks.way_in_rivals NAME CONFIG`."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import uvicorn
from litestar import Litestar, Request, post
from litestar.response.base import ASGIResponse
from psycopg_pool import AsyncConnectionPool

from sebastian_adapters.memory import in_memory
from sebastian_adapters.memory.clock import InMemoryClock
from sebastian_adapters.memory.job_queue import InMemoryJobQueue
from sebastian_adapters.memory.record import Record
from sebastian_adapters.memory.room_repo import InMemoryRoomRepo
from sebastian_apps.http.listening import bind
from sebastian_apps.http.parts import WebhookParts
from sebastian_apps.http.payloads import decode_arrival
from sebastian_apps.http.serving import run
from sebastian_apps.observability.logging import configure_logging
from sebastian_apps.settings import Settings, load_settings
from sebastian_apps.settings.webhook_urls import ARRIVAL_PATH
from sebastian_apps.wiring import build_webhook
from sebastian_core.domain.ids import RoomId
from sebastian_core.domain.room import Decided, Decision, Room
from sebastian_core.domain.rules import Rules
from sebastian_core.usecases.webhooks import AdmitChat

T = TypeVar("T")
_OK = b'{"status":"ok"}'
_INSERT = "insert into bench_webhook (room_id, channel_id, source) values (%s, %s, %s)"


def main(name: str, config: Path) -> None:
    """Serve one rival on the configuration's port."""
    settings = load_settings(config, {})
    configure_logging(settings, process=name)
    if name == "no commit":
        run(lambda: no_commit(settings), bind(settings.listen.host, settings.listen.port))
        return
    app: Any = insert(settings) if name == "insert" else bare
    uvicorn.run(
        app, port=settings.listen.port, loop="uvloop", http="httptools",
        access_log=False, log_level="warning", lifespan="auto",
    )  # fmt: skip


class ForgetfulRoomRepo(InMemoryRoomRepo):
    """Takes every room for a new one, and keeps nothing."""

    async def decide(
        self, room_id: RoomId, decision: Decision[T], *, alters_line: bool = False
    ) -> Decided[T]:
        """What is decided about a room that nobody has seen."""
        return decision(Room(room_id=room_id), datetime.now(UTC))


def no_commit(settings: Settings) -> WebhookParts:
    """The very service, with all its limits, counts and log lines, but nothing is made durable."""
    repo = ForgetfulRoomRepo(Record(InMemoryClock()))
    parts = build_webhook(settings, in_memory())
    parts.allocator.admit = AdmitChat(repo, InMemoryJobQueue(), Rules())
    return parts


def insert(settings: Settings) -> Litestar:
    """One INSERT and one commit for each request, on sixteen connections.

    As a person would write it: the server lets those that commit at one moment share a flush. It
    has no limit on bodies or time, no log line, no counters and no history; its commits are as
    durable as ours, on the same server.
    """
    assert settings.db.connection_string is not None
    pool = AsyncConnectionPool(
        settings.db.connection_string.reveal(), min_size=16, max_size=16, open=False
    )

    @asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncIterator[None]:
        await pool.open(wait=True)
        yield
        await pool.close()

    @post(ARRIVAL_PATH, status_code=200)
    async def incoming(request: Request[Any, Any, Any]) -> ASGIResponse:
        arrival = decode_arrival(await request.body())
        async with pool.connection() as connection:
            row = (arrival.room_id, arrival.channel_id, arrival.source)
            await connection.execute(_INSERT, row)
        return ASGIResponse(body=_OK, media_type="application/json")

    return Litestar([incoming], lifespan=[lifespan], openapi_config=None)


async def bare(
    scope: dict[str, Any],
    receive: Callable[[], Awaitable[dict[str, Any]]],
    send: Callable[[dict[str, Any]], Awaitable[None]],
) -> None:
    """Read the body, answer."""
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body"):
        pass
    headers = [(b"content-type", b"application/json"), (b"content-length", b"15")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": _OK})


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
