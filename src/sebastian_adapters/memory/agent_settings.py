"""The agent settings in memory, beside the room repo of the same record."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import evolve

from sebastian_adapters.memory.record import Record
from sebastian_core.domain.agent_loads import AgentLoads, AgentSetting
from sebastian_core.domain.ids import AgentId
from sebastian_core.ports.agent_settings import AgentChange, AgentSettings, SettingChange


class InMemoryAgentSettings(AgentSettings):
    """Keeps what people decided about agents. Every method acts in one go."""

    def __init__(self, record: Record) -> None:
        self._record = record

    async def agent_loads(self) -> AgentLoads:
        """See AgentSettings.staffing."""
        await asyncio.sleep(0)
        return self._record.agent_loads(self._record.clock.now())

    async def set_agent(
        self, agent_id: AgentId, change: AgentChange, *, actor: str
    ) -> AgentSetting:
        """See AgentSettings.set_agent."""
        await asyncio.sleep(0)
        known = self._record.settings.get(agent_id, AgentSetting())
        setting = evolve(change(known), last_given_at=known.last_given_at)
        self._record.settings[agent_id] = setting
        self._tell(actor, setting.changed_in(known), agent_id)
        return setting

    async def set_default_capacity(self, capacity: int | None, *, actor: str) -> None:
        """See AgentSettings.set_default_capacity."""
        await asyncio.sleep(0)
        if capacity != self._record.default_capacity:
            self._record.default_capacity = capacity
            self._tell(actor, {"default_capacity": capacity})

    async def setting_changes(self, limit: int) -> Sequence[SettingChange]:
        """See AgentSettings.setting_changes."""
        await asyncio.sleep(0)
        return self._record.setting_changes[: -limit - 1 : -1]

    def _tell(self, actor: str, change: Mapping[str, Any], agent_id: AgentId | None = None) -> None:
        if change:
            now = self._record.clock.now()
            self._record.setting_changes.append(
                SettingChange(at=now, actor=actor, agent_id=agent_id, change=dict(change))
            )
