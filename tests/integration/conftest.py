"""A database with our tables for each module, emptied for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from sebastian_adapters.postgres.room_repo import PostgresRoomRepo
from tests.integration.postgres import emptied, migrated_database, room_repo
from tests.servers import PostgresServer


@pytest.fixture(scope="module")
def database(postgres_server: PostgresServer) -> Iterator[str]:
    """The URL of a database that the tests of one module share."""
    with migrated_database(postgres_server) as url:
        yield url


@pytest.fixture
def url(database: str) -> str:
    """The same with nothing in it."""
    return emptied(database)


@pytest.fixture
async def repo(url: str) -> AsyncIterator[PostgresRoomRepo]:
    """A room repo there."""
    async with room_repo(url) as repo:
        yield repo
