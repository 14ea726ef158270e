"""Why a chat was given to whom, and why another one still waits: values, for whoever tells it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

from attrs import field, frozen

from sebastian_core.domain.chat import Chat, ChatState, Needs, Transition
from sebastian_core.domain.history import HistoryRow
from sebastian_core.domain.ids import AgentId, ChatId, RoomId
from sebastian_core.domain.matcher import AgentPool, Availability
from sebastian_core.domain.room import SYSTEM

NAMED = 10
"""How many agents of one standing are named; all are counted."""


class BlockedBy(StrEnum):
    """What keeps a waiting chat from being given, the first thing that does.

    The first four hold every chat, whoever is free.
    """

    NO_WRITES = "the database takes no writes"
    NO_WORKER = "no worker runs"
    CREDENTIALS = "Qiscus refuses our credentials"
    OUTAGE = "Qiscus does not answer"
    DOUBT = "it is to be settled first"
    NEXT_TRY = "its next try is due later"
    NOT_READ = "the agents have not been read"
    NO_AGENTS = "the account has no agents"
    NOBODY_FREE = "no agent is free for it"
    TURN = "others stand before it"
    DISPATCH = "it is given within seconds"


HOLDS_ALL = frozenset(
    {BlockedBy.NO_WRITES, BlockedBy.NO_WORKER, BlockedBy.CREDENTIALS, BlockedBy.OUTAGE}
)


class Remedy(StrEnum):
    """What would let a waiting chat be given."""

    WRITTEN = "the database takes writes again"
    STARTED = "a worker is started"
    ACCEPTED = "the credentials are corrected"
    ANSWERED = "Qiscus answers again"
    SETTLED = "a reading of its room settles the doubt"
    TRIED = "its next try comes"
    READ = "the agents are read"
    RESOLVED = "a chat of a full agent is resolved"
    RAISED = "an agent's capacity is raised"
    ONLINE = "an offline agent comes online"
    RESUMED = "a paused agent is resumed"
    CHANNEL = "an agent gets its channel"
    ELIGIBLE = "the others are tried again"
    SERVED = "those before it are given"
    PASS = "a worker looks at the line"


@frozen(kw_only=True)
class WaitWhy:
    """A chat in the line: its place (from 1), what holds it, and what would change that.

    `until` is when the hold ends by itself, where that is known. `standings` counts all agents for
    this chat's needs, `named` names some of each. `free_slots` are those it could be given to, and
    `before` chats that stand before it may take them.
    """

    place: int
    before: int = 0
    hold: BlockedBy
    ways: tuple[Remedy, ...]
    until: datetime | None = None
    standings: Mapping[Availability, int] = field(factory=dict)
    named: Mapping[Availability, tuple[AgentId, ...]] = field(factory=dict)
    free_slots: int = 0
    read_at: datetime | None = None


@frozen(kw_only=True)
class NearestAgent:
    """One of the agents who could have been given the chat, and what they held."""

    agent_id: AgentId
    load: int
    capacity: int


@frozen(kw_only=True)
class AssignmentWhy:
    """One reservation of the chat, with the agents as they stood at that moment.

    `load` and `capacity` are the chosen agent's, without this chat. `nearest` are the free agents
    who held least, the chosen one perhaps among them; `standings` counts all by reason. What became
    of it is in `ended_by`: the history row that ended it, or None while the call is under way.
    """

    at: datetime
    agent_id: AgentId
    actor: str
    reason: str
    load: int
    capacity: int
    nearest: tuple[NearestAgent, ...] = ()
    standings: Mapping[str, int] = field(factory=dict)
    ended_by: HistoryRow | None = None

    @property
    def is_by_hand(self) -> bool:
        """Whether a person chose the agent."""
        return self.actor != SYSTEM

    @property
    def is_confirmed(self) -> bool:
        """Whether the platform confirmed it."""
        return self.ended_by is not None and self.ended_by.move is Transition.CONFIRM


@frozen(kw_only=True)
class Explanation:
    """What is known of a room's chat: the live one, else the last one.

    `history` holds that chat's rows, oldest first; `names` whatever agents are called. `chats` is
    how many of the room's chats the history shows.
    """

    room_id: RoomId
    at: datetime
    chat: Chat | None = None
    waiting: WaitWhy | None = None
    given: AssignmentWhy | None = None
    history: tuple[HistoryRow, ...] = ()
    names: Mapping[AgentId, str] = field(factory=dict)
    chats: int = 0

    @property
    def is_known(self) -> bool:
        """Whether anything is known of the room."""
        return self.chat is not None or bool(self.history)


class Line:
    """Tells of each chat why it waits, from the head of the line on: by the floor as it stands now.

    `floor` is None if nobody has read the agents yet. `blocked` is what holds every chat, if
    anything does.
    """

    def __init__(
        self,
        now: datetime,
        floor: AgentPool | None,
        read_at: datetime | None,
        blocked: BlockedBy | None,
    ) -> None:
        self._now = now
        self._floor = floor
        self._read_at = read_at
        self._blocked = blocked
        self._before = 0
        self._of_needs: dict[Needs, tuple[Mapping[Availability, int], int]] = {}

    def skip(self, number: int) -> None:
        """So many chats stand before the next one, and may take the slots that are free."""
        self._before += number

    def next(self, chat: Chat, place: int, *, naming: bool = False) -> WaitWhy:
        """Why the next chat waits, at this place (from 1); with `naming` some agents are named."""
        standings, free_slots = self._agents(chat.needs)
        hold, until = self._hold(chat, standings, free_slots)
        waiting = WaitWhy(
            place=place,
            before=self._before,
            hold=hold,
            ways=tuple(_ways(hold, standings)),
            until=until,
            standings=standings,
            named=_named(chat, self._floor) if self._floor and naming else {},
            free_slots=free_slots,
            read_at=self._read_at,
        )
        if hold in (BlockedBy.TURN, BlockedBy.DISPATCH):
            self._before += 1
        return waiting

    def _agents(self, needs: Needs) -> tuple[Mapping[Availability, int], int]:
        if self._floor is None:
            return {}, 0
        if needs not in self._of_needs:
            standings = dict(self._floor.standings(needs))
            free_slots = self._floor.free_for(needs) if standings.get(Availability.FREE) else 0
            self._of_needs[needs] = (standings, free_slots)
        return self._of_needs[needs]

    def _hold(
        self, chat: Chat, standings: Mapping[Availability, int], free_slots: int
    ) -> tuple[BlockedBy, datetime | None]:
        if self._blocked is not None:
            return self._blocked, None
        if chat.is_doubtful:
            return BlockedBy.DOUBT, chat.settle_at
        if chat.refusals and chat.ready_at > self._now:
            return BlockedBy.NEXT_TRY, chat.ready_at
        if self._floor is None:
            return BlockedBy.NOT_READ, None
        if not standings:
            return BlockedBy.NO_AGENTS, None
        if not free_slots:
            return BlockedBy.NOBODY_FREE, None
        return (BlockedBy.TURN if self._before >= free_slots else BlockedBy.DISPATCH), None


def explain_given(history: Sequence[HistoryRow]) -> AssignmentWhy | None:
    """The chat's last reservation, from its history, oldest first; None where it never had one."""
    reserved = [index for index, row in enumerate(history) if row.move is Transition.RESERVE]
    if not reserved:
        return None
    row = history[reserved[-1]]
    ending = (each for each in history[reserved[-1] + 1 :] if each.after is not ChatState.RESERVED)
    details = row.details
    return AssignmentWhy(
        at=row.at,
        agent_id=row.agent_id or AgentId(0),
        actor=row.actor,
        reason=row.reason,
        load=int(details.get("load", 0)),
        capacity=int(details.get("capacity", 0)),
        nearest=tuple(_near(each) for each in details.get("nearest", ())),
        standings=dict(details.get("standings", {})),
        ended_by=next(ending, None),
    )


def chat_rows(rows: Sequence[HistoryRow], chat: Chat | None) -> tuple[HistoryRow, ...]:
    """Of a room's rows, newest first, those of the chat (else of the last one), oldest first."""
    chat_id: ChatId | None = chat.id if chat else (rows[0].chat_id if rows else None)
    return tuple(row for row in reversed(rows) if row.chat_id == chat_id)


def _near(listed: Sequence[Any]) -> NearestAgent:
    agent_id, load, capacity = listed
    return NearestAgent(agent_id=AgentId(agent_id), load=load, capacity=capacity)


def _ways(hold: BlockedBy, standings: Mapping[Availability, int]) -> list[Remedy]:
    first = _FIRST_WAY.get(hold)
    if first is not None:
        return [first]
    found = [way for standing, ways in _WAYS.items() if standings.get(standing) for way in ways]
    if hold is BlockedBy.TURN:
        found.insert(0, Remedy.SERVED)
    return found


_FIRST_WAY: Mapping[BlockedBy, Remedy] = {
    BlockedBy.NO_WRITES: Remedy.WRITTEN,
    BlockedBy.NO_WORKER: Remedy.STARTED,
    BlockedBy.CREDENTIALS: Remedy.ACCEPTED,
    BlockedBy.OUTAGE: Remedy.ANSWERED,
    BlockedBy.DOUBT: Remedy.SETTLED,
    BlockedBy.NEXT_TRY: Remedy.TRIED,
    BlockedBy.NOT_READ: Remedy.READ,
    BlockedBy.NO_AGENTS: Remedy.ONLINE,
    BlockedBy.DISPATCH: Remedy.PASS,
}

_WAYS: Mapping[Availability, tuple[Remedy, ...]] = {
    Availability.FULL: (Remedy.RESOLVED, Remedy.RAISED),
    Availability.OFFLINE: (Remedy.ONLINE,),
    Availability.PAUSED: (Remedy.RESUMED,),
    Availability.STALE: (Remedy.READ,),
    Availability.OTHER_CHANNEL: (Remedy.CHANNEL,),
    Availability.NOT_ELIGIBLE: (Remedy.ELIGIBLE,),
}


def _named(chat: Chat, floor: AgentPool) -> dict[Availability, tuple[AgentId, ...]]:
    named: dict[Availability, tuple[AgentId, ...]] = {}
    for agent_id in sorted(floor.agents):
        standing = floor.standing_of(agent_id, chat.needs)
        if len(named.get(standing, ())) < NAMED:
            named[standing] = (*named.get(standing, ()), agent_id)
    return named
