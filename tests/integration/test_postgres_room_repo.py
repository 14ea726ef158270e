from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from sebastian_adapters.postgres.migrate import migrate
from sebastian_adapters.postgres.pools import worker_pool
from sebastian_adapters.postgres.room_repo import PostgresRoomRepo
from tests.contracts.room_repo import RoomRepoContract


@pytest.fixture
async def database(postgres_url: str) -> str:
    await migrate(postgres_url)
    return postgres_url


async def opened(conninfo: str) -> AsyncIterator[PostgresRoomRepo]:
    pool = worker_pool(conninfo)
    await pool.open()
    yield PostgresRoomRepo(pool)
    await pool.close()


class TestPostgresRoomRepo(RoomRepoContract):
    @pytest.fixture
    async def repo(self, database: str) -> AsyncIterator[PostgresRoomRepo]:
        async for repo in opened(database):
            yield repo

    @pytest.fixture
    async def another(self, database: str) -> AsyncIterator[PostgresRoomRepo]:
        async for repo in opened(database):
            yield repo
