from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import psycopg
import pytest

from sebastian_adapters.postgres.clock import PostgresClock, boot_seconds
from sebastian_adapters.postgres.pool import Pool, worker_pool
from sebastian_adapters.testing.contracts.clock import ClockContract
from sebastian_core.domain.errors import StoreUnavailable

pytestmark = pytest.mark.both_ways


@pytest.fixture
async def pool(postgres_url: str) -> AsyncIterator[Pool]:
    pool = worker_pool(postgres_url)
    await pool.open()
    yield pool
    await pool.close()


class TestPostgresClock(ClockContract):
    @pytest.fixture
    async def clock(self, pool: Pool) -> PostgresClock:
        clock = PostgresClock(pool)
        await clock.sync()
        return clock


def asked(url: str) -> datetime:
    with psycopg.connect(url) as connection:
        row = connection.execute("select clock_timestamp()").fetchone()
    assert row is not None
    moment = row[0]
    assert isinstance(moment, datetime)
    return moment


async def test_tells_the_database_s_time(pool: Pool, postgres_url: str) -> None:
    clock = PostgresClock(pool)
    await clock.sync()

    before = asked(postgres_url)
    told = clock.now()
    after = asked(postgres_url)

    tolerance = timedelta(seconds=0.5)
    assert before - tolerance <= told <= after + tolerance


async def test_knows_nothing_before_it_was_synced(pool: Pool) -> None:
    with pytest.raises(StoreUnavailable, match="not been read"):
        PostgresClock(pool).now()


async def test_goes_on_with_the_monotonic_reading(pool: Pool) -> None:
    asleep = 0.0
    clock = PostgresClock(pool, seconds=lambda: boot_seconds() + asleep)
    await clock.sync()
    before = clock.now()

    asleep = 3600.0

    assert clock.now() - before >= timedelta(hours=1)


async def test_a_correction_never_lets_it_go_back(pool: Pool) -> None:
    ahead = 0.0
    clock = PostgresClock(pool, seconds=lambda: boot_seconds() + ahead)
    await clock.sync()
    ahead = 0.9
    wrong = clock.now()

    await clock.sync()

    assert clock.now() >= wrong


async def test_follows_a_server_whose_clock_was_set_back(pool: Pool, postgres_url: str) -> None:
    ahead = 0.0
    clock = PostgresClock(pool, seconds=lambda: boot_seconds() + ahead)
    await clock.sync()
    ahead = 3600.0
    wrong = clock.now()

    await clock.sync()

    assert wrong - clock.now() > timedelta(minutes=59)
    assert clock.now() - asked(postgres_url) < timedelta(seconds=30)


async def test_a_worse_reading_does_not_replace_a_good_one(pool: Pool) -> None:
    delay = 0.0
    answers = itertools.cycle([False, True])
    clock = PostgresClock(pool, seconds=lambda: boot_seconds() + delay * next(answers))
    await clock.sync()
    good = clock._best

    delay = 1.0
    await clock.sync()

    assert clock._best is good
