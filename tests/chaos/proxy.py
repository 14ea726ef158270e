"""A TCP proxy that delays, cuts, resets, slices and swallows what passes through it."""

from __future__ import annotations

import asyncio
import itertools
import random
import socket
import struct
from collections.abc import Sequence
from contextlib import suppress
from enum import StrEnum
from typing import Self

from attrs import define, field

_CHUNK_BYTES = 65536
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
Target = tuple[str, int]
"""A host and a port."""


class Weather(StrEnum):
    """What happens to bytes on their way."""

    CALM = "calm"
    DELAY = "delay"
    SLICE = "slice"
    BLACK_HOLE = "black hole"


@define(eq=False)
class Proxy:
    """Listens on a port of loopback and passes on to its targets in turn.

    In a black hole bytes wait; they go on when it is over, if the connection still stands then.
    """

    targets: Sequence[Target]
    rng: random.Random
    port: int = 0
    delay_seconds: float = 0.2
    _weather: Weather = Weather.CALM
    _cleared: asyncio.Event = field(factory=asyncio.Event)
    _server: asyncio.Server | None = None
    _turn: itertools.count[int] = field(factory=itertools.count)
    _writers: set[asyncio.StreamWriter] = field(factory=set)
    _tasks: set[asyncio.Task[None]] = field(factory=set)

    async def start(self) -> None:
        """Listen; `port` tells where."""
        self._cleared.set()
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Close everything."""
        if self._server is not None:
            self._server.close()
        self.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def turn(self, weather: Weather) -> None:
        """From now on this happens to all bytes."""
        self._weather = weather
        if weather is Weather.BLACK_HOLE:
            self._cleared.clear()
        else:
            self._cleared.set()

    def cut(self) -> None:
        """Close all connections, as a peer does that goes away in good order."""
        for writer in tuple(self._writers):
            writer.close()

    def reset(self) -> None:
        """Break all connections off with a reset."""
        for writer in tuple(self._writers):
            with suppress(OSError):
                found: socket.socket = writer.get_extra_info("socket")
                found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            writer.transport.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        with suppress(OSError, asyncio.CancelledError):
            await self._pass_on(reader, writer)
        writer.close()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await self._connect()
        both = {writer, there_writer}
        self._writers |= both
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump(reader, there_writer))
                group.create_task(self._pump(there_reader, writer))
        finally:
            self._writers -= both
            there_writer.close()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        first = next(self._turn)
        order = [self.targets[(first + n) % len(self.targets)] for n in range(len(self.targets))]
        for target in order[:-1]:
            with suppress(OSError):
                return await asyncio.open_connection(*target)
        return await asyncio.open_connection(*order[-1])

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while passed := await reader.read(_CHUNK_BYTES):
                for piece in self._pieces(passed):
                    await self._wait()
                    writer.write(piece)
                    await writer.drain()
        writer.close()

    def _pieces(self, passed: bytes) -> list[bytes]:
        if self._weather is not Weather.SLICE:
            return [passed]
        ends = sorted({len(passed), *(self.rng.randrange(1, len(passed) + 1) for _ in range(8))})
        return [passed[start:end] for start, end in itertools.pairwise([0, *ends])]

    async def _wait(self) -> None:
        if self._weather is Weather.DELAY:
            await asyncio.sleep(self.rng.uniform(0.0, self.delay_seconds))
        elif self._weather is Weather.SLICE:
            await asyncio.sleep(0.001)
        await self._cleared.wait()
