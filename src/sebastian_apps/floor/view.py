"""What the floor page shows, as values; encoded, they are the events that browsers get."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

from attrs import field, frozen

from sebastian_apps.status.checks import CheckResult
from sebastian_core.domain.ids import AgentId, RoomId


class Waits(StrEnum):
    """What a waiting chat waits for, as its row's colour tells it."""

    NEXT = "next"
    NOBODY = "nobody"
    LATER = "later"
    DOUBT = "doubt"
    HALT = "halt"


@frozen(kw_only=True)
class Numbers:
    """The floor in numbers. Slots are those of agents who are online and not paused.

    Of the `workers`, `policies_suspended` have put the user's own policy aside; all of them have
    repaired so many differences between our record and the platform's since they began.
    """

    waiting: int = 0
    ready: int = 0
    stuck: int = 0
    left_aside: int = 0
    oldest_at: datetime | None = None
    free: int = 0
    taken: int = 0
    online: int = 0
    agents: int = 0
    reserved: int = 0
    assigned: int = 0
    workers: int = 0
    policies_suspended: int = 0
    repaired: int = 0
    agent_store_is_up: bool = True
    standings: Mapping[str, int] = field(factory=dict)


@frozen(kw_only=True)
class SlotView:
    """One slot of an agent, filled by a chat."""

    room: RoomId
    since: datetime
    state: str
    adopted: bool = False
    doubt: str | None = None


@frozen(kw_only=True)
class AgentView:
    """One agent with their slots; `load` may be more than the places that are shown."""

    id: AgentId
    name: str
    standing: str
    online: bool
    paused: bool
    load: int
    capacity: int
    places: tuple[SlotView, ...] = ()


@frozen(kw_only=True)
class WaitingView:
    """One chat in the line: its place, since when it waits, and why not yet."""

    place: int
    room: RoomId
    since: datetime
    waits: Waits
    why: str
    until: datetime | None = None
    refusals: int = 0
    stuck: bool = False


@frozen(kw_only=True)
class DecisionView:
    """One thing that happened to a chat, in a sentence, and why in another."""

    key: str
    at: datetime
    move: str
    room: RoomId
    text: str
    why: str = ""
    by_hand: bool = False


@frozen(kw_only=True)
class MinuteView:
    """One bar of the charts."""

    at: datetime
    arrived: int = 0
    assigned: int = 0
    mean_seconds: float = 0.0
    longest_seconds: float = 0.0


@frozen(kw_only=True)
class LastAssignment:
    """The newest assignment: what an empty line is told with."""

    agent: str
    at: datetime
    waited_seconds: float | None = None


@frozen(kw_only=True)
class FloorView:
    """The whole page at one moment of the database's clock.

    `line` and `agents` are cut where there are very many; `more_waiting` and `more_agents` count
    the rest.
    """

    at: datetime
    numbers: Numbers
    banners: tuple[CheckResult, ...] = ()
    line: tuple[WaitingView, ...] = ()
    more_waiting: int = 0
    agents: tuple[AgentView, ...] = ()
    more_agents: int = 0
    decisions: tuple[DecisionView, ...] = ()
    minutes: tuple[MinuteView, ...] = ()
    last: LastAssignment | None = None
    presence_at: datetime | None = None
    default_capacity: int = 0
