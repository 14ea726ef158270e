"""Whether there is such an agent: what a person steers must not be a slip of the pen."""

from __future__ import annotations

from sebastian_core.domain.errors import InvalidInput
from sebastian_core.domain.ids import AgentId
from sebastian_core.ports.agent_settings import AgentSettings
from sebastian_core.usecases.known_roster import KnownRoster


async def require_agent(
    agent_id: AgentId, agent_settings: AgentSettings, roster: KnownRoster
) -> None:
    """Raise InvalidInput unless the agent is listed, or holds chats or settings in our record.

    Before anybody has read the agents nobody can be told from a stranger, and everybody passes.
    """
    listed = await roster.roster()
    if listed is None or agent_id in listed.agents:
        return
    staffing = await agent_settings.staffing()
    if agent_id not in staffing.loads and agent_id not in staffing.settings:
        raise InvalidInput("agent", f"{agent_id} is not in the list of Qiscus")
