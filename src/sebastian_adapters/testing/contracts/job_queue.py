"""What every job queue promises."""

from __future__ import annotations

import asyncio
from threading import Thread
from typing import Protocol

from sebastian_core.ports.job_queue import JobQueue

SOON_SECONDS = 15.0
"""A ring that did not come by then is lost."""

SILENCE_SECONDS = 0.4
"""When nothing came for so long, nothing more comes."""


async def fall_silent(ear: JobQueue, most: int = 20) -> int:
    """Hear whatever still rings; how often it did. Fails if it never ends."""
    for heard in range(most):
        if not await ear.wait(SILENCE_SECONDS):
            return heard
    raise AssertionError("it goes on ringing although nobody rings")


class JobQueueContract:
    """Inherit it and provide the fixtures `bell` and `ear`: where one rings, and where it is heard.

    Both may be the same object. `ear` must be listening already.
    """

    async def test_a_ring_is_heard(self, bell: JobQueue, ear: JobQueue) -> None:
        bell.ring()

        assert await ear.wait(SOON_SECONDS)

    async def test_a_ring_wakes_one_who_waits_already(self, bell: JobQueue, ear: JobQueue) -> None:
        waiting = asyncio.create_task(ear.wait(SOON_SECONDS))
        await asyncio.sleep(0)

        bell.ring()

        assert await waiting

    async def test_waiting_ends_in_time_when_nobody_rings(self, ear: JobQueue) -> None:
        assert not await ear.wait(0.01)
        assert not await ear.wait(0.0)

    async def test_rings_before_somebody_looks_are_few(self, bell: JobQueue, ear: JobQueue) -> None:
        for _ in range(1000):
            bell.ring()

        assert await ear.wait(SOON_SECONDS)
        assert await fall_silent(ear) <= 3

    async def test_a_ring_after_one_was_heard_is_heard_again(
        self, bell: JobQueue, ear: JobQueue
    ) -> None:
        bell.ring()
        assert await ear.wait(SOON_SECONDS)
        await fall_silent(ear)

        bell.ring()

        assert await ear.wait(SOON_SECONDS)

    async def test_a_ring_while_the_caller_looks_is_heard_the_next_time(
        self, bell: JobQueue, ear: JobQueue
    ) -> None:
        bell.ring()
        assert await ear.wait(SOON_SECONDS)

        bell.ring()

        assert await ear.wait(SOON_SECONDS)

    async def test_may_be_rung_from_any_thread(self, bell: JobQueue, ear: JobQueue) -> None:
        waiting = asyncio.create_task(ear.wait(SOON_SECONDS))
        ringer = Thread(target=bell.ring)

        ringer.start()

        assert await waiting
        ringer.join()

    async def test_a_caller_who_stops_waiting_takes_no_ring_along(
        self, bell: JobQueue, ear: JobQueue
    ) -> None:
        leaving = asyncio.create_task(ear.wait(SOON_SECONDS))
        await asyncio.sleep(0)
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)

        bell.ring()

        assert await ear.wait(SOON_SECONDS)

    async def test_no_burst_goes_unheard(self, bell: JobQueue, ear: JobQueue) -> None:
        for _ in range(20):
            bell.ring()
            bell.ring()
            assert await ear.wait(SOON_SECONDS)


class ConnectedJobQueue(JobQueue, Protocol):
    """A job queue on a server: `open` lets it ring, `listen` lets it hear, `aclose` ends both."""

    async def open(self) -> None: ...

    async def listen(self) -> None: ...

    async def aclose(self) -> None: ...


class ConnectedJobQueueContract(JobQueueContract):
    """For those that have a server. Provide also `unopened`, which rings where `ear` listens."""

    async def test_may_be_opened_again(self, unopened: ConnectedJobQueue) -> None:
        for _ in range(2):
            await unopened.open()
            await unopened.listen()
            unopened.ring()
            assert await unopened.wait(SOON_SECONDS)
            await unopened.aclose()

    async def test_a_ring_before_it_is_opened_or_after_it_was_closed_is_lost_in_silence(
        self, unopened: ConnectedJobQueue, ear: JobQueue
    ) -> None:
        unopened.ring()
        await unopened.open()
        await unopened.open()
        await unopened.aclose()
        await unopened.aclose()
        assert await fall_silent(ear) <= 1, "closing may ring a last time"

        unopened.ring()

        assert not await ear.wait(SILENCE_SECONDS)
