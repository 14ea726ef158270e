"""The job queue on Dramatiq: one actor without arguments, whose message is the doorbell."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from threading import Thread
from typing import Self

import dramatiq

from sebastian_adapters.dramatiq.brokers import NAMESPACE, QUEUE, doorbell
from sebastian_adapters.dramatiq.ringer import Ringer
from sebastian_core.ports.job_queue import JobQueue

ACTOR = "look_at_the_line"
IDLE_MILLISECONDS = 100
"""How often those of Dramatiq's threads look whether they are to end that wait for no broker."""

STOP_SECONDS = 2.0
WORKER_STOP_SECONDS = 5.0
"""A worker stops its two kinds of threads one after the other, then says goodbye."""


class DramatiqJobQueue(JobQueue):
    """Rings through a Redis list, or through RabbitMQ for an `amqp://` URL.

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
        self._doorbell = doorbell(url, namespace)
        declare = dramatiq.actor(broker=self._broker, actor_name=ACTOR, queue_name=QUEUE)
        self._actor = declare(self._hear)
        self._rest_seconds = rest_seconds
        self._threads = threads
        self._ringer: Ringer | None = None
        self._worker: dramatiq.Worker | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._heard = asyncio.Event()

    @property
    def _broker(self) -> dramatiq.Broker:
        return self._doorbell.broker

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
        """Stop the threads, within a few seconds whatever the broker does, and close all."""
        ringer, self._ringer = self._ringer, None
        worker, self._worker = self._worker, None
        async with asyncio.TaskGroup() as ending:
            if ringer is not None:
                ending.create_task(_ended(lambda: ringer.stop(STOP_SECONDS), STOP_SECONDS))
            if worker is not None:
                ending.create_task(_ended(lambda: _stop(worker), WORKER_STOP_SECONDS))
        await _ended(self._broker.close, STOP_SECONDS)

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
        """Wait for a bell that this process took."""
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._heard.wait()
        except TimeoutError:
            return False
        self._heard.clear()
        return True

    def _send(self) -> None:
        if not self._doorbell.has_bell():
            self._actor.send()

    def _hear(self) -> None:
        """The actor, in a thread of Dramatiq's."""
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop was closed: nobody waits there any more
                self._loop.call_soon_threadsafe(self._heard.set)


def _stop(worker: dramatiq.Worker) -> None:
    worker.stop(timeout=int(STOP_SECONDS * 1000))


async def _ended(work: Callable[[], None], seconds: float) -> None:
    """Do it in a thread that is left behind when it hangs, and whose failure is nobody's business.

    A broker that is down or silent must not keep the process from ending: pika, for one, waits for
    an answer to its goodbye for ever, and asyncio for all threads of its own.
    """
    loop, done = asyncio.get_running_loop(), asyncio.Event()

    def run() -> None:
        with suppress(Exception):
            work()
        with suppress(RuntimeError):  # the loop was closed: nobody waits any more
            loop.call_soon_threadsafe(done.set)

    Thread(target=run, name="sebastian-doorbell-end", daemon=True).start()
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await done.wait()
