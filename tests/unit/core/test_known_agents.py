"""Whom a person may steer: agents whom somebody has heard of."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from sebastian_adapters.memory.agent_settings import InMemoryAgentSettings
from sebastian_adapters.memory.agent_store import InMemoryAgentStore
from sebastian_adapters.memory.clock import InMemoryClock
from sebastian_adapters.memory.job_queue import InMemoryJobQueue
from sebastian_adapters.memory.record import Record
from sebastian_core.domain.errors import InvalidInput
from sebastian_core.domain.ids import AgentId, parse_agent_id
from sebastian_core.usecases.manual import PauseAgent, SetCapacity
from sebastian_core.usecases.roster_cache import RosterCache
from tests.unit.core.building import ANNE, NOW, a_presence

NOBODY = AgentId(999)


@pytest.mark.parametrize("raw", [0, -1, 2**63, True, "7", 7.0, None])
def test_an_agents_id_is_a_whole_number_that_a_database_can_hold(raw: object) -> None:
    with pytest.raises(InvalidInput):
        parse_agent_id(raw)


async def test_an_agent_who_is_neither_listed_nor_in_our_record_is_refused() -> None:
    settings = InMemoryAgentSettings(Record(InMemoryClock(NOW)))
    roster = RosterCache(InMemoryAgentStore())
    await roster.replace([a_presence(ANNE)], NOW)
    pause = PauseAgent(settings, InMemoryJobQueue(), roster)
    capacity = SetCapacity(settings, InMemoryJobQueue(), roster)

    for refused in (
        pause(NOBODY, paused=True, actor="cli:me"),
        pause(NOBODY, paused=False, actor="cli:me"),
        capacity.of_agent(NOBODY, 3, actor="cli:me"),
    ):
        with pytest.raises(InvalidInput, match="999 is not in the list of Qiscus"):
            await refused

    await pause(ANNE, paused=True, actor="cli:me")
    assert set((await settings.agent_loads()).settings) == {ANNE}


async def test_one_who_left_qiscus_while_paused_can_be_let_in_again() -> None:
    settings = InMemoryAgentSettings(Record(InMemoryClock(NOW)))
    roster = RosterCache(InMemoryAgentStore())
    pause = PauseAgent(settings, InMemoryJobQueue(), roster)
    await pause(NOBODY, paused=True, actor="cli:me")  # the agents were not read yet
    await roster.replace([a_presence(ANNE)], datetime.now(UTC))

    setting = await pause(NOBODY, paused=False, actor="cli:me")

    assert not setting.paused
