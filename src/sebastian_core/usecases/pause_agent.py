"""A person keeps an agent out of the dispatch for a while."""

from __future__ import annotations

from attrs import evolve

from sebastian_core.domain.agent import AgentSetting
from sebastian_core.domain.ids import AgentId
from sebastian_core.ports.agent_settings import AgentSettings
from sebastian_core.ports.job_queue import JobQueue
from sebastian_core.usecases.known_agents import require_agent
from sebastian_core.usecases.known_roster import KnownRoster


class PauseAgent:
    """Pauses an agent, who keeps their chats and gets no new ones, or lets them take part again.

    With a roster only agents that are known can be meant.
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

    async def __call__(self, agent_id: AgentId, *, paused: bool, actor: str) -> AgentSetting:
        """Pause or resume; doing it twice changes nothing. The agent's capacity stays.

        Raises InvalidInput for an agent who is not known.
        """
        if self._roster is not None:
            await require_agent(agent_id, self._agent_settings, self._roster)
        setting = await self._agent_settings.set_agent(
            agent_id, lambda held: evolve(held, paused=paused), actor=actor
        )
        if not paused:
            self._job_queue.ring()
        return setting
