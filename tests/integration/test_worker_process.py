"""A real worker process: without Redis, told to end in a batch, beside another, or stuck."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from signal import SIGTERM

import pytest
import redis

from sebastian_adapters.testing.waiting import until
from sebastian_apps.dev.servers import EmbeddedValkey
from sebastian_apps.fake_qiscus import InjectedFault
from sebastian_core.domain.chat import Transition
from tests.integration.cli_world import World, a_world
from tests.worker_process import worker_process

STUCK = """
import asyncio, logging, threading, time
from sebastian_apps.observability.logging import configure_logging
from sebastian_apps.settings import Settings
from sebastian_apps.runtime.watchdog import Watchdog

class Endless:
    def __str__(self):
        never_comes_back()

def never_comes_back():
    while True:
        time.sleep(0.01)

async def main():
    asyncio.create_task(Watchdog(2.0, lambda: "the accounts").beat())
    await asyncio.sleep(0.1)
    logging.info("the last line before it")
    HANG

configure_logging(Settings())
asyncio.run(main())
"""


@pytest.fixture
async def world(tmp_path: Path, postgres_url: str, redis_url: str) -> AsyncIterator[World]:
    async with a_world(tmp_path, postgres_url, redis_url) as world:
        world.fake.platform.add_agent("Anne", agent_id=7)
        world.configure("webhook", max_current_customer=100)
        world.configure("reconcile", interval="500ms")
        yield world


def arrive(world: World, customers: int) -> None:
    for _ in range(customers):
        world.fake.platform.customer_message(world.fake.platform.new_room_id())


def served(world: World) -> int:
    return world.fake.platform.loads().get(7, 0)


async def moves(world: World) -> Counter[Transition]:
    async with world.worker() as allocator:
        return Counter(row.move for row in await allocator.journal.decisions(1000))


async def test_dispatch_goes_on_while_redis_is_flushed_silent_and_gone(
    world: World, own_valkey: EmbeddedValkey
) -> None:
    world.configure("redis", url=own_valkey.url)
    async with worker_process(world.config) as worker:
        arrive(world, 1)
        await until(lambda: served(world) == 1, 20)
        with redis.Redis.from_url(own_valkey.url) as client:
            client.flushall()
        arrive(world, 1)
        await until(lambda: served(world) == 2, 20)
        own_valkey.freeze()
        arrive(world, 1)
        await until(lambda: served(world) == 3, 20)
        own_valkey.thaw()
        own_valkey.kill()
        arrive(world, 1)
        await until(lambda: served(world) == 4, 20)

        assert worker.process.running
        assert worker.said.count("worker started") == 1


async def test_sigterm_in_the_middle_of_a_batch_finishes_what_is_under_way(world: World) -> None:
    world.configure("qiscus", timeout="10s")
    world.fake.add_fault(InjectedFault(kind="latency", operation="assign_agent", seconds=1.5))
    async with worker_process(world.config) as worker:
        arrive(world, 10)
        await until(lambda: world.fake.faults.hits["assign_agent latency"] >= 10, 20)

        worker.process._child.send_signal(SIGTERM)
        await until(lambda: not worker.process.running, 20)

    assert served(world) == 10
    seen = await moves(world)
    assert (seen[Transition.RESERVE], seen[Transition.CONFIRM]) == (10, 10)


async def test_two_that_hold_the_duties_at_once_do_nothing_twice(world: World) -> None:
    arrive(world, 20)
    async with world.worker() as one, world.worker() as other:
        for _ in range(3):
            await asyncio.gather(
                *(duty() for each in (one, other) for duty in (each.refresh, each.reconcile))
            )
        await asyncio.gather(one.dispatch(), other.dispatch())
        await asyncio.gather(one.dispatch.finish(10), other.dispatch.finish(10))
        await asyncio.gather(one.settle.due(), other.settle.due())

    assert served(world) == 20
    seen = await moves(world)
    assert (seen[Transition.ADMIT], seen[Transition.RESERVE], seen[Transition.CONFIRM]) == (
        20,
        20,
        20,
    )


def ran(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False
    )


@pytest.mark.parametrize("hang", ["never_comes_back()", "logging.info('%s', Endless())"])
def test_a_process_whose_event_loop_is_stuck_exits_and_names_the_code(hang: str) -> None:
    done = ran(STUCK.replace("HANG", hang))

    assert done.returncode == 70
    assert "did not answer for 2 s, busy with the accounts; what it is doing" in done.stderr
    assert "in never_comes_back" in done.stderr


def test_what_was_logged_just_before_it_got_stuck_is_written() -> None:
    done = ran(STUCK.replace("HANG", "never_comes_back()"))

    assert "the last line before it" in done.stderr
