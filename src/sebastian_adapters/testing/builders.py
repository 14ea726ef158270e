"""Builders for tests that drive a whole store: every default is valid."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from sebastian_core.domain.agent_loads import CapacityRules
from sebastian_core.domain.chat import Chat, ChatState
from sebastian_core.domain.ids import AgentId, ChannelId, ChatId, RoomId, ServiceId
from sebastian_core.domain.matcher import Matcher
from sebastian_core.domain.roster import Presence, Roster
from sebastian_core.domain.rules import Rules
from sebastian_core.domain.webhooks import Arrival, Service

NOON = datetime(2025, 6, 22, 12, 0, tzinfo=UTC)
ANNE, BEN, CLEO = AgentId(7), AgentId(8), AgentId(9)
WHATSAPP, WIDGET = ChannelId(31), ChannelId(32)


def a_chat(room_id: str = "room-1", **changes: Any) -> Chat:
    """A saved chat that waits since noon."""
    values: dict[str, Any] = {
        "id": ChatId(1),
        "room_id": RoomId(room_id),
        "state": ChatState.WAITING,
        "arrived_at": NOON,
        "changed_at": NOON,
        "ready_at": NOON,
    }
    return Chat(**(values | changes))


def an_arrival(
    room_id: str = "room-1",
    *,
    channel_id: ChannelId | None = WHATSAPP,
    base: Service | None = None,
    **changes: Any,
) -> Arrival:
    """A customer who asks for an agent on WhatsApp."""
    return Arrival(room_id=RoomId(room_id), channel_id=channel_id, base=base, **changes)


def resolved(service_id: int) -> Service:
    """A service that is over."""
    return Service(ServiceId(service_id), is_resolved=True)


def unresolved(service_id: int) -> Service:
    """A service that goes on."""
    return Service(ServiceId(service_id), is_resolved=False)


def an_agent(
    agent_id: int = ANNE, *, channels: tuple[ChannelId, ...] = (), online: bool = True
) -> Presence:
    """An agent who is online and serves whatever comes."""
    return Presence(AgentId(agent_id), online, NOON, frozenset(channels))


def a_plan(
    *agents: Presence,
    capacity: int = 3,
    per_agent: Mapping[AgentId, int] | None = None,
    rules: Rules | None = None,
    **changes: Any,
) -> Matcher:
    """The shipped policy for these agents; Anne alone where none is named."""
    present = {agent.agent_id: agent for agent in agents or (an_agent(),)}
    return Matcher(
        roster=Roster(read_at=NOON, agents=present),
        capacities=CapacityRules(default=capacity, per_agent=per_agent or {}),
        rules=rules or some_rules(),
        **changes,
    )


def some_rules(**changes: timedelta) -> Rules:
    """The rules that are shipped, but for these changes."""
    return Rules(**changes)  # type: ignore[arg-type]
