"""What the oracle reads: our history, the platform's log, the webhooks, and the rules to judge by.

Moments are seconds on one clock throughout; `reading` brings them there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Self

from attrs import evolve, field, frozen

from sebastian_adapters.memory.platform import Event
from sebastian_core.domain.chat import ChatState, Transition
from sebastian_core.domain.rules import Rules

Place = tuple[float, int]
"""Where a chat stands in the line: its arrival, then its id."""


@frozen(kw_only=True)
class Row:
    """One history row. `seq` is the order in which rows were written, `xid` their transaction."""

    seq: int
    chat_id: int
    room_id: str
    version: int
    at: float
    move: Transition
    before: ChatState | None
    after: ChatState
    agent_id: int | None = None
    reservation_id: int | None = None
    reason: str = ""
    details: Mapping[str, Any] = field(factory=dict)
    xid: int | None = None

    @property
    def holds_slot(self) -> bool:
        """Whether the chat counts as its agent's load after this row."""
        return self.after in (ChatState.RESERVED, ChatState.ASSIGNED)


@frozen(kw_only=True)
class ChatNow:
    """One chat as the store holds it at the end."""

    id: int
    room_id: str
    state: ChatState
    version: int
    arrived_at: float
    channel_id: int | None = None
    agent_id: int | None = None
    reservation_id: int | None = None
    close_reason: str | None = None

    @property
    def place(self) -> Place:
        """Where it stands, or stood, in the line."""
        return self.arrived_at, self.id


@frozen
class Snapshot:
    """Which transactions had committed at one moment, as PostgreSQL tells it."""

    xmin: int
    xmax: int
    running: frozenset[int]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read PostgreSQL's text for a `pg_snapshot`: xmin:xmax:running,…"""
        xmin, xmax, running = text.split(":")
        return cls(
            int(xmin), int(xmax), frozenset(int(each) for each in running.split(",") if each)
        )

    def of(self, xid: int) -> Self:
        """As the transaction `xid` itself took it, before it wrote anything.

        PostgreSQL leaves it out of the running ones, though it has a number as soon as it drew one
        that a sequence had to log.
        """
        return evolve(self, running=self.running | {xid})

    def sees(self, xid: int) -> bool:
        """Whether what that transaction wrote was visible: pg_visible_in_snapshot."""
        return xid < self.xmin or (xid < self.xmax and xid not in self.running)


@frozen(kw_only=True)
class PassRow:
    """One reserving pass, and what its statement that read the line could see."""

    xid: int
    at: float
    snapshot: Snapshot


@frozen(kw_only=True)
class Delivered:
    """One copy of one webhook; `answered_at` and `status` are None where no answer came."""

    kind: Literal["allocation", "resolved"]
    room_id: str
    service_id: int | None
    fired_at: float
    copy: int = 0
    sent_at: float | None = None
    answered_at: float | None = None
    status: int | None = None
    is_lost: bool = False

    @property
    def is_acknowledged(self) -> bool:
        """Whether we answered 2xx, and so promised to remember it."""
        return self.answered_at is not None and self.status is not None and self.status // 100 == 2


@frozen(kw_only=True)
class Record:
    """Everything that one run left behind. `history` is in the order of writing.

    Without `passes` the order of writing is taken for the order of commits, which is true of the
    repo in memory only.
    """

    events: Sequence[Event]
    history: Sequence[Row]
    chats: Sequence[ChatNow]
    deliveries: Sequence[Delivered] = ()
    passes: Sequence[PassRow] = ()
    channels: Mapping[int, frozenset[int]] = field(factory=dict)
    """Which channels an agent serves; absent or empty: all."""
    ended_at: float

    @property
    def began_at(self) -> float:
        """The first moment that anything tells of; sentences count from it."""
        moments = [event.at for event in self.events if event.room_id is not None]
        moments += [row.at for row in self.history[:1]]
        return min(moments, default=self.ended_at)


@frozen(kw_only=True)
class Capacities:
    """How many chats an agent may hold at a moment: a default, and what was set from when on."""

    default: int = 2
    changes: Mapping[int, Sequence[tuple[float, int]]] = field(factory=dict)

    def at(self, agent_id: int, at: float) -> int:
        """The agent's capacity at that moment."""
        capacity = self.default
        for since, changed in self.changes.get(agent_id, ()):
            capacity = changed if since <= at else capacity
        return capacity


@frozen(kw_only=True)
class Judging:
    """How strictly to judge. The defaults are Sebastian's own; a run states what it changed.

    `is_over` says that faults have stopped and the run was given the time to come to rest.
    `outages` are spans in which the platform, the database or all workers were away: nobody is
    expected to give a chat then.
    """

    capacities: Capacities = field(factory=Capacities)
    rules: Rules = field(factory=Rules)
    presence_interval_seconds: float = 10.0
    presence_max_age_seconds: float = 30.0
    verify: bool = True
    is_over: bool = True
    call_seconds: float = 1.0
    """How long the last call may have taken: who left within it counts as *left during it*."""
    idle_seconds: float | None = 3.0
    """How long a ready chat may wait beside a free agent: the tick and slack. None: unjudged."""
    outages: Sequence[tuple[float, float]] = ()
    overtaken_ack_seconds: float = 0.025
    overtaken_assigned_seconds: float = 0.050
    clock_seconds: float = 0.005
    """How far the platform's clock and ours may lie apart."""
    changed_meanwhile_seconds: float = 0.5
    """How long a pass may take: a chat that changed under its hands was not passed over by it."""

    @property
    def settle_seconds(self) -> float:
        """How far the platform may lag."""
        return self.rules.settle.total_seconds()

    @property
    def visible_seconds(self) -> float:
        """From when on a chat given by hand must be known to us."""
        return self.presence_interval_seconds + self.settle_seconds
