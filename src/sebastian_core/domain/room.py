"""A room and its live chat: the unit that one decision reads and changes at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Generic, TypeVar

from attrs import evolve, field, frozen

from sebastian_core.domain.chat import NO_DOUBT, Chat, ChatState, CloseReason, Transition
from sebastian_core.domain.ids import AgentId, RoomId, ServiceId
from sebastian_core.domain.rules import Rules

T = TypeVar("T")
SYSTEM = "sebastian"
"""The actor of everything that no person did."""


@frozen(kw_only=True)
class Room:
    """What we remember of a room: its live chat, and how its last one ended.

    `closed_service_id` is the highest service id known to be closed, `closed_at` the moment of the
    last close and `closed_by_id` whether that close carried an id. `last_assigned_at` is when the
    room's previous chat was assigned. `dropped` means that a person took that chat out of the line.
    """

    room_id: RoomId
    chat: Chat | None = None
    closed_service_id: ServiceId | None = None
    closed_at: datetime | None = None
    closed_by_id: bool = False
    last_assigned_at: datetime | None = None
    dropped: bool = False

    def closed_since(self, moment: datetime) -> bool:
        """Whether the room's last close lies after the moment."""
        return self.closed_at is not None and self.closed_at > moment


@frozen(kw_only=True)
class Change:
    """One move of one chat, as one history row tells it.

    A silent one only says when the chat is looked at next: same version, no history row.
    """

    move: Transition
    before: ChatState | None
    chat: Chat
    reason: str = ""
    actor: str = SYSTEM
    details: Mapping[str, Any] = field(factory=dict)
    silent: bool = False


@frozen(kw_only=True)
class AgentRecheck:
    """A wish to list an agent's rooms from a moment on."""

    agent_id: AgentId
    list_at: datetime


@frozen
class Decided(Generic[T]):
    """What a decision answers, and all that is to be written for it in one transaction.

    `room` is the room's new memory (its chat included), or None where nothing of it changed.
    """

    answer: T
    room: Room | None = None
    changes: tuple[Change, ...] = ()
    watches: tuple[AgentRecheck, ...] = ()


Decision = Callable[[Room, datetime], Decided[T]]
"""A pure function of a room as it stands and of the database's time."""


def moved(
    chat: Chat,
    move: Transition,
    now: datetime,
    rules: Rules,
    *,
    reason: str = "",
    actor: str = SYSTEM,
    details: Mapping[str, Any] | None = None,
    **changes: Any,
) -> Change:
    """The change that a legal move makes of a chat.

    Readings count from `settle` after it, unless `changes` say otherwise.
    """
    changes.setdefault("conclusive_from", now + rules.settle)
    return Change(
        move=move,
        before=chat.state,
        chat=chat.after(move, now, **changes),
        reason=reason,
        actor=actor,
        details=details or {},
    )


def admitted(chat: Chat, *, reason: str = "", actor: str = SYSTEM) -> Change:
    """The change that makes a new chat."""
    move = Transition.ADMIT if chat.state is ChatState.WAITING else Transition.ADOPT
    return Change(move=move, before=None, chat=chat, reason=reason, actor=actor)


def with_chat(room: Room, *changes: Change) -> Room:
    """The room after changes: its live chat is the last one changed that still lives.

    A live chat is a new wish: the room no longer counts as dropped.
    """
    last = changes[-1].chat
    return evolve(
        room, chat=last if last.is_live else None, dropped=room.dropped and not last.is_live
    )


def close(
    room: Room,
    now: datetime,
    why: CloseReason,
    *,
    reason: str = "",
    actor: str = SYSTEM,
    service_id: ServiceId | None = None,
) -> tuple[Room, Change]:
    """Close the room's live chat and remember how it ended."""
    chat = room.chat
    if chat is None:
        raise ValueError(f"room {room.room_id} has no live chat to close")
    over = chat.after(
        Transition.CLOSE, now, state=ChatState.CLOSED, closed_at=now, close_reason=why, **NO_DOUBT
    )
    change = Change(
        move=Transition.CLOSE, before=chat.state, chat=over, reason=reason or why.value, actor=actor
    )
    closed = remember_close(room, now, service_id)
    return evolve(closed, chat=None, last_assigned_at=chat.assigned_at), change


def remember_close(room: Room, now: datetime, service_id: ServiceId | None) -> Room:
    """The room's memory after a close at this moment, with or without a known service id."""
    known = [each for each in (room.closed_service_id, service_id) if each is not None]
    return evolve(
        room,
        closed_service_id=max(known, default=None),
        closed_at=now,
        closed_by_id=service_id is not None,
        dropped=False,
    )
