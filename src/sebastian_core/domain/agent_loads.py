"""What agents may hold and what they hold: settings, capacities, loads."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from attrs import field, frozen

from sebastian_core.domain.ids import AgentId


@frozen
class AgentSetting:
    """What people decided about an agent here, and when the agent was last given a chat."""

    paused: bool = False
    capacity: int | None = None
    last_given_at: datetime | None = None

    def changed_in(self, before: AgentSetting) -> dict[str, Any]:
        """What people decided otherwise than before, with what holds now."""
        names = ("paused", "capacity")
        return {n: getattr(self, n) for n in names if getattr(self, n) != getattr(before, n)}


@frozen
class AgentLoads:
    """What our record says of all agents at one moment, read in one transaction.

    `loads` holds the live chats per agent (reserved, assigned, adopted); absent means none.
    """

    now: datetime
    loads: Mapping[AgentId, int] = field(factory=dict)
    settings: Mapping[AgentId, AgentSetting] = field(factory=dict)
    default_capacity: int | None = None


@frozen
class CapacityRules:
    """How many chats an agent may hold: their own number, else the file's, else the default."""

    default: int = 3
    per_agent: Mapping[AgentId, int] = field(factory=dict)

    def of(self, agent_id: AgentId, setting: AgentSetting, agent_loads: AgentLoads) -> int:
        """The agent's capacity; what people set in the database beats the file."""
        if setting.capacity is not None:
            return setting.capacity
        if agent_id in self.per_agent:
            return self.per_agent[agent_id]
        return self.default_in(agent_loads)

    def default_in(self, agent_loads: AgentLoads) -> int:
        """The capacity of whoever has no number of their own."""
        return (
            self.default if agent_loads.default_capacity is None else agent_loads.default_capacity
        )


@frozen
class CountBounds:
    """Between which bounds an agent's platform count may lie without raising suspicion."""

    low: int
    high: int

    def allows(self, count: int) -> bool:
        """Whether our record allows for this count at that moment."""
        return self.low <= count <= self.high
