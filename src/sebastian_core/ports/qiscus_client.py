"""The Qiscus client: everything that we ask of the platform."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Awaitable, Callable
from typing import Protocol

from sebastian_core.domain.ids import AgentId, RoomId
from sebastian_core.domain.platform import (
    Account,
    Answer,
    PlatformRoom,
    PlatformRooms,
    Presences,
    Reading,
    Registration,
)

Pace = Callable[[], Awaitable[None]]
"""Awaited before each request of a listing, so that the duties keep to their share of the rate."""


class QiscusClient(Protocol):
    """Asks the platform, one method per question; what it does is in the contract's sections.

    Raises PlatformUnavailable when it could not be asked or did not answer usably, PlatformRefused
    when it said no. A call is never cancelled in flight: its caller may go, the request ends by its
    own deadline. Listings are complete or raise; readings are dated by when they began.
    """

    @abstractmethod
    async def agents(self, pace: Pace) -> Reading[Presences]:
        """All agents (type agent only) of the account, with presence, channels and counts."""

    @abstractmethod
    async def eligible_agents(self, room_id: RoomId, sought: AgentId) -> Reading[Presences]:
        """Agents whom the platform holds eligible for the room, online or not.

        Stops at the page that shows the sought agent: a reading that lacks the agent is complete.
        """

    @abstractmethod
    async def assign(self, room_id: RoomId, agent_id: AgentId) -> Answer:
        """Give the room to the agent, unless somebody has it (`max_agent=1`, nobody replaced).

        PlatformUnavailable with `surely_not_applied` false leaves open whether it was applied.
        """

    @abstractmethod
    async def room(self, room_id: RoomId) -> Reading[PlatformRoom]:
        """One room; state `gone` where the platform does not know it."""

    @abstractmethod
    async def waiting_rooms(self, pace: Pace) -> Reading[PlatformRooms]:
        """All rooms that wait for an agent, already cleaned of those that do not."""

    @abstractmethod
    async def rooms_of(self, agent_id: AgentId, pace: Pace) -> Reading[PlatformRooms]:
        """The unresolved rooms that the agent serves."""

    @abstractmethod
    async def account(self) -> Account:
        """The neutral read: does the platform answer, and to these credentials?"""

    @abstractmethod
    async def register_webhooks(self, allocation_url: str, resolve_url: str) -> list[Registration]:
        """Register both webhook URLs and tell for each what the platform confirmed."""
