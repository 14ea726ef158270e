from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from sebastian_adapters.postgres.room_repo import PostgresRoomRepo
from tests.contracts.room_repo import RoomRepoContract, arrive, end
from tests.integration.postgres import execute, room_repo, rows

pytestmark = pytest.mark.both_ways


class TestPostgresRoomRepo(RoomRepoContract):
    @pytest.fixture
    async def another(self, url: str) -> AsyncIterator[PostgresRoomRepo]:
        async with room_repo(url) as repo:
            yield repo


async def test_a_room_of_which_only_a_resolve_is_known_is_forgotten_after_a_day(
    repo: PostgresRoomRepo, url: str
) -> None:
    await arrive(repo, "served")
    for room_id in ("served", "never heard of", "of today"):
        await end(repo, room_id, service_id=5)
    execute(
        url,
        "update sebastian.room set closed_at = closed_at - interval '25 hours'"
        " where room_id <> 'of today'",
    )

    forgotten = [await repo.prune(timedelta(days=90)) for _ in range(2)]

    assert forgotten == [1, 0]
    rooms = rows(url, "select room_id from sebastian.room order by room_id")
    assert rooms == [("of today",), ("served",)]
