"""The ended logins on a real PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from sebastian_adapters.postgres.ended_logins import PostgresEndedLogins
from sebastian_adapters.postgres.pool import webhook_pool
from sebastian_adapters.testing.contracts.ended_logins import A_WEEK_ON, EndedLoginsContract
from sebastian_core.domain.errors import StoreUnavailable


@asynccontextmanager
async def a_process(url: str) -> AsyncIterator[PostgresEndedLogins]:
    """The store as one process has it."""
    pool = webhook_pool(url)
    await pool.open()
    try:
        yield PostgresEndedLogins(pool)
    finally:
        await pool.close()


@pytest.fixture
async def logins(url: str) -> AsyncIterator[PostgresEndedLogins]:
    async with a_process(url) as store:
        yield store


@pytest.fixture
async def elsewhere(url: str) -> AsyncIterator[PostgresEndedLogins]:
    async with a_process(url) as store:
        yield store


class TestPostgresEndedLogins(EndedLoginsContract):
    pass


async def test_without_a_database_it_says_so() -> None:
    async with a_process("postgresql://127.0.0.1:1/nowhere") as logins:
        with pytest.raises(StoreUnavailable):
            await logins.end("a", A_WEEK_ON)
        with pytest.raises(StoreUnavailable):
            await logins.among(["a"])
