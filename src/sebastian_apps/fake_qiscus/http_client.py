"""A small HTTP/1.1 client that posts JSON over kept-alive connections and reads the status."""

import asyncio
import ssl
from typing import cast
from urllib.parse import urlsplit

import httptools
from attrs import frozen

_CONNECTIONS = 64


@frozen
class Target:
    """Where to post, taken apart once."""

    host: str
    port: int
    is_tls: bool
    path: str
    authority: str

    @classmethod
    def of(cls, url: str) -> "Target":
        parts = urlsplit(url)
        is_tls = parts.scheme == "https"
        port = parts.port or (443 if is_tls else 80)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return cls(parts.hostname or "", port, is_tls, path, parts.netloc.rpartition("@")[2])

    def request(self, payload: bytes) -> bytes:
        head = (
            f"POST {self.path} HTTP/1.1\r\nhost: {self.authority}\r\n"
            "user-agent: fake-qiscus\r\ncontent-type: application/json\r\n"
            f"content-length: {len(payload)}\r\n\r\n"
        )
        return head.encode("latin-1") + payload


class _PostConnection(asyncio.Protocol):
    """One kept-alive connection: one request at a time, its status or why not."""

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._status: asyncio.Future[int] | None = None
        self._transport: asyncio.Transport | None = None
        self._got_bytes = False

    @property
    def is_open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._fail(ConnectionResetError("closed before the answer"))

    def data_received(self, data: bytes) -> None:
        self._got_bytes = True
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(ConnectionError(str(error)))
            self.close()

    def on_message_complete(self) -> None:
        if not self._parser.should_keep_alive():
            self.close()
        if self._status is not None and not self._status.done():
            self._status.set_result(self._parser.get_status_code())

    async def post(self, request: bytes) -> int:
        if self._transport is None:
            raise ConnectionResetError("closed")
        self._status = asyncio.get_running_loop().create_future()
        self._got_bytes = False
        self._transport.write(request)
        return await self._status

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    @property
    def was_stale(self) -> bool:
        """Whether the connection was dropped before a single byte of the answer."""
        return not self.is_open and not self._got_bytes

    def _fail(self, error: Exception) -> None:
        if self._status is not None and not self._status.done():
            self._status.set_exception(error)


class Lines:
    """The connections to wherever the webhooks go, shared and kept alive."""

    def __init__(self) -> None:
        self._idle: dict[tuple[str, int, bool], list[_PostConnection]] = {}
        self._slots = asyncio.Semaphore(_CONNECTIONS)

    async def post(self, target: Target, payload: bytes) -> int:
        """The status of the answer; a connection that went stale while idle is replaced once.

        Raises OSError where no answer came.
        """
        async with self._slots:
            line, is_reused = await self._take(target)
            try:
                return await self._post_on(line, target, payload)
            except ConnectionError:
                if not (is_reused and line.was_stale):
                    raise
            return await self._post_on(await self._connect(target), target, payload)

    def close(self) -> None:
        for line in (line for lines in self._idle.values() for line in lines):
            line.close()
        self._idle.clear()

    async def _post_on(self, line: _PostConnection, target: Target, payload: bytes) -> int:
        try:
            status = await line.post(target.request(payload))
        except BaseException:
            line.close()
            raise
        if line.is_open:
            self._idle.setdefault((target.host, target.port, target.is_tls), []).append(line)
        return status

    async def _take(self, target: Target) -> tuple[_PostConnection, bool]:
        idle = self._idle.get((target.host, target.port, target.is_tls), [])
        while idle:
            line = idle.pop()
            if line.is_open:
                return line, True
        return await self._connect(target), False

    async def _connect(self, target: Target) -> _PostConnection:
        context = ssl.create_default_context() if target.is_tls else None
        _, line = await asyncio.get_running_loop().create_connection(
            _PostConnection, target.host, target.port, ssl=context
        )
        return line
