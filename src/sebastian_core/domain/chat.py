"""A chat: its states, its legal moves, and what an agent must bring to take it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from attrs import evolve, field, frozen

from sebastian_core.domain.ids import AgentId, ChannelId, ChatId, ReservationId, RoomId, ServiceId

UNSAVED = ChatId(0)
"""The id of a chat that no store has seen yet; the room repo gives it its own."""


class ChatState(StrEnum):
    """Where a chat stands; `waiting`, `reserved` and `assigned` are live."""

    WAITING = "waiting"
    RESERVED = "reserved"
    ASSIGNED = "assigned"
    CLOSED = "closed"


class CloseReason(StrEnum):
    """Why a chat is over."""

    RESOLVED = "resolved"
    SERVED_ELSEWHERE = "served elsewhere"
    GONE = "gone"
    DROPPED = "dropped"


class Doubt(StrEnum):
    """Why a chat must be settled before it is believed: a text, for people and for the history.

    What follows from a doubt stands beside it on the chat, as facts: see Chat and `doubtful`.
    """

    LATE_REPEAT = "perhaps a late message of the service before"
    NEXT_UNPROVEN = "asked again before the resolve of the chat before"
    UNKNOWN_ANSWER = "the assign call may have been applied"
    OUTAGE = "the assign call may have been applied, in an outage"
    REFUSED_NOT_WAITING = "refused, and the room no longer waits"
    LATE_SUCCESS = "an assign call succeeded after its reservation ended"
    RESOLVED_IN_CALL = "resolved while its assign call was under way"
    RESOLVED_UNSURE = "resolved, but its assign call may have given the customer's next request"
    UNNAMED_RESOLVE = "a resolve that may belong to the chat before"
    OTHER_AGENT = "the platform named another agent than the one we sent"
    NOT_LISTED = "the agent's rooms at the platform do not show it"
    ASKED_AGAIN = "the customer asked again while we hold the chat as assigned"


class ResolvedInCall(StrEnum):
    """What is known of the assign call under which a chat was resolved."""

    PENDING = "its call may begin or be under way"
    UNSURE = "its call may have been applied"


class OutlivesCall(StrEnum):
    """What was heard while a chat was reserved that no end of its assign call answers."""

    RESOLVE = "a resolve that may belong to the chat before"
    SUCCESS = "an earlier call for the chat succeeded late: a refusal proves nothing"


class Transition(StrEnum):
    """What can happen to a chat; each writes one history row."""

    ADMIT = "admit"
    RESERVE = "reserve"
    CONFIRM = "confirm"
    RELEASE = "release"
    REFUSE = "refuse"
    PASS_OVER = "pass over"
    ADOPT = "adopt"
    TRANSFER = "transfer"
    ASK_AGAIN = "ask again"
    DOUBT = "doubt"
    CLEAR = "clear"
    EXPEDITED = "hasten"
    CLOSE = "close"
    UNKNOWN = "unknown"
    """Only read: a newer version of Sebastian has a word for it."""


_W, _R, _A, _C = ChatState.WAITING, ChatState.RESERVED, ChatState.ASSIGNED, ChatState.CLOSED

LEGAL_TRANSITIONS: Mapping[Transition, frozenset[tuple[ChatState | None, ChatState]]] = {
    Transition.ADMIT: frozenset({(None, _W)}),
    Transition.RESERVE: frozenset({(_W, _R)}),
    Transition.CONFIRM: frozenset({(_R, _A)}),
    Transition.RELEASE: frozenset({(_R, _W)}),
    Transition.REFUSE: frozenset({(_R, _W)}),
    Transition.PASS_OVER: frozenset({(_R, _W)}),
    Transition.ADOPT: frozenset({(None, _A), (_W, _A), (_R, _A)}),
    Transition.TRANSFER: frozenset({(_A, _A)}),
    Transition.ASK_AGAIN: frozenset({(_R, _R), (_A, _A)}),
    Transition.DOUBT: frozenset({(_W, _W), (_R, _R), (_A, _A)}),
    Transition.CLEAR: frozenset({(_W, _W), (_A, _A)}),
    Transition.EXPEDITED: frozenset({(_W, _W)}),
    Transition.CLOSE: frozenset({(_W, _C), (_R, _C), (_A, _C)}),
    Transition.UNKNOWN: frozenset(),
}


ONLY_AT_MOST = 200
"""How many eligible agents a chat remembers at most: its needs are a key of the line's index."""


@frozen
class Needs:
    """What an agent must bring to take a chat: its channel, and to be eligible for its room.

    `only` are the agents whom the platform named as eligible for the room, known once somebody else
    was tried in vain; None: not known. Chats with the same needs stand in one line; `key` names it
    in the stores.
    """

    channel_id: ChannelId | None = None
    only: frozenset[AgentId] | None = None

    @property
    def key(self) -> str:
        """Text that two needs share exactly if they are equal."""
        channel = "" if self.channel_id is None else str(self.channel_id)
        if self.only is None:
            return channel
        return f"{channel}={','.join(map(str, sorted(self.only)))}"

    @classmethod
    def from_key(cls, key: str) -> Needs:
        """The needs that a key names."""
        channel, is_limited, only = key.partition("=")
        agents = frozenset(AgentId(int(each)) for each in only.split(",") if each)
        return cls(
            channel_id=ChannelId(int(channel)) if channel else None,
            only=agents if is_limited else None,
        )

    def allow(self, agent_id: AgentId) -> bool:
        """Whether the agent may be eligible for the room, as far as we know."""
        return self.only is None or agent_id in self.only

    def served_in(self, channels: frozenset[ChannelId]) -> bool:
        """Whether somebody with these channels serves the chat's; unknown on either side: yes."""
        return self.channel_id is None or not channels or self.channel_id in channels


@frozen(kw_only=True)
class Chat:
    """One request for service in a room, as our record holds it.

    `changed_at` is the chat's last attempt, admission or change. `settle_at` set means that the
    chat is doubtful (waiting) or suspect (reserved, assigned) and is to be settled from that moment
    on; a reservation carries its deadline there until a doubt names another moment. `version` grows
    with every change.

    A reading of the platform counts if it began at `conclusive_from` or later. One that shows the
    room waiting counts from `waiting_counts_from` on if that is set, which is earlier: then nothing
    was attempted for the customer's last request, and what must show is older than that. Likewise
    `resolved_counts_from`. `conclusive_from` is None where a version of Sebastian that does not
    know these moments changed the chat last (see `conclusive_from` in evidence).

    `resolved_in_call`: a resolve came that closes the chat once its call can do no more.
    `outlives_call`: the doubt stays when the call ends. `counts_as_refusal`: the call failed, and
    if the room still waits, that was a refusal.
    """

    id: ChatId = UNSAVED
    room_id: RoomId
    state: ChatState
    version: int = 1
    arrived_at: datetime
    changed_at: datetime
    ready_at: datetime
    needs: Needs = Needs()
    source: str | None = None
    base_service_id: ServiceId | None = None
    base_resolved: bool = False
    agent_id: AgentId | None = None
    reservation_id: ReservationId | None = None
    assigned_at: datetime | None = None
    adopted: bool = False
    asked_again_at: datetime | None = None
    refusals: int = 0
    refused_by: AgentId | None = None
    passes: int = 0
    excluded_until: datetime | None = None
    doubt: str | None = None
    settle_at: datetime | None = None
    conclusive_from: datetime | None = None
    waiting_counts_from: datetime | None = None
    resolved_counts_from: datetime | None = None
    resolved_in_call: ResolvedInCall | None = None
    outlives_call: OutlivesCall | None = None
    counts_as_refusal: bool = False
    closed_at: datetime | None = None
    close_reason: CloseReason | None = None
    properties: Mapping[str, str] = field(factory=dict)

    @property
    def is_live(self) -> bool:
        """Whether the chat still wants or holds an agent."""
        return self.state is not ChatState.CLOSED

    @property
    def holds_slot(self) -> bool:
        """Whether the chat counts as load of its agent."""
        return self.state in (ChatState.RESERVED, ChatState.ASSIGNED)

    @property
    def is_doubtful(self) -> bool:
        """Whether the chat waits, but perhaps no longer wants an agent."""
        return self.state is ChatState.WAITING and self.settle_at is not None

    @property
    def may_be_late_repeat(self) -> bool:
        """Whether perhaps nothing but a late message of the service before opened the chat."""
        return self.is_doubtful and self.waiting_counts_from is not None

    @property
    def call_may_begin(self) -> bool:
        """Whether an assign call for the chat may be under way, or about to begin.

        No longer once the end of the call was heard, and is in doubt itself.
        """
        if self.state is not ChatState.RESERVED:
            return False
        is_from_outside = self.outlives_call is not None
        return (
            self.doubt is None or is_from_outside or self.resolved_in_call is ResolvedInCall.PENDING
        )

    def is_ready(self, now: datetime) -> bool:
        """Whether the chat may be given to an agent now."""
        return self.state is ChatState.WAITING and self.settle_at is None and self.ready_at <= now

    def after(self, move: Transition, now: datetime, **changes: Any) -> Chat:
        """The chat after a legal move; raises ValueError for one that is not legal.

        It changes now, unless `changes` date that otherwise.
        """
        changes.setdefault("changed_at", now)
        moved = evolve(self, version=self.version + 1, **changes)
        if (self.state, moved.state) not in LEGAL_TRANSITIONS[move]:
            raise ValueError(f"{move} does not lead from {self.state} to {moved.state}")
        return moved


NO_DOUBT: Mapping[str, Any] = MappingProxyType(
    {
        "doubt": None,
        "settle_at": None,
        "waiting_counts_from": None,
        "resolved_counts_from": None,
        "resolved_in_call": None,
        "outlives_call": None,
        "counts_as_refusal": False,
    }
)
"""What a change writes that answers whatever doubt there was."""
