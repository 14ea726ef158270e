"""A transport that sends what is written at one moment in one go."""

from __future__ import annotations

import asyncio
from typing import Any

GATHERED_LIMIT = 64 * 1024
"""So many bytes are kept at most; beyond, they go out at once."""


class GatheringTransport(asyncio.Transport):
    """Passes on what was written to it as soon as its writer has let go of the event loop.

    uvicorn writes an answer's head and its body one after the other, which are two system calls
    here, and two times that the other side wakes up. Takes no part in what uvicorn does not use.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._transport = transport
        self._loop = loop
        self._written: list[Any] = []
        self._size = 0

    def write(self, data: Any) -> None:
        """Keep it for a moment, unless that would be too much."""
        if not self._written:
            self._loop.call_soon(self._pass_on)
        self._written.append(data)
        self._size += len(data)
        if self._size > GATHERED_LIMIT:
            self._pass_on()

    def close(self) -> None:
        """Pass on what was written, then close."""
        self._pass_on()
        self._transport.close()

    def abort(self) -> None:
        """Close at once, whatever was written."""
        self._transport.abort()

    def is_closing(self) -> bool:
        """Whether it is closed, or about to be."""
        return self._transport.is_closing()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """What the real transport knows of the connection."""
        return self._transport.get_extra_info(name, default)

    def pause_reading(self) -> None:
        """Let the sender wait."""
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Let the sender go on."""
        self._transport.resume_reading()

    def _pass_on(self) -> None:
        written, self._written, self._size = self._written, [], 0
        if written and not self._transport.is_closing():
            self._transport.write(b"".join(written))
