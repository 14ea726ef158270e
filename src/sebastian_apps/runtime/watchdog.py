"""Ends a process whose event loop is stuck, so that the service manager can start it again."""

from __future__ import annotations

import asyncio
import faulthandler
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

STUCK_EXIT_CODE = 70
LAST_LINES_SECONDS = 1.0
LAST_WORDS_SECONDS = 2.0
"""What a stuck process has to say must be written by then: it ends, written or not."""

LAST_RESORT_SECONDS = 1.0
"""So long after that the kernel ends a process which could not end itself."""

PATIENCE_SECONDS = 30.0
"""For so long a process may be stuck, unless somebody says otherwise."""


def gone_after(patience_seconds: float) -> float:
    """After so many seconds a watchdog has ended a process that was stuck, if it could run."""
    return patience_seconds * 1.2 + LAST_WORDS_SECONDS + LAST_RESORT_SECONDS


class Watchdog:
    """A thread that wants to hear from the event loop.

    A loop that is silent for `patience_seconds` is stuck: the stacks of all threads are written to
    standard error, which names the code that hangs, and the process exits with 70, two seconds
    later also where nobody reads standard error. A process that was stopped and woken gets the same
    time again before it is judged. `suspect` may say in words what the loop is busy with.
    """

    def __init__(
        self,
        patience_seconds: float = PATIENCE_SECONDS,
        suspect: Callable[[], str | None] = lambda: None,
    ) -> None:
        self._patience = patience_seconds
        self._suspect = suspect
        self._heard_at = time.monotonic()
        self._ended = threading.Event()

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Watch over the block, from its first line on."""
        beating = asyncio.create_task(self.beat())
        await asyncio.sleep(0)
        try:
            yield
        finally:
            beating.cancel()
            with suppress(asyncio.CancelledError):
                await beating

    async def beat(self) -> None:
        """Let the thread hear from the loop until cancelled; starts and ends the thread."""
        thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
        thread.start()
        try:
            while True:
                self._heard_at = time.monotonic()
                await asyncio.sleep(self._patience / 10)
        finally:
            self._ended.set()

    def _watch(self) -> None:
        looked_at = time.monotonic()
        while not self._ended.wait(self._patience / 5):
            now = time.monotonic()
            was_asleep = now - looked_at > self._patience / 2
            if was_asleep:
                self._heard_at = now
            looked_at = now
            if now - self._heard_at > self._patience:
                self._give_up()

    def _give_up(self) -> None:
        """What ends the process is on its way before anything is written: writing may block.

        The dump of the stacks blocks with the interpreter in its hand: no other thread runs then,
        and the kernel's timer ends the process (by SIGALRM, not with 70).
        """
        with suppress(OSError):
            signal.setitimer(signal.ITIMER_REAL, LAST_WORDS_SECONDS + LAST_RESORT_SECONDS)
        try:
            threading.Thread(target=_end_soon, name="last-resort", daemon=True).start()
        except RuntimeError:  # there are too many threads already
            os._exit(STUCK_EXIT_CODE)
        _pass_on_log_lines()
        suspect = self._suspect()
        blamed = f", busy with {suspect}" if suspect else ""
        with suppress(OSError):
            sys.stderr.write(
                f"the event loop did not answer for {self._patience:g} s{blamed}; "
                "what it is doing:\n"
            )
            sys.stderr.flush()
        faulthandler.dump_traceback(all_threads=True)
        os._exit(STUCK_EXIT_CODE)


def _end_soon() -> None:
    time.sleep(LAST_WORDS_SECONDS)
    os._exit(STUCK_EXIT_CODE)


def _pass_on_log_lines() -> None:
    """Let what was logged be read, unless the thread that hangs does so while it logs."""
    passing_on = threading.Thread(target=logging.shutdown, name="last-lines", daemon=True)
    passing_on.start()
    passing_on.join(LAST_LINES_SECONDS)
