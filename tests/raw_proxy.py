"""Servers of bare connections, and an HTTP proxy of a few lines that tells what it was asked."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, cast

from attrs import define, field

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any]
GoOn = Callable[[bytes, asyncio.StreamReader, asyncio.StreamWriter], Any]


@asynccontextmanager
async def serving(
    serve: Serve, context: ssl.SSLContext | None = None, *, host: str = "127.0.0.1", port: int = 0
) -> AsyncIterator[int]:
    """A server of bare connections, all of them over at the end; its port."""
    tasks: set[asyncio.Task[None]] = set()

    async def serve_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(cast("asyncio.Task[None]", asyncio.current_task()))
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await serve(reader, writer)
        writer.close()
        with suppress(OSError, ssl.SSLError, asyncio.CancelledError):
            await writer.wait_closed()

    server = await asyncio.start_server(serve_one, host, port, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()


async def carry(
    head: bytes,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    port: int,
    seconds: float = 0.0,
) -> None:
    """Connect with that port of ours and pass on everything, in both directions."""

    async def pass_on(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(65536):
            await asyncio.sleep(seconds)
            sink.write(data)
        sink.close()

    there, back = await asyncio.open_connection("127.0.0.1", port)
    back.write(head)
    try:
        await asyncio.gather(pass_on(reader, back), pass_on(there, writer))
    finally:
        back.close()


async def carrying(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Makes the way to a port of ours, with a tunnel or without."""
    method, target, _ = head.decode().split(" ", 2)
    port = int(target.rpartition(":")[2].partition("/")[0])
    if method == "CONNECT":
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        head = b""
    await carry(head, reader, writer, port)


@define
class HttpProxy:
    """A proxy for HTTP, and the heads that it was sent."""

    port: int = 0
    heard: list[str] = field(factory=list)


@asynccontextmanager
async def proxying(go_on: GoOn) -> AsyncIterator[HttpProxy]:
    """The proxy while the block runs; what it does behind the first head is up to `go_on`."""
    proxy = HttpProxy()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        proxy.heard.append(head.decode())
        await go_on(head, reader, writer)

    async with serving(serve) as proxy.port:
        yield proxy
