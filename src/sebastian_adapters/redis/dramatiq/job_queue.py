"""The job queue on Dramatiq: one actor without arguments, whose message is the doorbell."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Self

import dramatiq

from sebastian_adapters.redis.dramatiq.broker import ACTOR, NAMESPACE, QUEUE, DoorbellBroker
from sebastian_adapters.redis.dramatiq.ringer import Ringer
from sebastian_core.ports.job_queue import JobQueue

#: How often Dramatiq's threads look whether to stop, except the one that waits in Redis.
IDLE_MILLISECONDS = 100

#: How long each kind of thread may take to stop; a worker has two kinds, one after the other.
STOP_SECONDS = 2.0


class DramatiqJobQueue(JobQueue):
    """Rings through a list in Redis.

    Nothing is started when it is built. `open` lets it ring, `listen` lets it be heard in the event
    loop that calls it, `aclose` ends both; all may be called twice. One ring is heard by one of the
    processes that listen. Without a listener at most a few bells pile up.

    `rest_seconds` is how long rings are gathered into one bell after a bell (in a long burst up to
    five times as long), `threads` how many threads hear it (one is enough: hearing is all they do).
    After a restart of Redis a listener hears again within Dramatiq's own restart delay (3 s).
    """

    def __init__(
        self,
        url: str,
        *,
        namespace: str = NAMESPACE,
        rest_seconds: float = 0.02,
        threads: int = 1,
    ) -> None:
        self._broker = DoorbellBroker(url, namespace)
        declare = dramatiq.actor(broker=self._broker, actor_name=ACTOR, queue_name=QUEUE)
        self._actor = declare(self._hear)
        self._rest_seconds = rest_seconds
        self._threads = threads
        self._ringer: Ringer | None = None
        self._worker: dramatiq.Worker | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._heard = asyncio.Event()

    @property
    def sent(self) -> int:
        """How many bells were sent since it was opened, or hung there already."""
        return self._ringer.sent if self._ringer else 0

    @property
    def failed(self) -> int:
        """How many could not be sent."""
        return self._ringer.failed if self._ringer else 0

    async def open(self) -> None:
        """Start the thread that sends; connects when first rung."""
        if self._ringer is None:
            self._ringer = Ringer(self._send, self._rest_seconds)
            self._ringer.start()

    async def listen(self) -> None:
        """Start a Dramatiq worker in this process, which wakes those who wait in this loop."""
        if self._worker is not None:
            return
        self._loop = asyncio.get_running_loop()
        self._worker = dramatiq.Worker(
            self._broker,
            queues={QUEUE},
            worker_timeout=IDLE_MILLISECONDS,
            worker_threads=self._threads,
        )
        self._worker.start()

    async def aclose(self) -> None:
        """Stop the threads, within a few seconds whatever Redis does, and close all."""
        ringer, self._ringer = self._ringer, None
        worker, self._worker = self._worker, None
        async with asyncio.TaskGroup() as ending:
            if ringer is not None:
                ending.create_task(asyncio.to_thread(ringer.stop, STOP_SECONDS))
            if worker is not None:
                ending.create_task(asyncio.to_thread(_stop, worker))
        self._broker.close()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def ring(self) -> None:
        """Leave a note for the thread that sends; before `open` nobody takes it."""
        if self._ringer is not None:
            self._ringer.ring()

    async def wait(self, timeout_seconds: float) -> bool:
        """Wait for a bell that this process took; whoever waits listens."""
        if self._ringer is not None:
            await self.listen()
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._heard.wait()
        except TimeoutError:
            return False
        self._heard.clear()
        return True

    def _send(self) -> None:
        if not self._broker.has_bell():
            self._actor.send()

    def _hear(self) -> None:
        """The actor, in a thread of Dramatiq's."""
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop was closed: nobody waits there any more
                self._loop.call_soon_threadsafe(self._heard.set)


def _stop(worker: dramatiq.Worker) -> None:
    """Stop it. It raises if Redis does not take a bell back, which is no loss: the tick comes."""
    with suppress(Exception):
        worker.stop(timeout=int(STOP_SECONDS * 1000))
