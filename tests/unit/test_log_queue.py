"""Log lines leave through a queue: nobody waits for their reader."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
import structlog
from attrs import define
from prometheus_client import generate_latest

from sebastian_apps.http.metrics import WebhookMetrics
from sebastian_apps.observability.log_queue import (
    FLUSH_SECONDS,
    LINES_AT_MOST,
    PIPE_BYTES,
    LogQueue,
)
from sebastian_apps.observability.logging import configure_logging, dropped_lines, get_logger
from sebastian_apps.observability.metrics import WorkerMetrics
from sebastian_apps.settings import Settings
from sebastian_apps.settings.model import LogSettings

DEADLINE_SECONDS = 10
PIPE_HOLDS = 65536
LOGS_AND_ENDS = """
import logging
from sebastian_apps.observability.logging import configure_logging, get_logger
from sebastian_apps.settings import Settings

configure_logging(Settings())
for number in range(1000):
    get_logger("ours").info("one", number=number)
    logging.getLogger("theirs").warning("other %d", number)
"""


@define
class Pipe:
    """A pipe whose reads end where a write ended, and what was read."""

    read: int
    write: int

    def pieces(self, last: bytes) -> list[bytes]:
        """Read until this has come, write by write."""
        pieces = [os.read(self.read, PIPE_HOLDS)]
        while last not in pieces[-1]:
            pieces.append(os.read(self.read, PIPE_HOLDS))
        return pieces


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    read, write = os.pipe2(os.O_DIRECT)
    yield Pipe(read, write)
    os.close(read)
    os.close(write)


@pytest.fixture
def _logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


def until(holds: Callable[[], bool]) -> None:
    give_up_at = time.monotonic() + DEADLINE_SECONDS
    while not holds():
        assert time.monotonic() < give_up_at
        time.sleep(0.001)


def blocked(queue: LogQueue, pipe: Pipe) -> None:
    """Let the queue's thread wait in a write that nobody takes."""
    os.set_blocking(pipe.write, False)
    with suppress(BlockingIOError):
        while True:
            os.write(pipe.write, b"x" * PIPE_BYTES)
    os.set_blocking(pipe.write, True)
    queue.put_nowait("blocks")
    until(queue._queue.empty)


class TestAReaderThatReads:
    def test_gets_every_line_in_order_in_pieces_that_a_pipe_takes_whole(self, pipe: Pipe) -> None:
        queue = LogQueue(pipe.write)
        lines = [f"{number:03} {'é' * (number % 7 * 300)}" for number in range(60)]

        for line in [*lines, "last"]:
            queue.put_nowait(line)
        pieces = pipe.pieces(b"last\n")

        assert b"".join(pieces).decode().splitlines() == [*lines, "last"]
        assert all(piece.endswith(b"\n") and len(piece) <= PIPE_BYTES for piece in pieces)
        assert len(pieces) < len(lines)

    def test_gets_a_line_that_no_pipe_takes_whole(self, pipe: Pipe) -> None:
        queue = LogQueue(pipe.write)

        for line in ("short", "x" * 2 * PIPE_BYTES, "last"):
            queue.put_nowait(line)

        text = b"".join(pipe.pieces(b"last\n"))
        assert text == b"short\n" + b"x" * 2 * PIPE_BYTES + b"\nlast\n"

    def test_gets_what_its_encoding_has_no_sign_for_written_out(self, pipe: Pipe) -> None:
        LogQueue(pipe.write, encoding="latin-1").put_nowait("é 😀 \udc80")

        assert pipe.pieces(b"\n") == ["é \\U0001f600 \\udc80\n".encode("latin-1")]

    def test_gets_everything_from_a_descriptor_that_does_not_block(self, pipe: Pipe) -> None:
        os.set_blocking(pipe.write, False)
        queue = LogQueue(pipe.write)

        for number in range(2_000):
            queue.put_nowait(f"{number:0100}")
        queue.put_nowait("last")
        text = b"".join(pipe.pieces(b"last\n"))

        assert [int(line) for line in text.split()[:-1]] == list(range(2_000))
        assert queue.dropped == 0

    def test_has_them_all_when_a_process_ends(self) -> None:
        done = subprocess.run(
            [sys.executable, "-c", LOGS_AND_ENDS], capture_output=True, text=True, check=True
        )

        assert len(done.stderr.splitlines()) == 2000


class TestAReaderThatReadsNothing:
    def test_keeps_nobody_waiting_and_costs_the_lines_beyond_the_bound(self, pipe: Pipe) -> None:
        queue = LogQueue(pipe.write, at_most=10)
        blocked(queue, pipe)

        for number in range(25):
            queue.put_nowait(f"line {number}")

        assert queue.dropped == 15
        text = b"".join(pipe.pieces(b"line 9\n"))
        assert text.endswith(b"".join(b"line %d\n" % number for number in range(10)))

    def test_keeps_a_process_that_ends_for_a_second(self, pipe: Pipe) -> None:
        queue = LogQueue(pipe.write)
        blocked(queue, pipe)

        began_at = time.monotonic()
        queue.flush()

        assert FLUSH_SECONDS <= time.monotonic() - began_at < FLUSH_SECONDS + DEADLINE_SECONDS

    @pytest.mark.usefixtures("_logging_as_before")
    def test_is_told_how_many_lines_it_missed_when_it_is_back(self, pipe: Pipe) -> None:
        with open(pipe.write, "w", closefd=False) as stream:
            configure_logging(Settings(log=LogSettings(format="json")), stream=stream)
        log = get_logger("x")
        for _ in range(3 * LINES_AT_MOST):
            log.info("a line")
        missed = dropped_lines()

        *_, last = b"".join(pipe.pieces(b"were dropped")).splitlines()

        assert missed > 0
        told = json.loads(last)
        assert told["event"] == "log lines were dropped: nobody read them in time"
        assert (told["level"], told["lines"]) == ("warning", missed)
        counted = f"sebastian_log_lines_dropped_total {float(missed)}"
        assert counted in WebhookMetrics().exposed(None, 0).decode()
        assert counted in generate_latest(WorkerMetrics().registry).decode()


class TestWhatCannotBeWritten:
    def test_is_counted_and_raises_nothing(self) -> None:
        with open("/dev/full", "wb", buffering=0) as full:  # noqa: PTH123
            queue = LogQueue(full.fileno())
            for _ in range(3):
                queue.put_nowait("a line")
            queue.flush()

            assert queue.dropped == 3

    def test_is_told_once_something_can_be_written_again(self, pipe: Pipe) -> None:
        told: list[int] = []
        full = os.open("/dev/full", os.O_WRONLY)
        try:
            queue = LogQueue(full, on_dropped=told.append)
            queue.put_nowait("lost")
            queue.flush()
            assert told == []
            os.dup2(pipe.write, full)
            queue.put_nowait("not lost")
            queue.flush()
        finally:
            os.close(full)

        assert pipe.pieces(b"\n") == [b"not lost\n"]
        assert told == [1]
