from __future__ import annotations

from datetime import timedelta

import pytest

from sebastian_adapters.postgres.agent_settings import PostgresAgentSettings
from sebastian_adapters.postgres.leadership import PostgresLeadership
from sebastian_adapters.postgres.pool import Pool
from sebastian_adapters.postgres.room_repo import PostgresRoomRepo
from sebastian_adapters.testing.contracts.agent_settings import AgentSettingsContract
from sebastian_adapters.testing.contracts.journal import JournalContract
from sebastian_adapters.testing.contracts.leadership import LeadershipContract
from sebastian_adapters.testing.contracts.room_repo import RoomRepoContract, arrive, end
from sebastian_core.ports.journal import Journal
from tests.integration.postgres import execute, rows

pytestmark = pytest.mark.both_ways


class TestPostgresRoomRepo(RoomRepoContract):
    pass


class TestPostgresAgentSettings(AgentSettingsContract):
    @pytest.fixture
    def other_settings(self, other_pool: Pool) -> PostgresAgentSettings:
        return PostgresAgentSettings(other_pool)


class TestPostgresJournal(JournalContract):
    pass


class TestPostgresLeadership(LeadershipContract):
    @pytest.fixture
    def other_leadership(self, other_pool: Pool) -> PostgresLeadership:
        return PostgresLeadership(other_pool)


async def test_a_room_of_which_only_a_resolve_is_known_is_forgotten_after_a_day(
    repo: PostgresRoomRepo, url: str, journal: Journal
) -> None:
    await arrive(repo, "served")
    for room_id in ("served", "never heard of", "of today"):
        await end(repo, room_id, service_id=5)
    execute(
        url,
        "update sebastian.room set closed_at = closed_at - interval '25 hours'"
        " where room_id <> 'of today'",
    )

    forgotten = [await journal.prune(timedelta(days=90)) for _ in range(2)]

    assert forgotten == [1, 0]
    rooms = rows(url, "select room_id from sebastian.room order by room_id")
    assert rooms == [("of today",), ("served",)]
