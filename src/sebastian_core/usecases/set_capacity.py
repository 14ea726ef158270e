"""A person decides how many chats agents may hold at once."""

from __future__ import annotations

from attrs import evolve

from sebastian_core.domain.agent import AgentSetting
from sebastian_core.domain.errors import InvalidInput
from sebastian_core.domain.ids import AgentId
from sebastian_core.ports.agent_settings import AgentSettings
from sebastian_core.ports.job_queue import JobQueue
from sebastian_core.usecases.known_agents import require_agent
from sebastian_core.usecases.known_roster import KnownRoster

GREATEST_CAPACITY = 1000


class SetCapacity:
    """Sets the capacity of one agent or of all others; it beats the configuration, at once.

    None takes it back: the agent then has the default, the default is then the configuration's.
    Lowering it takes no chat away. With a roster only agents that are known can be meant.
    """

    def __init__(
        self,
        agent_settings: AgentSettings,
        job_queue: JobQueue,
        roster: KnownRoster | None = None,
    ) -> None:
        self._agent_settings = agent_settings
        self._job_queue = job_queue
        self._roster = roster

    async def of_agent(
        self, agent_id: AgentId, capacity: int | None, *, actor: str
    ) -> AgentSetting:
        """Set one agent's; raises InvalidInput out of range, and for one who is not known."""
        _check(capacity)
        if self._roster is not None:
            await require_agent(agent_id, self._agent_settings, self._roster)
        setting = await self._agent_settings.set_agent(
            agent_id, lambda held: evolve(held, capacity=capacity), actor=actor
        )
        self._job_queue.ring()
        return setting

    async def of_all_others(self, capacity: int | None, *, actor: str) -> None:
        """Set the default; raises InvalidInput out of range."""
        _check(capacity)
        await self._agent_settings.set_default_capacity(capacity, actor=actor)
        self._job_queue.ring()


def _check(capacity: int | None) -> None:
    if capacity is not None and not 0 <= capacity <= GREATEST_CAPACITY:
        raise InvalidInput("capacity", f"must be a whole number from 0 to {GREATEST_CAPACITY}")
