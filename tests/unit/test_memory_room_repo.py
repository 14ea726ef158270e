from __future__ import annotations

from datetime import timedelta

import pytest

from sebastian_adapters.memory.agent_settings import InMemoryAgentSettings
from sebastian_adapters.memory.clock import InMemoryClock
from sebastian_adapters.memory.journal import InMemoryJournal
from sebastian_adapters.memory.leadership import InMemoryLeadership
from sebastian_adapters.memory.record import Record
from sebastian_adapters.memory.room_repo import InMemoryRoomRepo
from sebastian_adapters.testing.contracts.agent_settings import AgentSettingsContract
from sebastian_adapters.testing.contracts.journal import JournalContract
from sebastian_adapters.testing.contracts.leadership import LeadershipContract
from sebastian_adapters.testing.contracts.room_repo import RoomRepoContract, arrive, end
from sebastian_core.domain.ids import RoomId

KEPT = timedelta(days=90)


@pytest.fixture
def record() -> Record:
    return Record(InMemoryClock())


@pytest.fixture
def repo(record: Record) -> InMemoryRoomRepo:
    return InMemoryRoomRepo(record)


@pytest.fixture
def another(record: Record) -> InMemoryRoomRepo:
    return InMemoryRoomRepo(record)


@pytest.fixture
def agent_settings(record: Record) -> InMemoryAgentSettings:
    return InMemoryAgentSettings(record)


@pytest.fixture
def other_settings(record: Record) -> InMemoryAgentSettings:
    return InMemoryAgentSettings(record)


@pytest.fixture
def journal(record: Record) -> InMemoryJournal:
    return InMemoryJournal(record)


class TestInMemoryRoomRepo(RoomRepoContract):
    pass


class TestInMemoryAgentSettings(AgentSettingsContract):
    pass


class TestInMemoryJournal(JournalContract):
    pass


class TestInMemoryLeadership(LeadershipContract):
    @pytest.fixture
    def leadership(self) -> InMemoryLeadership:
        return InMemoryLeadership(InMemoryClock())

    @pytest.fixture
    def other_leadership(self, leadership: InMemoryLeadership) -> InMemoryLeadership:
        return leadership


async def test_a_room_of_which_only_a_resolve_is_known_is_forgotten_after_a_day() -> None:
    clock = InMemoryClock()
    record = Record(clock)
    repo, journal = InMemoryRoomRepo(record), InMemoryJournal(record)
    await arrive(repo, "served")
    for room_id in ("served", "never heard of"):
        await end(repo, room_id, service_id=5)
    rooms = [RoomId("served"), RoomId("never heard of")]

    clock.advance(23 * 3600)
    assert await journal.prune(KEPT) == 0
    clock.advance(2 * 3600)
    assert await journal.prune(KEPT) == 1

    assert list(await repo.rooms(rooms)) == ["served"]
