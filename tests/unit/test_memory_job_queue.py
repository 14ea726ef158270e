from __future__ import annotations

import asyncio

import pytest

from sebastian_adapters.memory.job_queue import InMemoryJobQueue
from sebastian_adapters.testing.contracts.job_queue import SOON_SECONDS, JobQueueContract


@pytest.fixture
def bell() -> InMemoryJobQueue:
    return InMemoryJobQueue()


@pytest.fixture
def ear(bell: InMemoryJobQueue) -> InMemoryJobQueue:
    return bell


class TestInMemoryJobQueue(JobQueueContract):
    async def test_one_ring_wakes_one_of_many(self, bell: InMemoryJobQueue) -> None:
        waiting = [asyncio.create_task(bell.wait(0.2)) for _ in range(5)]
        await asyncio.sleep(0)

        bell.ring()

        assert (await asyncio.gather(*waiting)).count(True) == 1

    async def test_a_ring_before_anybody_waits_is_kept(self, bell: InMemoryJobQueue) -> None:
        bell.ring()

        assert await bell.wait(0.0)
        assert not await bell.wait(0.0)


def test_may_be_shared_by_event_loops_that_come_and_go(bell: InMemoryJobQueue) -> None:
    bell.ring()
    assert asyncio.run(bell.wait(SOON_SECONDS))

    bell.ring()
    assert asyncio.run(bell.wait(SOON_SECONDS))
