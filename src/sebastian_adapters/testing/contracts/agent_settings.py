"""What all agent settings promise."""

from __future__ import annotations

import asyncio

from attrs import evolve

from sebastian_adapters.testing.builders import ANNE, BEN
from sebastian_adapters.testing.contracts.room_repo import arrive, arrive_all, reserve_one
from sebastian_core.domain.agent_loads import AgentSetting
from sebastian_core.ports.agent_settings import AgentSettings
from sebastian_core.ports.room_repo import RoomRepo


class AgentSettingsContract:
    """Inherit it and provide the fixtures `agent_settings`, `other_settings` and `repo`.

    The other is the same store as another process sees it; the repo is beside them.
    """

    async def test_the_default_goes_back_to_the_file_s(self, agent_settings: AgentSettings) -> None:
        await agent_settings.set_default_capacity(2, actor="lead")

        await agent_settings.set_default_capacity(None, actor="lead")

        assert (await agent_settings.agent_loads()).default_capacity is None

    async def test_staffing_tells_loads_and_settings(
        self, repo: RoomRepo, agent_settings: AgentSettings
    ) -> None:
        await arrive_all(repo, "a", "b")
        reservation = await reserve_one(repo, ANNE)
        await agent_settings.set_agent(
            BEN, lambda _: AgentSetting(paused=True, capacity=7), actor="lead"
        )
        await agent_settings.set_default_capacity(4, actor="lead")

        agent_loads = await agent_settings.agent_loads()

        assert agent_loads.loads == {ANNE: 1}
        assert agent_loads.settings[BEN] == AgentSetting(paused=True, capacity=7)
        assert agent_loads.settings[ANNE].last_given_at == reservation.chat.changed_at
        assert agent_loads.default_capacity == 4

    async def test_what_people_set_leaves_when_the_agent_was_given_a_chat(
        self, repo: RoomRepo, agent_settings: AgentSettings
    ) -> None:
        await arrive(repo)
        reservation = await reserve_one(repo)

        await agent_settings.set_agent(ANNE, lambda _: AgentSetting(capacity=1), actor="lead")

        setting = (await agent_settings.agent_loads()).settings[ANNE]
        assert setting == AgentSetting(capacity=1, last_given_at=reservation.chat.changed_at)

    async def test_what_people_changed_is_told_newest_first(
        self, agent_settings: AgentSettings
    ) -> None:
        await agent_settings.set_agent(ANNE, lambda held: evolve(held, paused=True), actor="eve")
        await agent_settings.set_agent(ANNE, lambda held: evolve(held, capacity=5), actor="page")
        await agent_settings.set_default_capacity(4, actor="eve")
        await agent_settings.set_default_capacity(None, actor="eve")

        told = [
            (each.actor, each.agent_id, each.change)
            for each in await agent_settings.setting_changes(10)
        ]

        assert told == [
            ("eve", None, {"default_capacity": None}),
            ("eve", None, {"default_capacity": 4}),
            ("page", ANNE, {"capacity": 5}),
            ("eve", ANNE, {"paused": True}),
        ]
        assert len(await agent_settings.setting_changes(1)) == 1
        assert (await agent_settings.agent_loads()).settings[ANNE] == AgentSetting(
            paused=True, capacity=5
        )

    async def test_a_change_that_changes_nothing_is_not_told(
        self, agent_settings: AgentSettings
    ) -> None:
        await agent_settings.set_agent(ANNE, lambda held: held, actor="eve")
        await agent_settings.set_default_capacity(None, actor="eve")

        assert await agent_settings.setting_changes(10) == []

    async def test_changes_of_one_agent_at_once_do_not_undo_each_other(
        self, agent_settings: AgentSettings, other_settings: AgentSettings
    ) -> None:
        await asyncio.gather(
            agent_settings.set_agent(ANNE, lambda held: evolve(held, paused=True), actor="eve"),
            other_settings.set_agent(ANNE, lambda held: evolve(held, capacity=2), actor="page"),
        )

        assert (await agent_settings.agent_loads()).settings[ANNE] == AgentSetting(
            paused=True, capacity=2
        )
