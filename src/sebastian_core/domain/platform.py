"""What one look at the platform says, dated by the moment its request began."""

from __future__ import annotations

from datetime import datetime
from typing import Generic, TypeVar

from attrs import frozen

from sebastian_core.domain.ids import AgentId, ChannelId, RoomId
from sebastian_core.domain.in_doubt import RoomState
from sebastian_core.domain.roster import Presence

T = TypeVar("T")


@frozen
class Reading(Generic[T]):
    """The answer of the platform and when its (first) request began, on the database's clock.

    `unreadable` counts the rows of a listing that could not be read and are left out.
    """

    began_at: datetime
    seen: T
    unreadable: int = 0


@frozen(kw_only=True)
class PlatformRoom:
    """A room as the platform shows it. It never tells who serves it (contract section 8).

    `waits_since` is the platform's time of the last customer message, only where it has a zone.
    `customer_wrote` is false where the platform shows that there is no such message.
    """

    room_id: RoomId
    state: RoomState
    channel_id: ChannelId | None = None
    source: str | None = None
    waits_since: datetime | None = None
    customer_wrote: bool = True


@frozen(kw_only=True)
class Answer:
    """A 2xx of the assign call; `agent_id` is whom the platform names, where it names somebody."""

    agent_id: AgentId | None = None


@frozen(kw_only=True)
class Account:
    """Whose credentials we use, as the neutral read shows it."""

    app_code: str | None = None


@frozen(kw_only=True)
class Registration:
    """What the platform answered to the registration of one webhook."""

    webhook: str
    url: str
    confirmed: bool
    detail: str = ""


Presences = tuple[Presence, ...]
PlatformRooms = tuple[PlatformRoom, ...]
