"""Where a request ends: whatever stands in its head, bytes of its body are never a request."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from itertools import pairwise
from typing import Any

import uvicorn
import uvloop
from attrs import define, field, frozen
from hypothesis import given, settings
from hypothesis import strategies as st
from uvicorn.server import ServerState

from sebastian_apps.http.bounded_http import BoundedHttp
from sebastian_apps.http.connection_limit import ConnectionLimit

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
NAMES = ("Upgrade", "upgrade", "Connection", "HTTP2-Settings", "Expect", "TE", "Trailer", "X-A")
EMPTY = [(b"content-length", b"0")]
VALUES = ("", "upgrade", "Upgrade, close", "keep-alive", "h2c", "websocket", "foo", "100-continue")


@frozen
class Sent:
    """A request with a body, and how its head says how long it is."""

    method: str
    path: str
    fields: tuple[tuple[str, str], ...]
    body: bytes
    is_chunked: bool

    @property
    def is_last(self) -> bool:
        """Whether it asks for the end of the connection."""
        return any(name == "Connection" and "close" in value for name, value in self.fields)

    @property
    def encoded(self) -> bytes:
        """Its bytes."""
        framing = (
            "Transfer-Encoding: chunked" if self.is_chunked else f"Content-Length: {len(self.body)}"
        )
        named = [f"{name}: {value}" for name, value in self.fields]
        head = [f"{self.method} {self.path} HTTP/1.1", "Host: a", *named, framing]
        body = _chunks(self.body) if self.is_chunked else self.body
        return "\r\n".join(head).encode() + b"\r\n\r\n" + body


def _chunks(body: bytes) -> bytes:
    parts = [body[start : start + 7] for start in range(0, len(body), 7)]
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


@define
class Recording:
    """An application that reads each body and remembers it."""

    seen: list[tuple[str, str, bytes]] = field(factory=list)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        self.seen.append((scope["method"], scope["path"], body))
        await send(
            {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]}
        )
        await send({"type": "http.response.body"})


async def seen_of(packets: Sequence[bytes]) -> list[tuple[str, str, bytes]]:
    """What the application sees of these packets, sent over one connection until it ends."""
    app = Recording()
    config = uvicorn.Config(app, lifespan="off", ws="none", log_config=None)
    config.load()
    make = partial(BoundedHttp, config, ServerState(), {}, door=ConnectionLimit())
    server = await asyncio.get_running_loop().create_server(make, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    try:
        for packet in packets:
            if not writer.transport.is_closing():
                writer.write(packet)
            await asyncio.sleep(0)
        with suppress(ConnectionResetError):  # what comes behind the last request is not read
            async with asyncio.timeout(5):
                await reader.read()
    finally:
        writer.transport.abort()
        server.close()
        await server.wait_closed()
    return app.seen


pieces = st.sampled_from([b"\r\n", b"\r\n\r\n", b"\r", b"\n", b"0", SMUGGLED, b"x"])
bodies = st.one_of(
    st.just(SMUGGLED),
    st.binary(max_size=40),
    st.lists(pieces, max_size=9).map(b"".join),
)
fields = st.tuples(st.sampled_from(NAMES), st.sampled_from(VALUES))
requests = st.builds(
    Sent,
    method=st.sampled_from(["POST", "PUT", "GET", "HEAD", "DELETE", "OPTIONS"]),
    path=st.sampled_from(["/a", "/b?c=d"]),
    fields=st.lists(fields, max_size=4).map(tuple),
    body=bodies,
    is_chunked=st.booleans(),
)
LAST = Sent("POST", "/last", (("Connection", "close"),), b"end", is_chunked=False)


def test_bytes_of_a_body_are_never_a_request() -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:

        @given(
            st.lists(requests, min_size=1, max_size=4), st.lists(st.integers(1, 400), max_size=6)
        )
        @settings(max_examples=200, deadline=None)
        def all_are_seen_as_they_were_sent(sent: list[Sent], cuts: list[int]) -> None:
            whole = b"".join(each.encoded for each in (*sent, LAST))
            edges = sorted({0, len(whole), *(cut for cut in cuts if cut < len(whole))})
            packets = [whole[start:end] for start, end in pairwise(edges)]

            seen = runner.run(seen_of(packets))

            assert seen == expected_of([*sent, LAST])

        all_are_seen_as_they_were_sent()


def expected_of(sent: Sequence[Sent]) -> list[tuple[str, str, bytes]]:
    """All of them, up to the one that asks for the end of the connection."""
    seen = [(each.method, each.path.partition("?")[0], each.body) for each in sent]
    ends = [number for number, each in enumerate(sent, 1) if each.is_last]
    return seen[: ends[0]]
