"""A small stand-in for a PgBouncer that pools transactions."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress
from typing import TypeAlias

import psycopg

Stream: TypeAlias = tuple[asyncio.StreamReader, asyncio.StreamWriter]

SSL_REQUEST, GSS_REQUEST = 80877103, 80877104
IDLE, GOODBYE = b"I", b"X"
AUTHENTICATION_OK = b"R" + struct.pack("!ii", 8, 0)
KEY = b"K" + struct.pack("!iii", 12, 1, 1)
READY = b"Z" + struct.pack("!i", 5) + IDLE
PARAMETERS = {"client_encoding": "UTF8", "server_version": "18.0", "TimeZone": "UTC"}


class TransactionPooler:
    """Hands each transaction of any client to whichever server connection was free longest."""

    def __init__(self, conninfo: str, size: int = 3) -> None:
        self._conninfo = conninfo
        self._size = size
        self._free: asyncio.Queue[Stream] = asyncio.Queue()
        self._serving: set[asyncio.Task[object] | None] = set()
        self._connections: list[psycopg.Connection[tuple[object, ...]]] = []

    async def open(self) -> asyncio.Server:
        """Connect to the server and listen on a free port."""
        for _ in range(self._size):
            connection = psycopg.connect(self._conninfo)
            self._connections.append(connection)
            raw = socket.socket(fileno=os.dup(connection.fileno()))
            raw.setblocking(False)
            self._free.put_nowait(await asyncio.open_connection(sock=raw))
        return await asyncio.start_server(self._serve, "127.0.0.1", 0)

    async def close(self) -> None:
        """Wait for the clients to leave, then let go of the server connections."""
        await asyncio.gather(*filter(None, self._serving))
        for connection in self._connections:
            connection.close()
        while not self._free.empty():
            self._free.get_nowait()[1].close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._serving.add(asyncio.current_task())
        with closing(writer), suppress(asyncio.IncompleteReadError, ConnectionError):
            await self._greet(reader, writer)
            while (kind := await reader.readexactly(1)) != GOODBYE:
                await self._transaction(reader, writer, kind)

    async def _greet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            (length,) = struct.unpack("!i", await reader.readexactly(4))
            body = await reader.readexactly(length - 4)
            if struct.unpack("!i", body[:4])[0] not in (SSL_REQUEST, GSS_REQUEST):
                break
            writer.write(b"N")
        writer.write(AUTHENTICATION_OK)
        for name, value in PARAMETERS.items():
            told = f"{name}\0{value}\0".encode()
            writer.write(b"S" + struct.pack("!i", len(told) + 4) + told)
        writer.write(KEY + READY)
        await writer.drain()

    async def _transaction(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, kind: bytes
    ) -> None:
        server_reader, server_writer = server = await self._free.get()
        try:
            while True:
                synced = kind in (b"Q", b"S")
                server_writer.write(kind + await _rest(reader))
                if synced and await _answered(server_reader, writer) == IDLE:
                    return
                kind = await reader.readexactly(1)
        finally:
            self._free.put_nowait(server)


async def _rest(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readexactly(4)
    return head + await reader.readexactly(struct.unpack("!i", head)[0] - 4)


async def _answered(server: asyncio.StreamReader, client: asyncio.StreamWriter) -> bytes:
    """Pass everything on to the client up to ReadyForQuery; the transaction's state."""
    while True:
        kind, rest = await server.readexactly(1), await _rest(server)
        client.write(kind + rest)
        if kind == b"Z":
            await client.drain()
            return rest[-1:]


@asynccontextmanager
async def transaction_pooler(conninfo: str) -> AsyncIterator[str]:
    """The URL of a pooler before this database."""
    pooler = TransactionPooler(conninfo)
    server = await pooler.open()
    port = server.sockets[0].getsockname()[1]
    try:
        yield f"postgresql://postgres@127.0.0.1:{port}/any"
    finally:
        server.close()
        await pooler.close()
