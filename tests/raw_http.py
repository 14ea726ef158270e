"""An HTTP server of a few lines, for the answers that no decent server gives."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from attrs import define, field, frozen


@frozen
class RawRequest:
    """What came in, and over which connection (counted from 0)."""

    line: str
    headers: dict[str, str]
    body: bytes
    connection: int


@define(eq=False)
class RawServer:
    """Gives each request to `respond`, which writes whatever it likes.

    When `respond` returns, the connection stays open for the next request, unless it closed it.
    """

    respond: Respond
    port: int = 0
    scheme: str = "http"
    requests: list[RawRequest] = field(factory=list)
    connections: int = 0
    open: set[int] = field(factory=set)
    most_open: int = 0
    _tasks: set[asyncio.Task[None]] = field(factory=set)

    @property
    def url(self) -> str:
        return f"{self.scheme}://localhost:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        number, self.connections = self.connections, self.connections + 1
        self.open.add(number)
        self.most_open = max(self.most_open, len(self.open))
        try:
            while not writer.is_closing():
                request = await _read_request(reader, number)
                self.requests.append(request)
                await self.respond(request, writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, OSError, asyncio.CancelledError):
            pass
        except RuntimeError:  # uvloop's word for a connection that was closed meanwhile
            if not writer.is_closing():
                raise
        finally:
            self.open.discard(number)
            self._tasks.discard(task)
            writer.close()
            with suppress(OSError, asyncio.CancelledError, ssl.SSLError):
                await writer.wait_closed()

    async def stop(self) -> None:
        """Cut all connections."""
        tasks = set(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


Respond = Callable[[RawRequest, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def raw_server(
    respond: Respond, ssl_context: ssl.SSLContext | None = None
) -> AsyncIterator[RawServer]:
    """The server, listening on a free port while the block runs."""
    raw = RawServer(respond, scheme="https" if ssl_context else "http")
    server = await asyncio.start_server(raw.serve, "127.0.0.1", 0, ssl=ssl_context)
    raw.port = server.sockets[0].getsockname()[1]
    try:
        yield raw
    finally:
        server.close()
        await raw.stop()
        await server.wait_closed()


def answering(body: object, status: int = 200, **headers: str) -> Respond:
    """Answers every request so; a body that is not bytes goes as JSON."""
    whole = answer(body, status, **headers)

    async def respond(_: RawRequest, writer: asyncio.StreamWriter) -> None:
        writer.write(whole)

    return respond


def in_turn(*responds: Respond) -> Respond:
    """Answers the first request by the first, and so on; the last one stays."""
    left = list(responds)

    async def respond(request: RawRequest, writer: asyncio.StreamWriter) -> None:
        await (left.pop(0) if len(left) > 1 else left[0])(request, writer)

    return respond


def answer(body: object, status: int = 200, **headers: str) -> bytes:
    """The bytes of a complete answer."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    fields = {"content-length": str(len(content)), "content-type": "application/json"}
    fields |= {name.replace("_", "-"): text for name, text in headers.items()}
    head = "".join(f"{name}: {text}\r\n" for name, text in fields.items())
    return f"HTTP/1.1 {status} Told\r\n{head}\r\n".encode("latin-1") + content


def reset(writer: asyncio.StreamWriter) -> None:
    """End the connection with a reset."""
    transport: Any = writer.transport
    transport.abort()


async def _read_request(reader: asyncio.StreamReader, connection: int) -> RawRequest:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    line, *rest = head.strip().split("\r\n")
    headers = {
        name.lower(): text.strip() for name, _, text in (each.partition(":") for each in rest)
    }
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return RawRequest(line, headers, body, connection)
