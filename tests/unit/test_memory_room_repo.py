from __future__ import annotations

import pytest

from sebastian_adapters.memory.clock import InMemoryClock
from sebastian_adapters.memory.room_repo import InMemoryRoomRepo
from tests.contracts.room_repo import RoomRepoContract


class TestInMemoryRoomRepo(RoomRepoContract):
    @pytest.fixture
    def repo(self) -> InMemoryRoomRepo:
        return InMemoryRoomRepo(InMemoryClock())

    @pytest.fixture
    def another(self, repo: InMemoryRoomRepo) -> InMemoryRoomRepo:
        return repo
