"""The agent settings: what people decided about agents, beside what the agents hold."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from attrs import field, frozen

from sebastian_core.domain.agent_loads import AgentLoads, AgentSetting
from sebastian_core.domain.ids import AgentId


@frozen(kw_only=True)
class SettingChange:
    """What a person changed about an agent, or (without one) about all of them.

    `change` holds each changed word with what holds now: `paused`, `capacity`, and for all agents
    `default_capacity`.
    """

    at: datetime
    actor: str
    agent_id: AgentId | None = None
    change: Mapping[str, Any] = field(factory=dict)


AgentChange = Callable[[AgentSetting], AgentSetting]
"""A pure function of what people had decided about an agent."""


class AgentSettings(Protocol):
    """Keeps who is paused and how much each agent may hold, and who changed that.

    Every method is one transaction; one that changes something excludes `RoomRepo.reserve`. All
    raise StoreUnavailable when the store is down; calling again is safe. A store that belongs to
    another account raises ForeignAccount.
    """

    @abstractmethod
    async def agent_loads(self) -> AgentLoads:
        """Loads and settings of all agents at this moment."""

    @abstractmethod
    async def set_agent(
        self, agent_id: AgentId, change: AgentChange, *, actor: str
    ) -> AgentSetting:
        """Change what people decided about an agent (pause, capacity); what holds from now on.

        The change is a pure function of what held; `last_given_at` is not its to say. What changed
        is kept as a setting change; nothing is told of a change that changes nothing.
        """

    @abstractmethod
    async def set_default_capacity(self, capacity: int | None, *, actor: str) -> None:
        """Keep the default capacity that beats the file; None goes back to the file's.

        A change is kept as a setting change.
        """

    @abstractmethod
    async def setting_changes(self, limit: int) -> Sequence[SettingChange]:
        """What people changed of agents and capacities, newest first."""
