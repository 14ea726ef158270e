"""Several workers under one parent, which starts those again that die."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

from attrs import define

LIFELINE = "SEBASTIAN_LIFELINE"
"""Names the pipe whose end tells a child that its parent is gone."""

MISCONFIGURED = 2
FIRST_PAUSE_SECONDS = 0.5
PAUSE_LIMIT_SECONDS = 30.0
STEADY_SECONDS = 30.0


@define
class _Place:
    """One child after another: who is there, and when the next one may be started."""

    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    pause_seconds: float = FIRST_PAUSE_SECONDS


class Supervisor:
    """Keeps a number of child processes running until it is told to stop.

    A child that dies young is started again after a pause that doubles up to half a minute. One
    that ends with 2 was misconfigured: then all end, and so does the parent. A parent that is
    killed takes its children along.
    """

    def __init__(self, command: list[str], processes: int) -> None:
        self._command = command
        self._places = [_Place() for _ in range(processes)]
        self._is_stopping = False
        self._status = 0

    def run(self) -> int:
        """Run until SIGTERM or SIGINT; returns the exit status."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        with self._lifeline() as lifeline:
            while not self._is_stopping:
                for place in self._places:
                    self._keep_up(place, lifeline)
                signal.sigtimedwait([signal.SIGCHLD], 0.2)
            return self._end()

    def _stop(self, *_: object) -> None:
        self._is_stopping = True

    @contextmanager
    def _lifeline(self) -> Iterator[int]:
        read, write = os.pipe()
        try:
            yield read
        finally:
            os.close(read)
            os.close(write)

    def _keep_up(self, place: _Place, lifeline: int) -> None:
        process, now = place.process, time.monotonic()
        if process is None:
            self._start(place, lifeline)
            return
        status = process.poll()
        if status is None:
            return
        if status == MISCONFIGURED:
            self._status, self._is_stopping = status, True
        elif now - place.started_at > STEADY_SECONDS:
            place.pause_seconds = FIRST_PAUSE_SECONDS
            self._start(place, lifeline)
        elif now - place.started_at > place.pause_seconds:
            place.pause_seconds = min(place.pause_seconds * 2, PAUSE_LIMIT_SECONDS)
            self._start(place, lifeline)

    def _start(self, place: _Place, lifeline: int) -> None:
        environ = {**os.environ, LIFELINE: str(lifeline)}
        place.started_at = time.monotonic()
        place.process = subprocess.Popen(self._command, env=environ, pass_fds=[lifeline])

    def _end(self) -> int:
        children = [place.process for place in self._places if place.process is not None]
        for child in children:
            child.terminate()
        return max([self._status, *(abs(child.wait()) for child in children)])
