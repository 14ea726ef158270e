"""What readings of the platform prove about one chat, and what follows.

A reading counts only if its request began `settle` after the chat's last attempt, admission or
change. Two exceptions, where nobody serves the room: *waiting* (and *resolved*, of a resolve that
may mean the chat before) counts where the assignment before lies `settle` back; and what a customer
asks behind a resolve does not put off the reading that shows what the chat's call did.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from attrs import evolve, frozen

from sebastian_core.domain.arrivals import close_resolved, next_chat
from sebastian_core.domain.chat import UNSAVED, Chat, ChatState, CloseReason, Doubt, Move, Needs
from sebastian_core.domain.evidence import call_shown_from, proven_from
from sebastian_core.domain.ids import AgentId, ChannelId, ChatId, RoomId
from sebastian_core.domain.reservation import confirmed, refused, released
from sebastian_core.domain.room import Change, Decided, Room, admitted, close, moved, with_chat
from sebastian_core.domain.rules import Rules


class RoomState(StrEnum):
    """What one reading shows a room to be."""

    WAITING = "waiting"
    SERVED = "served"
    RESOLVED = "resolved"
    GONE = "gone"


_WAITING_PROVES_NEW = (Doubt.LATE_REPEAT, Doubt.NEXT_UNPROVEN, Doubt.ASKED_AGAIN)
"""Doubts about a request that nothing has been attempted for since the assignment before."""


_NOBODY_SERVES = (RoomState.WAITING, RoomState.RESOLVED)
"""Such a reading may be older than what was heard last: it shows that the service before is over,
and takes nothing from a customer who asks behind it."""


@frozen(kw_only=True)
class Evidence:
    """One reading of a room, dated by the moment its request began.

    `listed` tells, for a served room, whether the rooms of the agent whom we recorded show it;
    None where no such listing could be had.
    """

    state: RoomState
    began_at: datetime
    listed: bool | None = None


class Settled(StrEnum):
    """What became of a chat that was to be settled."""

    STALE = "stale"
    TOO_EARLY = "too early"
    READY = "ready"
    RELEASED = "released"
    REFUSED = "refused"
    CONFIRMED = "confirmed"
    CLEARED = "cleared"
    CLOSED = "closed"
    CLOSED_AND_NEXT = "closed, the next one opened"


def settle(
    chat_id: ChatId, version: int, evidence: Evidence, rules: Rules, room: Room, now: datetime
) -> Decided[Settled]:
    """Apply a reading to the chat that it was made for, if the chat did not change since."""
    chat = room.chat
    if chat is None or chat.id != chat_id or chat.version != version:
        return Decided(Settled.STALE)
    counts_at = counts_from(evidence, chat, room, rules)
    if evidence.began_at < counts_at:
        return _look_at(chat, room, counts_at)
    match evidence.state:
        case RoomState.WAITING:
            return _found_waiting(chat, rules, room, now)
        case RoomState.SERVED:
            return _found_served(chat, evidence, room, now)
        case RoomState.RESOLVED:
            return _found_resolved(chat, rules, room, now)
        case RoomState.GONE:
            return _closed(room, now, CloseReason.GONE)


def counts_from(evidence: Evidence, chat: Chat, room: Room, rules: Rules) -> datetime:
    """From when on a reading that shows this proves something about the chat."""
    if evidence.state not in _NOBODY_SERVES:
        return proven_from(chat, rules)
    if chat.is_resolved_in_call:
        return call_shown_from(chat, rules)
    before = _assignment_before(evidence, chat, room)
    if before is None:
        return proven_from(chat, rules)
    return min(proven_from(chat, rules), before + rules.settle)


def _assignment_before(evidence: Evidence, chat: Chat, room: Room) -> datetime | None:
    """The assignment that lies before a room that nobody serves; None if that does not follow."""
    is_assigned = chat.state is ChatState.ASSIGNED
    if is_assigned and chat.doubt is Doubt.UNNAMED_RESOLVE:
        return chat.assigned_at
    if evidence.state is RoomState.WAITING and chat.doubt in _WAITING_PROVES_NEW:
        return chat.assigned_at if is_assigned else room.last_assigned_at
    return None


def suspect(
    chat_id: ChatId, version: int, doubt: Doubt, rules: Rules, room: Room, now: datetime
) -> Decided[bool]:
    """Mark a chat for settling, as soon as a reading can prove something, if it did not change.

    The chat's own moment of change stays: the suspicion comes from a reading, not from an event.
    """
    chat = room.chat
    if chat is None or chat.id != chat_id or chat.version != version or chat.doubt is not None:
        return Decided(False)
    change = moved(
        chat,
        Move.DOUBT,
        now,
        reason=doubt,
        changed_at=chat.changed_at,
        doubt=doubt,
        settle_at=max(now, proven_from(chat, rules)),
    )
    return Decided(True, with_chat(room, change), (change,))


@frozen(kw_only=True)
class Listed:
    """A room that the listing of an agent's served rooms shows.

    `absent_elsewhere` is true where the listing of the agent whom we recorded lacks the room.
    """

    room_id: RoomId
    agent_id: AgentId
    began_at: datetime
    channel_id: ChannelId | None = None
    source: str | None = None
    absent_elsewhere: bool = False


class Adopting(StrEnum):
    """What became of a listed room."""

    ADOPTED = "adopted"
    CONVERTED = "converted"
    TRANSFERRED = "transferred"
    CLEARED = "cleared"
    KNOWN = "known"
    TOO_EARLY = "too early"


def adopt(listed: Listed, rules: Rules, room: Room, now: datetime) -> Decided[Adopting]:
    """Record a chat that somebody else gave, so that it counts as load like any other."""
    chat = room.chat
    if chat is None:
        return _adopt_unknown(listed, rules, room, now)
    if chat.agent_id == listed.agent_id:
        return _seen_with_its_agent(chat, listed, rules, room, now)
    if listed.began_at < proven_from(chat, rules):
        return Decided(Adopting.TOO_EARLY)
    if chat.holds_slot and not listed.absent_elsewhere:
        return Decided(Adopting.KNOWN)
    if chat.state is ChatState.ASSIGNED:
        return _transfer(chat, listed, room, now)
    return _convert(chat, listed, room, now)


def _found_waiting(chat: Chat, rules: Rules, room: Room, now: datetime) -> Decided[Settled]:
    match chat.state:
        case ChatState.RESERVED if chat.is_resolved_in_call:
            return _over_and_waiting(chat, room, now)
        case ChatState.RESERVED:
            return _not_applied(chat, rules, room, now)
        case ChatState.ASSIGNED:
            return _over_and_waiting(chat, room, now)
        case _ if not chat.is_doubtful:
            return Decided(Settled.READY)
        case _:
            return _cleared(chat, room, now, Settled.READY, "the room waits")


def _not_applied(chat: Chat, rules: Rules, room: Room, now: datetime) -> Decided[Settled]:
    if chat.doubt is Doubt.UNKNOWN_ANSWER:
        change = refused(chat, rules, now, "the call failed and was not applied")
        return Decided(Settled.REFUSED, with_chat(room, change), (change,))
    change = released(chat, now, "the room still waits: the call was not applied")
    return Decided(Settled.RELEASED, with_chat(room, change), (change,))


def _over_and_waiting(chat: Chat, room: Room, now: datetime) -> Decided[Settled]:
    closed, ending = close(
        room,
        now,
        CloseReason.RESOLVED,
        reason="resolved: the room waits again",
    )
    arrived_at = chat.asked_again_at or now
    opening = admitted(next_chat(chat, arrived_at, now), reason="the room waits again")
    return Decided(Settled.CLOSED_AND_NEXT, with_chat(closed, opening), (ending, opening))


def _found_served(chat: Chat, evidence: Evidence, room: Room, now: datetime) -> Decided[Settled]:
    if chat.state is ChatState.WAITING or evidence.listed is False:
        return _closed(room, now, CloseReason.SERVED_ELSEWHERE)
    if chat.state is ChatState.RESERVED:
        change = confirmed(chat, now, "the platform shows the room as served", asked_again_at=None)
        return Decided(Settled.CONFIRMED, with_chat(room, change), (change,))
    return _cleared(chat, room, now, Settled.CLEARED, "the agent serves the room")


def _found_resolved(chat: Chat, rules: Rules, room: Room, now: datetime) -> Decided[Settled]:
    if chat.is_resolved_in_call and chat.asked_again_at is not None:
        return Decided(Settled.CLOSED_AND_NEXT, *close_resolved(chat, room, rules, now))
    return _closed(room, now, CloseReason.RESOLVED)


def _closed(room: Room, now: datetime, why: CloseReason) -> Decided[Settled]:
    closed, ending = close(room, now, why, reason=f"settled: {why}")
    return Decided(Settled.CLOSED, closed, (ending,))


def _cleared(
    chat: Chat, room: Room, now: datetime, answer: Settled, reason: str
) -> Decided[Settled]:
    change = moved(
        chat, Move.CLEAR, now, reason=reason, doubt=None, settle_at=None, asked_again_at=None
    )
    return Decided(answer, with_chat(room, change), (change,))


def postpone(
    chat_id: ChatId, version: int, rules: Rules, room: Room, now: datetime
) -> Decided[Settled]:
    """Look later at a chat whose room could not be read: ever less often the longer it lasts.

    A chat that is not to be settled stays as it is: a ready one may still be given.
    """
    chat = room.chat
    if chat is None or chat.id != chat_id or chat.version != version:
        return Decided(Settled.STALE)
    pause = (now - chat.changed_at) / 2
    pause = min(max(pause, rules.settle_retry), rules.settle_retry_limit)
    return _look_at(chat, room, now + pause)


def _look_at(chat: Chat, room: Room, at: datetime) -> Decided[Settled]:
    if chat.settle_at is None:
        return Decided(Settled.TOO_EARLY)
    later = evolve(chat, settle_at=max(chat.settle_at, at))
    change = Change(move=Move.DOUBT, before=chat.state, chat=later, silent=True)
    return Decided(Settled.TOO_EARLY, evolve(room, chat=later), (change,))


def _adopt_unknown(listed: Listed, rules: Rules, room: Room, now: datetime) -> Decided[Adopting]:
    if room.closed_since(listed.began_at - rules.settle):
        return Decided(Adopting.TOO_EARLY)
    change = admitted(
        Chat(
            id=UNSAVED,
            room_id=listed.room_id,
            state=ChatState.ASSIGNED,
            arrived_at=now,
            changed_at=now,
            ready_at=now,
            needs=Needs(listed.channel_id),
            source=listed.source,
            agent_id=listed.agent_id,
            assigned_at=now,
            adopted=True,
        ),
        reason="somebody else gave it",
    )
    return Decided(Adopting.ADOPTED, with_chat(room, change), (change,))


def _seen_with_its_agent(
    chat: Chat, listed: Listed, rules: Rules, room: Room, now: datetime
) -> Decided[Adopting]:
    if chat.state is not ChatState.ASSIGNED or chat.doubt is not Doubt.NOT_LISTED:
        return Decided(Adopting.KNOWN)
    if listed.began_at < proven_from(chat, rules):
        return Decided(Adopting.TOO_EARLY)
    decided = _cleared(chat, room, now, Settled.CLEARED, "listed with its agent again")
    return Decided(Adopting.CLEARED, decided.room, decided.changes)


def _transfer(chat: Chat, listed: Listed, room: Room, now: datetime) -> Decided[Adopting]:
    change = moved(
        chat,
        Move.TRANSFER,
        now,
        reason="somebody moved it to another agent",
        details={"from": chat.agent_id},
        agent_id=listed.agent_id,
        adopted=True,
        asked_again_at=None,
        doubt=None,
        settle_at=None,
    )
    return Decided(Adopting.TRANSFERRED, with_chat(room, change), (change,))


def _convert(chat: Chat, listed: Listed, room: Room, now: datetime) -> Decided[Adopting]:
    change = moved(
        chat,
        Move.ADOPT,
        now,
        reason="somebody else gave it while it waited",
        details={"from": chat.agent_id},
        state=ChatState.ASSIGNED,
        agent_id=listed.agent_id,
        reservation_id=None,
        assigned_at=now,
        adopted=True,
        asked_again_at=None,
        doubt=None,
        settle_at=None,
    )
    return Decided(Adopting.CONVERTED, with_chat(room, change), (change,))
