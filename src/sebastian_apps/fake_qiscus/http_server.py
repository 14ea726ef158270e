"""A small HTTP/1.1 server that can also reset a connection or never answer.

It shares the machine with what is under test, so it stays close to the socket: one parser in C,
no task per request, one write per answer.
"""

import asyncio
import ipaddress
import socket
import struct
from collections import deque
from collections.abc import Callable
from http import HTTPStatus
from typing import cast
from urllib.parse import parse_qs

import httptools
from attrs import define, field, frozen

MAX_BODY_BYTES = 1_000_000
_REASONS = {status.value: status.phrase for status in HTTPStatus}
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


@frozen
class Request:
    """One request, decoded no further than its query."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes
    is_local: bool
    """Whether it came over loopback or a Unix socket."""

    def first(self, name: str) -> str | None:
        """The first value of that query parameter."""
        values = self.query.get(name)
        return values[0] if values else None


@frozen
class Response:
    """What goes back."""

    status: int
    body: bytes = b""
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()

    def encode(self) -> bytes:
        extra = "".join(f"{name}: {value}\r\n" for name, value in self.headers)
        head = (
            f"HTTP/1.1 {self.status} {_REASONS.get(self.status, 'Unknown')}\r\n"
            f"content-type: {self.content_type}\r\n{extra}"
            f"content-length: {len(self.body)}\r\n\r\n"
        )
        return head.encode("latin-1") + self.body


@define(eq=False)
class Exchange:
    """One request, and the three ways to end it: answer, reset, or nothing at all."""

    request: Request
    keep_alive: bool
    _connection: "Connection"

    def send(self, response: Response) -> None:
        """Answer; nothing happens if the caller has left."""
        self._connection.finish(response.encode(), keep_alive=self.keep_alive)

    def send_once_more(self, response: Response) -> None:
        """Write another answer: the caller takes it for that of its next request."""
        self._connection.write(response.encode())

    def reset(self) -> None:
        """Cut the connection with a TCP reset."""
        self._connection.reset()


Answer = Callable[[Exchange], None]


@define(eq=False)
class _Draft:
    """A request while it arrives."""

    url: bytes = b""
    headers: dict[str, str] = field(factory=dict)
    body: list[bytes] = field(factory=list)
    size: int = 0


class Connection(asyncio.Protocol):
    """Reads requests off one connection and has them answered one after the other."""

    def __init__(self, answer: Answer, connections: "set[Connection]") -> None:
        self._answer = answer
        self._connections = connections
        self._parser = httptools.HttpRequestParser(self)
        self._draft = _Draft()
        self._queue: deque[Exchange] = deque()
        self._busy = False
        self._transport: asyncio.Transport | None = None
        self._is_local = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._is_local = _is_local(transport.get_extra_info("peername"))
        self._connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._connections.discard(self)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self.finish(Response(400, b"", "text/plain").encode(), keep_alive=False)

    def on_message_begin(self) -> None:
        self._draft = _Draft()

    def on_url(self, url: bytes) -> None:
        self._draft.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._draft.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        self._draft.size += len(body)
        if self._draft.size > MAX_BODY_BYTES:
            self.abort()
        else:
            self._draft.body.append(body)

    def on_message_complete(self) -> None:
        exchange = Exchange(self._request(), self._parser.should_keep_alive(), self)
        if self._busy:
            self._queue.append(exchange)
            return
        self._busy = True
        self._answer(exchange)

    def write(self, answer: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(answer)

    def finish(self, answer: bytes, *, keep_alive: bool) -> None:
        self._busy = False
        if self._transport is None or self._transport.is_closing():
            return
        self._transport.write(answer)
        if not keep_alive:
            self._transport.close()
        elif self._queue:
            self._busy = True
            self._answer(self._queue.popleft())

    def reset(self) -> None:
        if self._transport is None:
            return
        sock = self._transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self._transport.abort()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _request(self) -> Request:
        draft = self._draft
        url = httptools.parse_url(draft.url)
        query = parse_qs(url.query.decode("latin-1")) if url.query else {}
        return Request(
            method=self._parser.get_method().decode("ascii"),
            path=(url.path or b"/").decode("latin-1"),
            query=query,
            headers=draft.headers,
            body=b"".join(draft.body),
            is_local=self._is_local,
        )


class HttpServer:
    """Listens on one TCP port and hands each request to `answer`, on the loop's own thread."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._connections: set[Connection] = set()
        self._server: asyncio.Server | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen; answers the port, which is a free one for 0."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: Connection(self._answer, self._connections), host, port, backlog=1024
        )
        port_taken: int = self._server.sockets[0].getsockname()[1]
        return port_taken

    async def stop(self) -> None:
        """Stop listening and drop every connection, answered or not."""
        if self._server is None:
            return
        self._server.close()
        for connection in tuple(self._connections):
            connection.abort()
        await self._server.wait_closed()
        self._server = None


def _is_local(peer: object) -> bool:
    if not isinstance(peer, tuple):
        return True
    return ipaddress.ip_address(str(peer[0]).partition("%")[0]).is_loopback
