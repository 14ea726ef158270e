"""The room repo: which chats exist, their order and state, who holds which slot, and why."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

from sebastian_core.domain.agent_loads import AgentLoads, CountBounds
from sebastian_core.domain.chat import Chat
from sebastian_core.domain.ids import AgentId, ChatId, ReservationId, RoomId
from sebastian_core.domain.matcher import Matcher
from sebastian_core.domain.moments import Horizon
from sebastian_core.domain.reservation import Reservation
from sebastian_core.domain.room import Decided, Decision, Room

T = TypeVar("T")

FloorDecision = Callable[[Room, AgentLoads, ReservationId], Decided[T]]
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
    async def reserve(self, plan: Matcher, *, limit: int) -> tuple[Reservation, ...]:
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
    async def count_bounds(self, at: datetime, settle: timedelta) -> Mapping[AgentId, CountBounds]:
        """Between which bounds each agent's platform count may lie in a reading begun then.

        Low: chats assigned at least `settle` before. High: all live ones, and those closed less
        than `settle` before or since. Absent means nothing held.
        """

    @abstractmethod
    async def take_rechecks(self, limit: int) -> Sequence[AgentId]:
        """Agents whose rooms are to be listed by now (AgentRecheck); the wishes are taken off."""

    @abstractmethod
    async def decide_on_floor(self, room_id: RoomId, decision: FloorDecision[T]) -> Decided[T]:
        """Decide about a room by what all agents hold; see `decide`, with `alters_line`.

        What the decision is shown and what it takes are one moment: no slot is given twice. An
        agent who is reserved counts as given a chat now. The reservation id is fresh in each call.
        """

    @abstractmethod
    async def hasten(self, since: datetime) -> int:
        """Make ready at once every waiting chat that was delayed since then; how many."""

    @abstractmethod
    async def lift_exclusions(self) -> int:
        """Let passed-over agents be tried again where the time is up; how many chats."""

    @abstractmethod
    async def bring_back(self, horizon: Horizon) -> int:
        """Bring back what lies further ahead than it can (see Horizon); how many chats and rooms.

        Changes no version and tells no history: nothing happened to the chats.
        """
