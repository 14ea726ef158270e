"""Sending bells from a thread of its own, so that ringing never waits for anything."""

from __future__ import annotations

import logging
from collections.abc import Callable
from threading import Event, Thread

from sebastian_core.domain.reaching import why_unreached

_logger = logging.getLogger(__name__)

#: How long nothing is tried after a bell could not be sent.
PAUSE_SECONDS = 0.25

#: The longest rest in a burst of rings, as a multiple of the first one.
LONGEST_REST = 5


class Ringer:
    """Calls `send` at the first ring of a burst, and once for all rings that come while it rests.

    It rests for `rest_seconds` after each call. If somebody rang meanwhile the next rest is twice
    as long, up to `LONGEST_REST` times the first one: a worker that heard the bell looks at the
    line again and again for a while, without another bell. (Measured at 400 webhooks a second,
    bells every 20 ms took a tenth of the processor time of the webhook service and a sixth of the
    worker's.) An error of `send` is counted, logged once per outage, and that ring is dropped: the
    tick makes up for it.
    """

    def __init__(self, send: Callable[[], None], rest_seconds: float) -> None:
        self._send = send
        self._rest_seconds = rest_seconds
        self._rung = Event()
        self._stopping = Event()
        self._thread = Thread(target=self._run, name="sebastian-doorbell", daemon=True)
        self._in_outage = False
        self.sent = 0
        self.failed = 0

    def start(self) -> None:
        """Start the thread; once."""
        self._thread.start()

    def ring(self) -> None:
        """Ask for a bell. Neither blocks nor raises.

        If one was asked for and not sent yet, that one is enough. Most rings of a burst end here,
        without the lock that they would share with the sending thread.
        """
        if not self._rung.is_set():
            self._rung.set()

    def stop(self, timeout_seconds: float) -> None:
        """End the thread after a last bell, which carries a ring that had not been sent yet.

        That holds for a ring that came while it rested, too.
        """
        self._stopping.set()
        self._rung.set()
        self._thread.join(timeout_seconds)

    def _run(self) -> None:
        rest_seconds = self._rest_seconds
        while not self._stopping.is_set():
            self._rung.wait()
            self._rung.clear()
            if self._try():
                self._stopping.wait(rest_seconds)
            longer = min(2 * rest_seconds, LONGEST_REST * self._rest_seconds)
            rest_seconds = longer if self._rung.is_set() else self._rest_seconds
        if self._rung.is_set():
            self._try()

    def _try(self) -> bool:
        try:
            self._send()
        except Exception as error:  # noqa: BLE001 - whatever the broker raises, the next bell may go
            self._drop(error)
            return False
        self.sent += 1
        self._in_outage = False
        return True

    def _drop(self, error: Exception) -> None:
        self.failed += 1
        if not self._in_outage:
            reason = why_unreached(error) or type(error).__name__
            _logger.warning("the doorbell cannot be sent: %s", reason)
        self._in_outage = True
        self._stopping.wait(PAUSE_SECONDS)
