"""Several workers under one parent, which starts those again that die."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import IO

from attrs import define

from sebastian_apps.worker.policy_calls import CALLS, ENDS, PolicyCalls

LIFELINE = "SEBASTIAN_LIFELINE"
"""Names the pipe whose end tells a child that its parent is gone."""

MISCONFIGURED = 2
FIRST_PAUSE_SECONDS = 0.5
PAUSE_LIMIT_SECONDS = 30.0
STEADY_SECONDS = 30.0
LOOK_SECONDS = 0.2
END_SECONDS = 17.0
"""A worker that was told to stop is gone after 15.5 s at worst."""

ABORT_SECONDS = 1.0


@define
class _Place:
    """One child after another: who is there, and when the next one may be started.

    `choice` is the policy's choice that was seen under way last, `looks` how often since.
    """

    calls: PolicyCalls
    calls_file: IO[bytes]
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    pause_seconds: float = FIRST_PAUSE_SECONDS
    choice: int | None = None
    looks: int = 0

    def look(self) -> int:
        """How often in a row the same choice of the policy was seen under way."""
        choice = self.calls.under_way
        is_same = choice is not None and choice == self.choice
        self.choice, self.looks = choice, self.looks + 1 if is_same else 0
        return self.looks


class Supervisor:
    """Keeps a number of child processes running until it is told to stop.

    A child that dies young is started again after a pause that doubles up to half a minute. One
    that ends with 2 was misconfigured: then all end, and so does the parent. A parent that is
    killed takes its children along.

    Children that end in the midst of a choice of the user's policy are counted, and each new child
    is told how many. A child's own watchdog ends it after `patience_seconds` in a choice; code that
    lets no thread of the child run is ended from here, after twice that. A child that was told to
    stop and is there after `end_seconds` is ended too. `tell` hears of all.
    """

    def __init__(
        self,
        command: list[str],
        processes: int,
        *,
        patience_seconds: float = 30.0,
        end_seconds: float = END_SECONDS,
        tell: Callable[[str, int], None] = lambda what, pid: None,
    ) -> None:
        self._command = command
        self._places = [_Place(*PolicyCalls.new()) for _ in range(processes)]
        self._looks_allowed = 2 * patience_seconds / LOOK_SECONDS
        self._end_seconds = end_seconds
        self._tell = tell
        self._policy_ends = 0
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
                signal.sigtimedwait([signal.SIGCHLD], LOOK_SECONDS)
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
            self._end_if_stuck(place, process)
            return
        self._count_policy_end(place, process)
        if status == MISCONFIGURED:
            self._status, self._is_stopping = status, True
        elif now - place.started_at > STEADY_SECONDS:
            place.pause_seconds = FIRST_PAUSE_SECONDS
            self._start(place, lifeline)
        elif now - place.started_at > place.pause_seconds:
            place.pause_seconds = min(place.pause_seconds * 2, PAUSE_LIMIT_SECONDS)
            self._start(place, lifeline)

    def _end_if_stuck(self, place: _Place, process: subprocess.Popen[bytes]) -> None:
        """SIGABRT lets a child say where it is, whatever it does."""
        if place.look() == round(self._looks_allowed):
            self._tell("a worker is stuck in the policy and is ended", process.pid)
            process.send_signal(signal.SIGABRT)

    def _count_policy_end(self, place: _Place, process: subprocess.Popen[bytes]) -> None:
        if place.calls.under_way is not None:
            place.calls.reset()
            self._policy_ends += 1
            self._tell("a worker ended in the midst of a choice of the policy", process.pid)

    def _start(self, place: _Place, lifeline: int) -> None:
        calls = place.calls_file.fileno()
        told = {LIFELINE: str(lifeline), CALLS: str(calls), ENDS: str(self._policy_ends)}
        place.started_at = time.monotonic()
        place.calls.reset()
        place.process = subprocess.Popen(
            self._command, env={**os.environ, **told}, pass_fds=[lifeline, calls]
        )

    def _end(self) -> int:
        """SIGTERM lets a child finish, SIGABRT lets it say where it is, SIGKILL lets it nothing."""
        children = [place.process for place in self._places if place.process is not None]
        _signal(children, signal.SIGTERM)
        for number, seconds in (
            (signal.SIGABRT, self._end_seconds),
            (signal.SIGKILL, ABORT_SECONDS),
        ):
            left = _left_after(seconds, children)
            for child in left:
                self._tell(f"a worker does not stop and is ended by {number.name}", child.pid)
            _signal(left, number)
        return max([self._status, *(abs(child.wait()) for child in children)])


def _signal(children: Iterable[subprocess.Popen[bytes]], number: signal.Signals) -> None:
    for child in children:
        child.send_signal(number)


def _left_after(
    seconds: float, children: Iterable[subprocess.Popen[bytes]]
) -> list[subprocess.Popen[bytes]]:
    """Who has not ended by then; comes back earlier once all have."""
    give_up_at = time.monotonic() + seconds
    for child in children:
        with suppress(subprocess.TimeoutExpired):
            child.wait(max(0.0, give_up_at - time.monotonic()))
    return [child for child in children if child.poll() is None]
