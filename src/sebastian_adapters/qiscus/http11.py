"""One HTTP/1.1 connection as a transport of httpx.

httpx's own is made for every case: proxies, HTTP/2, several event loops. Measured beside it, a call
over this one costs a third of the processor time. What is on the wire is read by httptools.
"""

from __future__ import annotations

import asyncio
import ssl
import struct
import time
from collections import deque
from collections.abc import AsyncIterator
from socket import SO_LINGER, SOCK_STREAM, SOL_SOCKET
from typing import cast

import httptools
import httpx

_AT_ONCE = struct.pack("ii", 1, 0)
"""SO_LINGER's: closing throws away what was not delivered."""

HEAD_LIMIT_BYTES = 256 * 1024
BUFFER_BYTES = 256 * 1024
"""How much of a body may lie unread before the other side has to wait."""


class Http11Transport(httpx.AsyncBaseTransport):
    """Sends one request at a time, over a connection that is kept while it is used.

    Connects anew after `keep_alive_seconds` without use, after the other side hung up, and for
    another host. Raises httpx.ConnectError or ConnectTimeout, within the request's connect timeout
    and TLS included, only where nothing was sent. How long an answer may take is its caller's
    business.
    """

    def __init__(self, ssl_context: ssl.SSLContext, keep_alive_seconds: float) -> None:
        self._ssl_context = ssl_context
        self._keep_alive_seconds = keep_alive_seconds
        self._origin: tuple[str, bytes] | None = None
        self._line: _Line | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request; the answer's body is read from its stream."""
        sent = _encoded(request)
        answer = (await self._open_line(request)).ask(sent)
        await answer.begun
        return httpx.Response(answer.status, headers=answer.headers, stream=answer)

    async def aclose(self) -> None:
        """Hang up."""
        line, self._line = self._line, None
        if line is not None:
            line.hang_up()

    async def _open_line(self, request: httpx.Request) -> _Line:
        origin = (request.url.scheme, request.url.netloc)
        line = self._line
        if line is not None and origin == self._origin and line.is_fit(self._keep_alive_seconds):
            return line
        await self.aclose()
        self._line = line = await self._connected(request)
        self._origin = origin
        return line

    async def _connected(self, request: httpx.Request) -> _Line:
        seconds = request.extensions.get("timeout", {}).get("connect")
        try:
            async with asyncio.timeout(seconds) as limit:
                return await self._first_reached(request.url, limit.when())
        except TimeoutError as error:
            raise httpx.ConnectTimeout("no connection in time", request=request) from error
        except OSError as error:
            raise httpx.ConnectError(str(error), request=request) from error

    async def _first_reached(self, url: httpx.URL, deadline: float | None) -> _Line:
        """Try each address; one that is silent leaves time for the others."""
        loop = asyncio.get_running_loop()
        port = url.port or (443 if url.scheme == "https" else 80)
        found = await loop.getaddrinfo(url.raw_host, port, type=SOCK_STREAM)
        addresses = list(dict.fromkeys(str(address[0]) for *_, address in found))
        while True:
            address = addresses.pop(0)
            left = None if deadline is None else (deadline - loop.time()) / (len(addresses) + 1)
            try:
                async with asyncio.timeout(left):
                    return await self._reached(url, address, port)
            except OSError:  # a timeout is one as well
                if not addresses:
                    raise

    async def _reached(self, url: httpx.URL, address: str, port: int) -> _Line:
        is_secure = url.scheme == "https"
        _, line = await asyncio.get_running_loop().create_connection(
            _Line,
            address,
            port,
            ssl=self._ssl_context if is_secure else None,
            server_hostname=url.raw_host.decode("ascii") if is_secure else None,
        )
        return line


class _Line(asyncio.Protocol):
    """A connection; hands what arrives to the answer that is awaited."""

    def __init__(self) -> None:
        self.is_open = False
        self._idle_since = time.monotonic()
        self._answer: _Answer | None = None

    def is_fit(self, keep_alive_seconds: float) -> bool:
        """Whether the next request may be sent here."""
        is_done = self._answer is None or self._answer.leaves_line_open
        return (
            self.is_open and is_done and time.monotonic() - self._idle_since <= keep_alive_seconds
        )

    def ask(self, request: bytes) -> _Answer:
        """Send a request and await its answer."""
        self._answer = _Answer(self._transport)
        self._transport.write(request)
        return self._answer

    def hang_up(self) -> None:
        """Close without waiting for anything; a request without its whole answer is taken back.

        A network that lost the request may be back in minutes. The kernel would deliver what it
        still holds then, and the platform carry out an assignment that we gave up long ago.
        """
        self.is_open = False
        is_asking = self._answer is not None and not self._answer.is_complete
        if is_asking and not self._transport.is_closing():
            self._transport.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_LINGER, _AT_ONCE)
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self.is_open = True

    def data_received(self, data: bytes) -> None:
        if self._answer is None or self._answer.is_complete:
            self.hang_up()  # nobody asked
            return
        self._idle_since = time.monotonic()
        self._answer.feed(data)

    def eof_received(self) -> None:
        self.is_open = False

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_open = False
        if self._answer is not None:
            self._answer.cut_off(exc)


class _Answer(httpx.AsyncByteStream):
    """An answer while it arrives: first its head, then, as a stream, its body."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.begun: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.is_complete = False
        self.leaves_line_open = False
        self._transport = transport
        self._parser = httptools.HttpResponseParser(self)
        self._head_bytes = 0
        self._parts: deque[bytes] = deque()
        self._unread_bytes = 0
        self._news = asyncio.Event()
        self._error: httpx.TransportError | None = None

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            while self._parts:
                part = self._parts.popleft()
                self._unread(-len(part))
                yield part
            if self.is_complete:
                return
            if self._error is not None:
                raise self._error
            self._news.clear()
            await self._news.wait()

    async def aclose(self) -> None:
        """Nothing to do: what is not read to its end costs the line."""

    def feed(self, data: bytes) -> None:
        """Take in what arrived."""
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._fail(httpx.RemoteProtocolError("the answer is not HTTP"))
        if not self.begun.done():
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_LIMIT_BYTES:
                self._fail(httpx.RemoteProtocolError("the answer's head does not end"))
        self._news.set()

    def cut_off(self, error: Exception | None) -> None:
        """The connection ended; so did a body that is as long as the connection."""
        if self.is_complete:
            return
        if error is None and self.begun.done() and self._ends_with_connection:
            self.is_complete = True
        elif error is None:
            self._fail(httpx.RemoteProtocolError("the connection ended before the answer"))
        else:
            self._fail(httpx.ReadError(str(error)))
        self._news.set()

    def on_message_begin(self) -> None:
        if self.is_complete:  # nobody asked for another answer
            self.leaves_line_open = False

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.is_complete:
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        if self.is_complete:
            return
        self.status = self._parser.get_status_code()
        if self.status >= 200 and not self.begun.done():
            self.begun.set_result(None)

    def on_body(self, part: bytes) -> None:
        if not self.is_complete:
            self._parts.append(part)
            self._unread(len(part))

    def on_message_complete(self) -> None:
        if self.is_complete:
            return
        if self.status < 200:
            self.headers.clear()
            return
        self.is_complete = True
        self.leaves_line_open = self._parser.should_keep_alive()

    @property
    def _ends_with_connection(self) -> bool:
        names = {name.lower() for name, _ in self.headers}
        return names.isdisjoint({b"content-length", b"transfer-encoding"})

    def _unread(self, change: int) -> None:
        was_full = self._unread_bytes > BUFFER_BYTES
        self._unread_bytes += change
        is_full = self._unread_bytes > BUFFER_BYTES
        if is_full == was_full or self._transport.is_closing():
            return
        if is_full:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def _fail(self, error: httpx.TransportError) -> None:
        self._error = error
        if not self.begun.done():
            self.begun.set_exception(error)


def _encoded(request: httpx.Request) -> bytes:
    """The request as it is sent; raises httpx.LocalProtocolError where a header holds a line."""
    headers = request.headers.raw
    lines = [b"%s %s HTTP/1.1" % (request.method.encode("ascii"), request.url.raw_path)]
    lines += [b"%s: %s" % header for header in headers]
    head = b"\r\n".join(lines)
    if head.count(b"\n") > len(headers) or head.count(b"\r") > len(headers):
        raise httpx.LocalProtocolError("a header holds a line break", request=request)
    return head + b"\r\n\r\n" + request.content
