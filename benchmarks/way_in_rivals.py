"""What the webhook service is measured against: `-m benchmarks.way_in_rivals NAME CONFIG`."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import uvicorn
from litestar import Litestar, Request, post
from litestar.response.base import ASGIResponse
from psycopg_pool import AsyncConnectionPool

from sebastian_apps.container import build_webhook, in_memory
from sebastian_apps.logging import configure_logging
from sebastian_apps.settings import Settings, load_settings
from sebastian_apps.webhook.addresses import ARRIVAL_PATH
from sebastian_apps.webhook.app import create_app
from sebastian_apps.webhook.decoding import decode_arrival

_OK = b'{"status":"ok"}'
_INSERT = "insert into bench_webhook (room_id, channel_id, source) values (%s, %s, %s)"


def main(name: str, config: Path) -> None:
    """Serve one rival on the configuration's port."""
    settings = load_settings(config, {})
    configure_logging(settings, process=name)
    make: dict[str, Callable[[Settings], Any]] = {
        "no commit": no_commit,
        "insert": insert,
        "bare": lambda _: bare,
    }
    app = make[name](settings)
    uvicorn.run(
        app, port=settings.listen.port, loop="uvloop", http="httptools",
        access_log=False, log_level="warning", lifespan="auto",
    )  # fmt: skip


def no_commit(settings: Settings) -> Litestar:
    """The very service, on stores in memory: decoding and deciding, but nothing made durable."""
    return create_app(build_webhook(settings, in_memory()))


def insert(settings: Settings) -> Litestar:
    """One INSERT and one commit for each request, on sixteen connections."""
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
