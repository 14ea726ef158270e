"""Server-sent events as plain ASGI: ends when the client leaves, and when the service does.

(Litestar 2.25 never runs the clean-up of an SSE generator after its client left, and SIGTERM waits
for such a response until the server's own limit.)
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

from litestar.types import Receive, Send

from sebastian_apps.floor.broadcast import Broadcaster, FloorEvent, Mailbox

BEAT_SECONDS = 10.0
"""How often something is sent where nothing changes, so that both ends notice a dead connection."""

SEND_SECONDS = 15.0
"""How long a client may take to read what was sent before it is given up."""

RECONNECT_MILLISECONDS = 1500

End = Callable[[], Coroutine[Any, Any, object]]
"""Begins to wait for something that ends a stream."""

_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
    (b"x-content-type-options", b"nosniff"),
]


async def stream(feed: Broadcaster, receive: Receive, send: Send, *ends: End) -> None:
    """Send every new view until the client leaves, stops reading, or one of the ends has come.

    Each event carries the whole view, so a client that reconnects has missed nothing.
    """
    await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
    waits = (_send_all(feed, send), _left(receive), *(end() for end in ends))
    tasks = [asyncio.create_task(each) for each in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(1):
            await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _send_all(feed: Broadcaster, send: Send) -> None:
    with feed.watch() as mailbox:
        await _send(send, b"retry: %d\n\n" % RECONNECT_MILLISECONDS)
        while True:
            await _send(send, await _next(mailbox))


async def _next(mailbox: Mailbox) -> bytes:
    try:
        async with asyncio.timeout(BEAT_SECONDS):
            return encoded(await mailbox.take())
    except TimeoutError:
        return b"event: beat\ndata:\n\n"


def encoded(event: FloorEvent) -> bytes:
    """The event as it goes over the wire; JSON has no line breaks, so its data is one line."""
    return b"id: %s\nevent: floor\ndata: %s\n\n" % (event.id.encode(), event.document)


async def _send(send: Send, body: bytes) -> None:
    async with asyncio.timeout(SEND_SECONDS):
        await send({"type": "http.response.body", "body": body, "more_body": True})


async def _left(receive: Receive) -> None:
    message: Any = {}
    while message.get("type") != "http.disconnect":
        message = await receive()
