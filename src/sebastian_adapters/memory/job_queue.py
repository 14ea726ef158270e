"""The job queue in memory: one doorbell for all who hold this object."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from threading import Lock

from sebastian_core.ports.job_queue import JobQueue

_Ear = tuple[asyncio.AbstractEventLoop, asyncio.Event]


class InMemoryJobQueue(JobQueue):
    """Loses no ring, and each is heard by one of those who wait.

    `ring` may come from any thread, and waiters may live in several event loops.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._rung = False
        self._ears: dict[_Ear, None] = {}  # in the order in which they began to wait

    def ring(self) -> None:
        """Keep the ring for whoever looks first, and wake those who wait."""
        with self._lock:
            self._rung = True
            ears = tuple(self._ears)
        for loop, awake in ears:
            with suppress(RuntimeError):  # the loop was closed: nobody waits there any more
                loop.call_soon_threadsafe(awake.set)

    async def wait(self, timeout_seconds: float) -> bool:
        """Wait for a ring and take it."""
        ear = (asyncio.get_running_loop(), asyncio.Event())
        self._add(ear)
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._take_when_rung(ear[1])
        except TimeoutError:
            return False
        finally:
            self._remove(ear)
        return True

    async def _take_when_rung(self, awake: asyncio.Event) -> None:
        while not self._take():
            await awake.wait()
            awake.clear()

    def _take(self) -> bool:
        with self._lock:
            rung, self._rung = self._rung, False
            return rung

    def _add(self, ear: _Ear) -> None:
        with self._lock:
            self._ears[ear] = None

    def _remove(self, ear: _Ear) -> None:
        with self._lock:
            self._ears.pop(ear, None)
