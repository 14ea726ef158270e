from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from sebastian_adapters.postgres.room_repo import PostgresRoomRepo
from tests.contracts.room_repo import RoomRepoContract
from tests.integration.postgres import room_repo

pytestmark = pytest.mark.both_ways


class TestPostgresRoomRepo(RoomRepoContract):
    @pytest.fixture
    async def another(self, url: str) -> AsyncIterator[PostgresRoomRepo]:
        async with room_repo(url) as repo:
            yield repo
