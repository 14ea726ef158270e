"""Log lines on their way out: nobody waits for whoever reads them."""

from __future__ import annotations

import logging
import os
import select
import time
from collections.abc import Callable
from contextlib import suppress
from logging.handlers import QueueHandler
from queue import SimpleQueue
from threading import Event, RLock, Thread
from typing import TextIO

LINES_AT_MOST = 10_000
"""So many lines wait for their reader: some 3 MB."""

PIPE_BYTES = 4096
"""What Linux writes into a pipe in one piece (PIPE_BUF), whoever else writes."""

REST_SECONDS = 0.05
"""Lines of so long are written together: a write for each was a fifth of what a webhook cost.

The thread wakes up once in that time: at 50 chats a second a rest of 0.01 s cost each 5 to 10 %.
"""

FLUSH_SECONDS = 1.0
"""For so long a process that ends waits until its last lines are written."""


class LogQueue:
    """A bounded queue of lines, and the thread that writes them to a file descriptor.

    A reader that stops reading blocks this thread alone. A line that does not fit into the queue,
    or cannot be written (the disk is full, the reader has left), is dropped and counted. When
    lines can be written again and none is left in the queue, the thread calls `on_dropped` with
    how many were dropped since the last time. Safe to use from any thread.
    """

    def __init__(
        self,
        descriptor: int,
        *,
        encoding: str = "utf-8",
        at_most: int = LINES_AT_MOST,
        on_dropped: Callable[[int], None] = lambda lines: None,
    ) -> None:
        self.dropped = 0
        self._descriptor = descriptor
        self._encoding = encoding
        self._at_most = at_most
        self._on_dropped = on_dropped
        self._told = 0
        self._queue: SimpleQueue[str | Event] = SimpleQueue()
        self._lock = RLock()  # a warning of the garbage collector may come in between
        self._writing_in: int | None = None

    def put_nowait(self, line: str) -> None:
        """Take a line, which gets its line break here; never waits and never raises."""
        if self._queue.qsize() >= self._at_most:
            self._drop(1)
            return
        self._queue.put(line)
        if self._writing_in != os.getpid():
            self._start()

    def flush(self) -> None:
        """Come back when all that is queued is written, after FLUSH_SECONDS at the latest."""
        if self._writing_in == os.getpid():
            written = Event()
            self._queue.put(written)
            written.wait(FLUSH_SECONDS)

    def _start(self) -> None:
        """Start the thread, also in a process that was forked from the one that had it."""
        with self._lock, suppress(RuntimeError):  # none can be started while Python ends
            if self._writing_in != os.getpid():
                Thread(target=self._run, name="log-lines", daemon=True).start()
                self._writing_in = os.getpid()

    def _run(self) -> None:
        """Write whole lines together: as many as a pipe takes in one piece, or as there are."""
        piece: list[bytes] = []
        size = 0
        while True:
            item = self._queue.get()
            line = b"" if isinstance(item, Event) else self._encoded(item)
            if piece and (isinstance(item, Event) or size + len(line) > PIPE_BYTES):
                self._write(piece)
                piece, size = [], 0
            if isinstance(item, Event):
                item.set()
                continue
            piece.append(line)
            size += len(line)
            if self._queue.empty():
                self._write(piece)
                piece, size = [], 0
                time.sleep(REST_SECONDS)

    def _encoded(self, line: str) -> bytes:
        return f"{line}\n".encode(self._encoding, "backslashreplace")

    def _write(self, lines: list[bytes]) -> None:
        """By `os.write`: a stream has a lock, and nobody else may have to wait for it."""
        left = b"".join(lines)
        try:
            while left:
                left = left[self._written(left) :]
        except OSError:
            self._drop(len(lines))
        else:
            self._tell_dropped()

    def _written(self, left: bytes) -> int:
        try:
            return os.write(self._descriptor, left)
        except BlockingIOError:
            select.select([], [self._descriptor], [])
            return 0

    def _tell_dropped(self) -> None:
        dropped = self.dropped - self._told
        if dropped and self._queue.empty():
            self._told += dropped
            self._on_dropped(dropped)

    def _drop(self, lines: int) -> None:
        with self._lock:
            self.dropped += lines


class StreamLines:
    """Lines for a stream that has no file descriptor; written at once."""

    dropped = 0

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def put_nowait(self, line: str) -> None:
        """Write a line, with a line break."""
        self._stream.write(f"{line}\n")

    def flush(self) -> None:
        """Nothing is kept back."""


Lines = LogQueue | StreamLines


class LineLogger:
    """What a structlog logger ends in; knows the name of the logger that it serves."""

    def __init__(self, lines: Lines, name: str = "sebastian") -> None:
        self.name = name
        self._lines = lines

    def msg(self, line: str) -> None:
        """Let a line leave; it says itself how grave it is."""
        self._lines.put_nowait(line)

    debug = info = warn = warning = err = error = critical = exception = fatal = failure = msg


class LineHandler(QueueHandler):
    """What the standard library's loggers end in. `logging.shutdown` waits for the last lines."""

    def __init__(self, lines: Lines) -> None:
        super().__init__(lines)  # type: ignore[arg-type]
        self.lines = lines

    def prepare(self, record: logging.LogRecord) -> str:
        """The line, as it is queued."""
        return self.format(record)

    def flush(self) -> None:
        """See LogQueue.flush."""
        self.lines.flush()
