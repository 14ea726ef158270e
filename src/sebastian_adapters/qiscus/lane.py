"""One connection of aiohttp's, watched: what comes over it is an answer to what was asked, or cut.

aiohttp believes whatever comes: an answer that nobody asked for waits for the next request and is
taken for its answer, and an answer may be as long as its connection lasts. It also says goodbye
politely: a request that was given up over TLS may be delivered 30 seconds later.
"""

from __future__ import annotations

import asyncio
import select
import socket
import struct
from typing import TYPE_CHECKING, cast

import aiohttp
from attrs import field, frozen

from sebastian_adapters.qiscus.api import ApiRequest, ApiResponse

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from aiohappyeyeballs import AddrInfoType
    from aiohttp.abc import AbstractResolver
    from aiohttp.client_proto import ResponseHandler
    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace

#: All that one answer may be, as it comes over the wire; a page of 100 agents has some 250 kB.
ANSWER_LIMIT_BYTES = 2 * 1024 * 1024

#: How many lines one answer may have: each interim answer and each chunk costs two of them.
#:
#: Measured: 2 MiB of interim answers take 0.4 s of processor time, 20,000 lines of them 0.04 s.
ANSWER_LIMIT_LINES = 20_000

#: SO_LINGER's: what was not delivered when a connection is closed never is.
_CLOSING_THROWS_AWAY = struct.pack("ii", 1, 0)

#: How long one line of an answer's head may be: some name all that a browser may do there.
ANSWER_LIMIT_FIELD_BYTES = 64 * 1024

#: Of every request: an answer that comes packed all the same is not unpacked.
_HEADERS = {"Accept": "application/json", "Accept-Encoding": "identity"}

#: What aiohttp would add where we say nothing.
_UNSAID = ("Content-Type", "User-Agent")


@frozen(kw_only=True)
class LaneOptions:
    """What all lanes of a transport share; times in seconds.

    `proxy` is a URL, perhaps with user and password.
    """

    connect_seconds: float
    call_seconds: float
    keep_alive_seconds: float
    ssl_context: ssl.SSLContext
    proxy: str | None = field(repr=False)


class Lane:
    """Carries one call at a time, over at most one connection.

    After a call that went wrong it must be closed, unless nothing of it was sent (`was_asked`):
    then it may be tried again.
    """

    def __init__(self, options: LaneOptions, resolver: AbstractResolver) -> None:
        self._connector = _WatchedConnector(options, resolver)
        self._session = aiohttp.ClientSession(
            connector=self._connector,
            timeout=aiohttp.ClientTimeout(
                total=None, connect=options.connect_seconds, sock_connect=options.connect_seconds
            ),
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            proxy=options.proxy,
            headers=_HEADERS,
            skip_auto_headers=_UNSAID,
            max_line_size=ANSWER_LIMIT_FIELD_BYTES,
            max_field_size=ANSWER_LIMIT_FIELD_BYTES,
        )

    @property
    def was_asked(self) -> bool:
        """Whether a connection was ready for the call, so that it may have been sent."""
        return self._connector.was_asked

    @property
    def is_flooded(self) -> bool:
        """Whether the answer was cut off because it went on beyond all limits."""
        watch = self._connector.watch
        return watch is not None and watch.is_flooded

    async def ask(self, request: ApiRequest) -> ApiResponse:
        """The whole answer, as it came; raises what aiohttp raises."""
        self._connector.was_asked = False
        answer = await self._session.request(
            request.method,
            request.url,
            headers=request.headers,
            data=request.body,
            allow_redirects=False,
        )
        body = await answer.read()
        self._connector.all_came()
        return ApiResponse(answer.status, answer.headers, body)

    async def aclose(self) -> None:
        """Cut the connection at once: nothing that is still on its way is delivered any more."""
        self._connector.cut()
        await self._session.close()


class _WatchedConnector(aiohttp.TCPConnector):
    """Makes one connection at a time, puts a watch on it, and asks nothing over a doubtful one."""

    def __init__(self, options: LaneOptions, resolver: AbstractResolver) -> None:
        super().__init__(
            limit=1,
            resolver=resolver,
            use_dns_cache=False,
            keepalive_timeout=options.keep_alive_seconds,
            ssl=options.ssl_context,
            socket_factory=_undelivered_is_lost_after(options.call_seconds),
        )
        self.was_asked = False
        self.watch: _Watch | None = None

    async def connect(
        self, req: aiohttp.ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout
    ) -> Connection:
        """A connection that is new, or over which nothing came since its last answer.

        aiohttp sends the request as soon as it is returned. If anything goes wrong before that,
        nothing of the request was sent.
        """
        while True:
            connection = await super().connect(req, traces, timeout)
            transport = cast("asyncio.Transport", connection.transport)
            handler = cast("ResponseHandler", connection.protocol)
            is_new = self.watch is None or self.watch.transport is not transport
            if is_new:
                self.watch = _Watch(transport, handler)
            if not (handler.should_close or _has_something_to_say(transport, is_new=is_new)):
                break
            transport.abort()
            connection.close()
            if is_new:
                raise aiohttp.ClientConnectionError("the other side speaks before it is asked")
        cast("_Watch", self.watch).begin()
        self.was_asked = True
        return connection

    def all_came(self) -> None:
        """The whole answer is here: whatever comes from now on was not asked for."""
        if self.watch is not None:
            self.watch.is_asking = False

    def cut(self) -> None:
        """End the connection without a goodbye, also one that aiohttp has begun to close."""
        if self.watch is not None:
            self.watch.transport.abort()


class _Watch(asyncio.Protocol):
    """Stands between a connection and aiohttp, and cuts it where aiohttp would go on listening."""

    def __init__(self, transport: asyncio.Transport, handler: ResponseHandler) -> None:
        self.transport = transport
        self.is_asking = False
        self.is_flooded = False
        self._handler = handler
        self._bytes = 0
        self._lines = 0
        transport.set_protocol(self)

    def begin(self) -> None:
        """A request is about to be sent."""
        self.is_asking = True
        self._bytes = self._lines = 0

    def data_received(self, data: bytes) -> None:
        """Hand on what was asked for, within its limits."""
        self._bytes += len(data)
        self._lines += data.count(b"\n")
        is_flooded = self._bytes > ANSWER_LIMIT_BYTES or self._lines > ANSWER_LIMIT_LINES
        if self.is_asking and not is_flooded:
            self._handler.data_received(data)
            return
        self.is_flooded = is_flooded
        self.transport.abort()

    def eof_received(self) -> None:
        """The other side has closed its half of the connection."""
        self._handler.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is over."""
        self._handler.connection_lost(exc)

    def pause_writing(self) -> None:
        """The kernel's buffer for what we send is full."""
        self._handler.pause_writing()

    def resume_writing(self) -> None:
        """There is room in the kernel's buffer again."""
        self._handler.resume_writing()


def _has_something_to_say(transport: asyncio.Transport, *, is_new: bool) -> bool:
    """Whether bytes, or the end, have come that the event loop has not read yet.

    A new TLS connection is not asked: the tickets for a later session come right after its
    handshake.
    """
    if is_new and transport.get_extra_info("ssl_object") is not None:
        return False
    looked = select.poll()
    looked.register(transport.get_extra_info("socket").fileno(), select.POLLIN)
    return bool(looked.poll(0))


def _undelivered_is_lost_after(seconds: float) -> Callable[[AddrInfoType], socket.socket]:
    """Makes sockets that throw away what was not delivered when they are closed.

    If our process does not get round to closing one, the kernel gives up after `seconds`.
    """

    def made(address: AddrInfoType) -> socket.socket:
        made = socket.socket(*address[:3])
        made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _CLOSING_THROWS_AWAY)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(seconds * 1000))
        return made

    return made
