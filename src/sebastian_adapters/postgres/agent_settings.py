"""The agent settings on PostgreSQL: what people decide, under the line's lock, and who did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import evolve

from sebastian_adapters.postgres.pipeline import NamedQuery
from sebastian_adapters.postgres.pool import Pool, Transaction
from sebastian_adapters.postgres.reserve import read_loads
from sebastian_adapters.postgres.rows import as_json
from sebastian_core.domain.agent_loads import AgentLoads, AgentSetting
from sebastian_core.domain.ids import AgentId
from sebastian_core.ports.agent_settings import AgentChange, AgentSettings, SettingChange


class PostgresAgentSettings(AgentSettings):
    """Keeps what people decided in PostgreSQL, within the limits of its pool."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def agent_loads(self) -> AgentLoads:
        """See AgentSettings.staffing."""
        return await self._pool.run(read_loads)

    async def set_agent(
        self, agent_id: AgentId, change: AgentChange, *, actor: str
    ) -> AgentSetting:
        """See AgentSettings.set_agent."""

        async def work(transaction: Transaction) -> AgentSetting:
            return await _set_agent(transaction, agent_id, change, actor)

        return await self._pool.run(work)

    async def set_default_capacity(self, capacity: int | None, *, actor: str) -> None:
        """See AgentSettings.set_default_capacity."""

        async def work(transaction: Transaction) -> None:
            await _set_default_capacity(transaction, capacity, actor)

        await self._pool.run(work)

    async def setting_changes(self, limit: int) -> Sequence[SettingChange]:
        """See AgentSettings.setting_changes."""
        return [
            SettingChange(at=at, actor=actor, agent_id=agent_id, change=change)
            for at, actor, agent_id, change in await self._pool.rows("setting_changes", limit=limit)
        ]


async def _set_agent(
    transaction: Transaction, agent_id: AgentId, change: AgentChange, actor: str
) -> AgentSetting:
    """Change what people decided about an agent, under the lock; what holds from now on."""
    _, rows = await transaction.send(
        NamedQuery("lock_line"), NamedQuery("agent_setting", {"agent_id": agent_id})
    )
    known = AgentSetting(*rows[0]) if rows else AgentSetting()
    setting = evolve(change(known), last_given_at=known.last_given_at)
    changed = setting.changed_in(known)
    if not changed:
        await transaction.rollback()
        return setting
    asked = {"paused": setting.paused, "capacity": setting.capacity}
    await transaction.send(
        NamedQuery("set_agent", {"agent_id": agent_id, "actor": actor, **asked}),
        _told(actor, changed, agent_id),
        commit=True,
    )
    return setting


async def _set_default_capacity(transaction: Transaction, capacity: int | None, actor: str) -> None:
    """Keep the default capacity, or forget it, under the lock."""
    _, rows = await transaction.send(NamedQuery("lock_line"), NamedQuery("default_capacity"))
    known = rows[0][0] if rows else None
    if capacity == known:
        await transaction.rollback()
        return
    keep = NamedQuery("set_default_capacity", {"capacity": capacity, "actor": actor})
    await transaction.send(
        NamedQuery("drop_default_capacity") if capacity is None else keep,
        _told(actor, {"default_capacity": capacity}),
        commit=True,
    )


def _told(actor: str, change: Mapping[str, Any], agent_id: AgentId | None = None) -> NamedQuery:
    asked = {"actor": actor, "agent_id": agent_id, "change": as_json(change)}
    return NamedQuery("tell_setting_change", asked)
