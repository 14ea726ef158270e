"""The database's clock ran ahead for a while, and was set back: what it wrote is not believed.

A server's clock cannot be set here: the moments of the rows are moved instead.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from sebastian_adapters.postgres.room_repo import PostgresRoomRepo
from sebastian_adapters.testing.builders import some_rules
from sebastian_adapters.testing.contracts.room_repo import (
    arrive,
    assign_one,
    chat_of,
    end,
    reserve_one,
    room_of,
)
from sebastian_core.domain.in_doubt import Evidence, Outcome, RoomState, settle
from sebastian_core.domain.moments import Horizon
from sebastian_core.ports.agent_settings import AgentSettings
from sebastian_core.ports.leadership import Leadership
from tests.integration.cli_world import World, a_world
from tests.integration.postgres import execute, rows

HORIZON = Horizon.of(some_rules())
MOVED = """
update sebastian.chat set
    arrived_at = arrived_at + '1 day', changed_at = changed_at + '1 day',
    ready_at = ready_at + '1 day', settle_at = settle_at + '1 day',
    assigned_at = assigned_at + '1 day', closed_at = closed_at + '1 day',
    excluded_until = excluded_until + '1 day', asked_again_at = asked_again_at + '1 day';
update sebastian.room set closed_at = closed_at + '1 day';
update sebastian.watch set list_at = list_at + '1 day';
update sebastian.duty set until = until + '1 day';
update sebastian.worker_state set at = at + '1 day'
"""
AHEAD = """
select count(*) from sebastian.chat
where greatest(
    arrived_at, changed_at, ready_at, settle_at, assigned_at, closed_at, asked_again_at
) > clock_timestamp() + interval '1 minute'
"""


async def test_no_chat_and_no_room_lies_ahead_any_more(repo: PostgresRoomRepo, url: str) -> None:
    for room_id in ("waits", "reserved", "assigned", "closed"):
        await arrive(repo, room_id)
    await reserve_one(repo)
    await assign_one(repo)
    await arrive(repo, "reserved")
    await end(repo, "closed", service_id=5)
    execute(url, MOVED)

    assert await repo.bring_back(HORIZON) == 5

    assert rows(url, AHEAD) == [(0,)]
    assert (await room_of(repo, "closed")).closed_at is not None
    assert await repo.bring_back(HORIZON) == 0


async def test_a_reservation_whose_worker_died_is_settled_soon(
    repo: PostgresRoomRepo, url: str, agent_settings: AgentSettings
) -> None:
    await arrive(repo)
    await reserve_one(repo)
    execute(url, MOVED)
    await repo.bring_back(HORIZON)
    now = (await agent_settings.agent_loads()).now

    due = await repo.due(5)

    chat = await chat_of(repo)
    evidence = Evidence(state=RoomState.WAITING, began_at=now + timedelta(seconds=10))
    decision = partial(settle, chat.id, chat.version, evidence, some_rules())
    decided = await repo.decide(chat.room_id, decision, alters_line=True)

    assert [each.room_id for each in due] == ["room-1"]
    assert decided.answer is Outcome.RELEASED


async def test_a_worker_that_is_dead_is_not_heard_till_tomorrow(
    url: str, leadership: Leadership
) -> None:
    await leadership.report("dead", {"duties": True})
    execute(url, MOVED)
    await leadership.report("alive", {"duties": False})

    assert [report.name for report in await leadership.reports()] == ["alive"]
    assert rows(url, "select name from sebastian.worker_state") == [("alive",)]


class TestADeployment:
    @pytest.fixture
    async def world(
        self, tmp_path: Path, postgres_url: str, redis_url: str
    ) -> AsyncIterator[World]:
        """One whose worker died while the clock was a day ahead."""
        async with a_world(tmp_path, postgres_url, redis_url) as world:
            async with world.worker() as allocator:
                await allocator.leadership.hold_duty("the dead one", timedelta(seconds=6))
            execute(postgres_url, MOVED)
            yield world

    async def test_the_doctor_does_not_take_a_dead_worker_s_lease_for_a_worker(
        self, world: World, postgres_url: str
    ) -> None:
        found = {each["name"]: each for each in (await world.json("doctor"))["findings"]}

        assert found["no-worker"]["verdict"] == "problem"

    async def test_the_next_worker_takes_the_duties(self, world: World) -> None:
        async with world.worker() as allocator:
            assert await allocator.leadership.hold_duty("the next one", timedelta(seconds=6))
