"""A stream for log lines that writes those of one turn of the event loop in one go."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Iterator
from threading import RLock
from typing import Any, TextIO

import structlog

WHOLE_BYTES = 4096
"""What Linux writes into a pipe in one piece (PIPE_BUF), whoever else writes."""


class GatheredLines:
    """Passes lines on when the event loop has turned, and at once where none runs.

    A webhook logs one line, and writing it by itself was a fifth of what the webhook cost; the
    webhooks of one transaction are answered in one turn. Whoever must be read whatever happens next
    calls `pass_on`: warnings do, and with them goes all that was kept before them. What is written
    at once is never more than a pipe takes whole: processes may share one.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._kept: list[str] = []
        self._due_in: asyncio.AbstractEventLoop | None = None
        self._lock = RLock()

    def write(self, text: str) -> None:
        """Keep it until it is passed on."""
        with self._lock:
            self._kept.append(text)

    def flush(self) -> None:
        """Let what is kept be passed on soon."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self.pass_on()
            return
        if self._due_in is not loop:
            self._due_in = loop
            loop.call_soon(self.pass_on)

    def pass_on(self) -> None:
        """Write what is kept, now; from any thread."""
        with self._lock:
            self._due_in = None
            kept, self._kept = self._kept, []
            for text in _at_most(WHOLE_BYTES, kept):
                self._stream.write(text)
                self._stream.flush()


def _at_most(size: int, lines: Iterable[str]) -> Iterator[str]:
    """Whole lines together, as many as this many bytes hold; a longer line alone."""
    together: list[str] = []
    left = size
    for line in lines:
        needed = len(line) if line.isascii() else len(line.encode(errors="backslashreplace"))
        if together and needed > left:
            yield "".join(together)
            together, left = [], size
        together.append(line)
        left -= needed
    if together:
        yield "".join(together)


class LineWriter(structlog.WriteLogger):
    """What a structlog logger ends in; knows the name of the logger that it serves."""

    def __init__(self, lines: GatheredLines, name: str = "sebastian") -> None:
        super().__init__(lines)  # type: ignore[arg-type]
        self._lines = lines
        self.name = name

    def at_once(self, message: str) -> None:
        """Write a line that is not to be lost."""
        self._lines.write(f"{message}\n")
        self._lines.pass_on()

    warn = warning = err = error = critical = exception = fatal = failure = at_once


class LineHandler(logging.StreamHandler[Any]):
    """What the standard library's loggers end in. `logging.shutdown` passes everything on."""

    def __init__(self, lines: GatheredLines) -> None:
        super().__init__(lines)
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record, at once where it is a warning."""
        super().emit(record)
        if record.levelno >= logging.WARNING:
            self._lines.pass_on()
