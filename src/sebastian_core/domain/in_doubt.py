"""The in-doubt table: what a reading of the platform makes of a chat.

What a chat is and what its room shows decide what becomes of it, whatever the doubt was: TABLE, and
two exceptions. From when on a reading counts stands on the chat (see Chat and evidence).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType

from attrs import evolve, frozen

from sebastian_core.domain.chat import NO_DOUBT, Chat, ChatState, CloseReason, Doubt, Transition
from sebastian_core.domain.evidence import conclusive_from, doubtful
from sebastian_core.domain.ids import ChatId
from sebastian_core.domain.reservation import confirmed, refused, released
from sebastian_core.domain.room import Change, Decided, Room, admitted, close, moved, with_chat
from sebastian_core.domain.rules import Rules
from sebastian_core.domain.webhooks import close_resolved, next_chat


class RoomState(StrEnum):
    """What one reading shows a room to be."""

    WAITING = "waiting"
    SERVED = "served"
    RESOLVED = "resolved"
    GONE = "gone"


@frozen(kw_only=True)
class Evidence:
    """One reading of a room, dated by the moment its request began.

    `listed` tells, for a served room, whether the rooms of the agent whom we recorded show it;
    None where no such listing could be had.
    """

    state: RoomState
    began_at: datetime
    listed: bool | None = None

    @property
    def shows(self) -> Shown:
        """The column of the table that the reading belongs to."""
        if self.state is RoomState.SERVED and self.listed is False:
            return Shown.SERVED_NOT_LISTED
        return Shown(self.state)


class Shown(StrEnum):
    """What a reading shows, as the table tells it apart.

    A room that is served counts as served by the agent whom we recorded unless a listing of that
    agent's rooms lacks it.
    """

    WAITING = "waiting"
    RESOLVED = "resolved"
    SERVED = "served"
    SERVED_NOT_LISTED = "served, not listed"
    GONE = "gone"


class Outcome(StrEnum):
    """What became of a chat that was to be settled.

    Without effect: STALE (it changed since the reading was asked for) and TOO_EARLY.
    """

    STALE = "stale"
    TOO_EARLY = "too early"
    READY = "ready"
    RELEASED = "released"
    REFUSED = "refused"
    CONFIRMED = "confirmed"
    CLEARED = "cleared"
    CLOSED = "closed"
    CLOSED_AND_NEXT = "closed, the next one opened"


_W, _R, _A = ChatState.WAITING, ChatState.RESERVED, ChatState.ASSIGNED

TABLE: Mapping[tuple[ChatState, Shown], Outcome] = {
    (_W, Shown.WAITING): Outcome.READY,
    (_W, Shown.RESOLVED): Outcome.CLOSED,
    (_W, Shown.SERVED): Outcome.CLOSED,
    (_W, Shown.SERVED_NOT_LISTED): Outcome.CLOSED,
    (_W, Shown.GONE): Outcome.CLOSED,
    (_R, Shown.WAITING): Outcome.RELEASED,
    (_R, Shown.RESOLVED): Outcome.CLOSED,
    (_R, Shown.SERVED): Outcome.CONFIRMED,
    (_R, Shown.SERVED_NOT_LISTED): Outcome.CLOSED,
    (_R, Shown.GONE): Outcome.CLOSED,
    (_A, Shown.WAITING): Outcome.CLOSED_AND_NEXT,
    (_A, Shown.RESOLVED): Outcome.CLOSED,
    (_A, Shown.SERVED): Outcome.CLEARED,
    (_A, Shown.SERVED_NOT_LISTED): Outcome.CLOSED,
    (_A, Shown.GONE): Outcome.CLOSED,
}

_WHY_CLOSED: Mapping[Shown, CloseReason] = MappingProxyType(
    {
        Shown.WAITING: CloseReason.RESOLVED,
        Shown.RESOLVED: CloseReason.RESOLVED,
        Shown.SERVED: CloseReason.SERVED_ELSEWHERE,
        Shown.SERVED_NOT_LISTED: CloseReason.SERVED_ELSEWHERE,
        Shown.GONE: CloseReason.GONE,
    }
)


def outcome(chat: Chat, shown: Shown) -> Outcome:
    """What a reading that counts makes of the chat: the table's answer, but for two exceptions."""
    if chat.counts_as_refusal and shown is Shown.WAITING:
        return Outcome.REFUSED
    if chat.resolved_in_call is not None and shown is Shown.WAITING:
        return Outcome.CLOSED_AND_NEXT
    if chat.resolved_in_call is not None and shown is Shown.RESOLVED and chat.asked_again_at:
        return Outcome.CLOSED_AND_NEXT
    return TABLE[chat.state, shown]


def counts_from(shown: Shown, chat: Chat, rules: Rules) -> datetime:
    """From when on the beginning of a reading that shows this proves something about the chat."""
    earlier = None
    if shown is Shown.WAITING:
        earlier = chat.waiting_counts_from
    elif shown is Shown.RESOLVED:
        earlier = chat.resolved_counts_from
    return earlier or conclusive_from(chat, rules)


def settle(
    chat_id: ChatId, version: int, evidence: Evidence, rules: Rules, room: Room, now: datetime
) -> Decided[Outcome]:
    """Apply a reading to the chat that it was made for, if the chat did not change since."""
    chat = _unchanged(room, chat_id, version)
    if chat is None:
        return Decided(Outcome.STALE)
    shown = evidence.shows
    counts_at = counts_from(shown, chat, rules)
    if evidence.began_at < counts_at:
        return _look_at(chat, room, counts_at)
    answer = outcome(chat, shown)
    return Decided(answer, *_carried_out(answer, chat, shown, rules, room, now))


Carried = tuple[Room | None, tuple[Change, ...]]


def _carried_out(
    answer: Outcome, chat: Chat, shown: Shown, rules: Rules, room: Room, now: datetime
) -> Carried:
    match answer:
        case Outcome.READY if not chat.is_doubtful:
            return None, ()
        case Outcome.READY:
            change = cleared(chat, rules, now, "the room waits")
        case Outcome.CLEARED:
            change = cleared(chat, rules, now, "the agent serves the room")
        case Outcome.RELEASED:
            change = released(chat, rules, now, "the room still waits: the call was not applied")
        case Outcome.REFUSED:
            change = refused(chat, rules, now, "the call failed and was not applied")
        case Outcome.CONFIRMED:
            reason = "the platform shows the room as served"
            change = confirmed(chat, rules, now, reason, asked_again_at=None)
        case Outcome.CLOSED_AND_NEXT if shown is Shown.RESOLVED:
            return close_resolved(chat, room, rules, now)
        case Outcome.CLOSED_AND_NEXT:
            return _over_and_waiting(chat, rules, room, now)
        case _:
            why = _WHY_CLOSED[shown]
            closed, ending = close(room, now, why, reason=f"settled: {why}")
            return closed, (ending,)
    return with_chat(room, change), (change,)


def cleared(chat: Chat, rules: Rules, now: datetime, reason: str) -> Change:
    """The change that answers a doubt: the chat is what we took it for."""
    return moved(chat, Transition.CLEAR, now, rules, reason=reason, asked_again_at=None, **NO_DOUBT)


def _over_and_waiting(chat: Chat, rules: Rules, room: Room, now: datetime) -> Carried:
    closed, ending = close(
        room,
        now,
        CloseReason.RESOLVED,
        reason="resolved: the room waits again",
    )
    following = next_chat(chat, chat.asked_again_at or now, rules, now)
    opening = admitted(following, reason="the room waits again")
    return with_chat(closed, opening), (ending, opening)


def suspect(
    chat_id: ChatId, version: int, doubt: Doubt, rules: Rules, room: Room, now: datetime
) -> Decided[bool]:
    """Mark a chat for settling, as soon as a reading can prove something, if it did not change.

    The suspicion comes from a reading, not from an event: the chat's own moment of change stays,
    and with it the moment from which readings count.
    """
    chat = _unchanged(room, chat_id, version)
    if chat is None or chat.doubt is not None:
        return Decided(False)
    facts = doubtful(doubt, now, conclusive_from(chat, rules))
    change = moved(
        chat, Transition.DOUBT, now, rules, reason=doubt, changed_at=chat.changed_at, **facts
    )
    return Decided(True, with_chat(room, change), (change,))


def postpone(
    chat_id: ChatId, version: int, rules: Rules, room: Room, now: datetime
) -> Decided[Outcome]:
    """Look later at a chat whose room could not be read: ever less often the longer it lasts.

    A chat that is not to be settled stays as it is: a ready one may still be given.
    """
    chat = _unchanged(room, chat_id, version)
    if chat is None:
        return Decided(Outcome.STALE)
    pause = (now - chat.changed_at) / 2
    pause = min(max(pause, rules.settle_retry), rules.settle_retry_limit)
    return _look_at(chat, room, now + pause)


def _unchanged(room: Room, chat_id: ChatId, version: int) -> Chat | None:
    chat = room.chat
    return chat if chat is not None and (chat.id, chat.version) == (chat_id, version) else None


def _look_at(chat: Chat, room: Room, at: datetime) -> Decided[Outcome]:
    if chat.settle_at is None:
        return Decided(Outcome.TOO_EARLY)
    later = evolve(chat, settle_at=max(chat.settle_at, at))
    change = Change(move=Transition.DOUBT, before=chat.state, chat=later, silent=True)
    return Decided(Outcome.TOO_EARLY, evolve(room, chat=later), (change,))
