from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from sebastian_adapters.postgres.room_repo import PostgresRoomRepo
from tests.contracts.room_repo import RoomRepoContract
from tests.integration.postgres import emptied, migrated_database, room_repo
from tests.servers import PostgresServer


@pytest.fixture(scope="module")
def database(postgres_server: PostgresServer) -> Iterator[str]:
    with migrated_database(postgres_server) as url:
        yield url


class TestPostgresRoomRepo(RoomRepoContract):
    @pytest.fixture
    def empty_database(self, database: str) -> str:
        return emptied(database)

    @pytest.fixture
    async def repo(self, empty_database: str) -> AsyncIterator[PostgresRoomRepo]:
        async with room_repo(empty_database) as repo:
            yield repo

    @pytest.fixture
    async def another(self, empty_database: str) -> AsyncIterator[PostgresRoomRepo]:
        async with room_repo(empty_database) as repo:
            yield repo
