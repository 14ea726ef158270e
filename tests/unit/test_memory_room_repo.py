from __future__ import annotations

from datetime import timedelta

import pytest

from sebastian_adapters.memory.clock import InMemoryClock
from sebastian_adapters.memory.room_repo import InMemoryRoomRepo
from sebastian_core.domain.ids import RoomId
from tests.contracts.room_repo import RoomRepoContract, arrive, end

KEPT = timedelta(days=90)


class TestInMemoryRoomRepo(RoomRepoContract):
    @pytest.fixture
    def repo(self) -> InMemoryRoomRepo:
        return InMemoryRoomRepo(InMemoryClock())

    @pytest.fixture
    def another(self, repo: InMemoryRoomRepo) -> InMemoryRoomRepo:
        return repo


async def test_a_room_of_which_only_a_resolve_is_known_is_forgotten_after_a_day() -> None:
    clock = InMemoryClock()
    repo = InMemoryRoomRepo(clock)
    await arrive(repo, "served")
    for room_id in ("served", "never heard of"):
        await end(repo, room_id, service_id=5)
    rooms = [RoomId("served"), RoomId("never heard of")]

    clock.advance(23 * 3600)
    assert await repo.prune(KEPT) == 0
    clock.advance(2 * 3600)
    assert await repo.prune(KEPT) == 1

    assert list(await repo.rooms(rooms)) == ["served"]
