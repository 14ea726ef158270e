"""The room repo: which chats exist, their order and state, who holds which slot, and why."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeVar

from attrs import field, frozen

from sebastian_core.domain.agent import AgentSetting, Holding, Staffing
from sebastian_core.domain.chat import Chat
from sebastian_core.domain.history import HistoryRow
from sebastian_core.domain.ids import AgentId, ChatId, ReservationId, RoomId
from sebastian_core.domain.moments import Horizon
from sebastian_core.domain.plan import Plan
from sebastian_core.domain.reservation import Reservation
from sebastian_core.domain.room import Decided, Decision, Room

__all__ = [
    "BARE_ROOMS_KEPT",
    "REPORTS_AHEAD",
    "REPORTS_KEPT",
    "AgentChange",
    "FloorDecision",
    "HistoryRow",
    "Minute",
    "Report",
    "RoomRepo",
    "Steering",
    "Summary",
]

T = TypeVar("T")


@frozen(kw_only=True)
class Summary:
    """The line and the slots in numbers, at one moment.

    `left_aside` are those of all live chats whose record holds a word that this version does not
    know.
    """

    at: datetime
    waiting: int = 0
    ready: int = 0
    doubtful: int = 0
    stuck: int = 0
    reserved: int = 0
    assigned: int = 0
    left_aside: int = 0
    oldest_arrived_at: datetime | None = None


@frozen(kw_only=True)
class Report:
    """What one process last said of itself, and when."""

    name: str
    at: datetime
    state: Mapping[str, Any] = field(factory=dict)


@frozen(kw_only=True)
class Minute:
    """How many chats arrived and were assigned in one minute, and how long those had waited."""

    began_at: datetime
    arrived: int = 0
    assigned: int = 0
    mean_wait: timedelta = timedelta()
    longest_wait: timedelta = timedelta()


REPORTS_KEPT = timedelta(hours=1)
"""For how long a process that says nothing more of itself is remembered."""

REPORTS_AHEAD = timedelta(minutes=1)
"""How far a report may lie ahead, by a clock that was just corrected."""

BARE_ROOMS_KEPT = timedelta(days=1)
"""For how long a room is remembered of which we know a resolve and no chat.

A resolve may overtake its own allocation webhook, by seconds or minutes. If such rooms were kept
for long, whoever has the webhook's token could fill the disk.
"""


@frozen(kw_only=True)
class Steering:
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

FloorDecision = Callable[[Room, Staffing, ReservationId], Decided[T]]
"""A pure function of a room, of what all agents hold, and of an id for a reservation."""


class RoomRepo(Protocol):
    """Keeps rooms, chats, slots and the history, and the clock by which they are ordered.

    Rules live in the core: a caller hands in a pure function, and the repo carries out what it
    answers if what it read is still true. Every method is one transaction; every change of a chat's
    state writes its history row in it. All raise StoreUnavailable when the store is down, and then
    nothing is known to be written: calling again is safe, because decisions recognise a repeat.

    A newer version may write words that this one does not know. A chat whose record holds one is
    left aside: it fills its slot, but is in no list, is given to nobody, and a decision about its
    room raises UnknownWord. A store that belongs to another account raises ForeignAccount.
    """

    @abstractmethod
    async def decide(
        self, room_id: RoomId, decision: Decision[T], *, alters_line: bool = False
    ) -> Decided[T]:
        """Read the room with its live chat, ask the decision, write what it answers, commit.

        No two decisions about one room interleave. An unknown room is read as an empty one. The
        decision may be called more than once and must be pure; what it raises is raised here and
        nothing is written. Returns what was decided; new chats have their ids in its changes.
        `alters_line` must be true for what puts a chat back into the line, adds load or changes
        capacity: it then excludes `reserve`.
        """

    @abstractmethod
    async def reserve(self, plan: Plan, *, limit: int) -> tuple[Reservation, ...]:
        """Give at most `limit` ready chats a slot each, as the plan chooses.

        Under one lock that is waited for: reads loads and settings, asks the plan for the floor,
        reads for each needs that a free agent meets the first `limit` ready chats by
        `(arrived_at, id)`, asks for placements and writes those whose chat is still waiting,
        unchanged. Only those are returned. Whatever was committed before the line was read is seen.
        """

    @abstractmethod
    async def due(self, limit: int) -> Sequence[Chat]:
        """Chats whose `settle_at` is past, the longest due first."""

    @abstractmethod
    async def rooms(self, room_ids: Iterable[RoomId]) -> Mapping[RoomId, Room]:
        """What is known of these rooms; those never heard of, or left aside, are absent."""

    @abstractmethod
    async def held_by(self, agent_id: AgentId) -> Sequence[Chat]:
        """The live chats that count as the agent's load."""

    @abstractmethod
    async def waiting(
        self, limit: int, *, after: tuple[datetime, ChatId] | None = None
    ) -> Sequence[Chat]:
        """The waiting line from its head, or from behind a place in it."""

    @abstractmethod
    async def staffing(self) -> Staffing:
        """Loads and settings of all agents at this moment."""

    @abstractmethod
    async def holdings(self, at: datetime, settle: timedelta) -> Mapping[AgentId, Holding]:
        """Between which bounds each agent's platform count may lie in a reading begun then.

        Low: chats assigned at least `settle` before. High: all live ones, and those closed less
        than `settle` before or since. Absent means nothing held.
        """

    @abstractmethod
    async def watched(self, limit: int) -> Sequence[AgentId]:
        """Agents whose rooms are to be listed by now (see Watch); the wishes are taken off."""

    @abstractmethod
    async def decide_on_floor(self, room_id: RoomId, decision: FloorDecision[T]) -> Decided[T]:
        """Decide about a room by what all agents hold; see `decide`, with `alters_line`.

        What the decision is shown and what it takes are one moment: no slot is given twice. An
        agent who is reserved counts as given a chat now. The reservation id is fresh in each call.
        """

    @abstractmethod
    async def ahead_of(self, chat: Chat) -> int:
        """How many waiting chats stand before this one's place in the line, ready or not."""

    @abstractmethod
    async def set_agent(
        self, agent_id: AgentId, change: AgentChange, *, actor: str
    ) -> AgentSetting:
        """Change what people decided about an agent (pause, capacity); what holds from now on.

        The change is a pure function of what held; `last_given_at` is not its to say. What changed
        is kept as a steering; nothing is told of a change that changes nothing.
        """

    @abstractmethod
    async def set_default_capacity(self, capacity: int | None, *, actor: str) -> None:
        """Keep the default capacity that beats the file; None goes back to the file's.

        A change is kept as a steering.
        """

    @abstractmethod
    async def steerings(self, limit: int) -> Sequence[Steering]:
        """What people changed of agents and capacities, newest first."""

    @abstractmethod
    async def hasten(self, since: datetime) -> int:
        """Make ready at once every waiting chat that was delayed since then; how many."""

    @abstractmethod
    async def lift_exclusions(self) -> int:
        """Let passed-over agents be tried again where the time is up; how many chats."""

    @abstractmethod
    async def hold_duty(self, holder: str, lease: timedelta) -> bool:
        """Take or renew the lease of the duties; False while somebody else holds it.

        A lease that ends more than twice `lease` from now is none: the clock was set back since.
        """

    @abstractmethod
    async def bring_back(self, horizon: Horizon) -> int:
        """Bring back what lies further ahead than it can (see Horizon); how many chats and rooms.

        Changes no version and tells no history: nothing happened to the chats.
        """

    @abstractmethod
    async def history(self, room_id: RoomId, *, limit: int = 200) -> Sequence[HistoryRow]:
        """The room's history, newest first."""

    @abstractmethod
    async def decisions(self, limit: int) -> Sequence[HistoryRow]:
        """The newest history rows of all rooms, newest first."""

    @abstractmethod
    async def summary(self, alert_refusals: int) -> Summary:
        """The line and the slots in numbers; stuck are chats refused at least so often."""

    @abstractmethod
    async def prune(self, keep: timedelta, *, batch: int = 1000) -> int:
        """Forget closed chats, and rooms without chats, older than this; how many of both.

        A room of which nothing is known but a resolve is forgotten after `BARE_ROOMS_KEPT`. At most
        one batch of each kind.
        """

    @abstractmethod
    async def held(self, limit: int) -> Sequence[Chat]:
        """The chats that hold a slot, of all agents, agent by agent."""

    @abstractmethod
    async def flow(self, since: datetime) -> Sequence[Minute]:
        """Arrivals and our assignments by minute, from the minute of `since` on, oldest first.

        A minute in which nothing happened may be absent. What is pruned is no longer counted.
        """

    @abstractmethod
    async def report(self, name: str, state: Mapping[str, Any]) -> None:
        """Keep what a process says of itself (plain JSON values), in place of its last word."""

    @abstractmethod
    async def reports(self) -> Sequence[Report]:
        """The last word of every process, by name; of the silent ones for an hour.

        One that lies more than `REPORTS_AHEAD` ahead is none: the clock was set back since.
        """
