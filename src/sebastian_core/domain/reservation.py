"""A slot held while the assign call is under way, and what each end of the call makes of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from itertools import islice
from typing import Any

from attrs import frozen

from sebastian_core.domain.chat import (
    NO_DOUBT,
    ONLY_AT_MOST,
    Chat,
    ChatState,
    Doubt,
    Needs,
    OutlivesCall,
    ResolvedInCall,
    Transition,
)
from sebastian_core.domain.evidence import doubtful
from sebastian_core.domain.ids import AgentId, ReservationId
from sebastian_core.domain.room import AgentRecheck, Change, Decided, Room, moved, with_chat
from sebastian_core.domain.rules import Rules
from sebastian_core.domain.webhooks import close_resolved


@frozen
class Reservation:
    """A chat that holds a slot of one agent; `id` is the fencing token of all that follows."""

    id: ReservationId
    chat: Chat
    agent_id: AgentId
    deadline_at: datetime

    @classmethod
    def of(cls, chat: Chat) -> Reservation:
        """The reservation that a reserved chat carries; raises ValueError for any other chat."""
        if chat.reservation_id is None or chat.agent_id is None or chat.settle_at is None:
            raise ValueError(f"chat {chat.id} is not reserved")
        return cls(chat.reservation_id, chat, chat.agent_id, chat.settle_at)


class FenceOutcome(StrEnum):
    """Whether a word about a reservation still found it."""

    DONE = "done"
    REPEATED = "repeated"
    GONE = "gone"


def reserve(
    chat: Chat,
    agent_id: AgentId,
    reservation_id: ReservationId,
    rules: Rules,
    now: datetime,
    *,
    reason: str = "",
    actor: str = "sebastian",
    details: dict[str, Any] | None = None,
) -> Change:
    """Take a slot of the agent for a waiting chat, until the deadline."""
    return moved(
        chat,
        Transition.RESERVE,
        now,
        rules,
        reason=reason,
        actor=actor,
        details=details,
        state=ChatState.RESERVED,
        agent_id=agent_id,
        reservation_id=reservation_id,
        **{
            **NO_DOUBT,
            "settle_at": now + rules.reservation,
            "conclusive_from": now + rules.call_shows,
        },
    )


def confirm(
    reservation: Reservation, rules: Rules, room: Room, now: datetime
) -> Decided[FenceOutcome]:
    """The platform confirmed: the chat is assigned. Too late, the answer becomes evidence."""
    chat = _held(room, reservation)
    if chat is not None and chat.resolved_in_call is not None:
        return Decided(FenceOutcome.GONE, *_unsure(chat, rules, room, now))
    if chat is not None:
        open_doubt = _open_doubt(chat, rules, now)
        change = confirmed(chat, rules, now, "the platform confirmed", **open_doubt)
        return Decided(FenceOutcome.DONE, with_chat(room, change), (change,))
    if _is_assigned_by(room.chat, reservation):
        return Decided(FenceOutcome.REPEATED)
    return _late_success(reservation, rules, room, now)


def confirmed(chat: Chat, rules: Rules, now: datetime, reason: str, **changes: Any) -> Change:
    """The change that makes an assignment of a reservation."""
    return moved(
        chat,
        Transition.CONFIRM,
        now,
        rules,
        reason=reason,
        state=ChatState.ASSIGNED,
        assigned_at=now,
        refusals=0,
        refused_by=None,
        **{**NO_DOUBT, **changes},
    )


def release(
    reservation: Reservation, reason: str, rules: Rules, room: Room, now: datetime
) -> Decided[FenceOutcome]:
    """Give the slot back; the chat waits again at its old place, ready at once."""
    return _not_applied(
        reservation,
        lambda chat: released(chat, rules, now, reason, **_open_doubt(chat, rules, now)),
        rules,
        room,
        now,
    )


def released(chat: Chat, rules: Rules, now: datetime, reason: str, **changes: Any) -> Change:
    """The change that puts a reserved chat back at its place."""
    return _back_in_line(chat, Transition.RELEASE, rules, now, reason, **changes)


def release_doubtful(
    reservation: Reservation, rules: Rules, room: Room, now: datetime
) -> Decided[FenceOutcome]:
    """Give the slot back after a refusal where the room no longer waits; settle before it is ready.

    A refused call was not applied, so the slot is free; what the room is, a fresh reading tells.
    """
    doubt = Doubt.REFUSED_NOT_WAITING
    return _not_applied(
        reservation,
        lambda chat: released(chat, rules, now, doubt, **doubtful(doubt, now, now + rules.settle)),
        rules,
        room,
        now,
    )


def pass_over(
    reservation: Reservation,
    eligible: Iterable[AgentId],
    rules: Rules,
    room: Room,
    now: datetime,
) -> Decided[FenceOutcome]:
    """Give the slot back and keep the chat to the agents whom the platform holds eligible.

    For a while only: eligibility may change. Of very many the first ones are remembered.
    """
    only = frozenset(islice(eligible, ONLY_AT_MOST))
    return _not_applied(
        reservation, lambda chat: _passed_over(chat, only, rules, now), rules, room, now
    )


def _passed_over(chat: Chat, only: frozenset[AgentId], rules: Rules, now: datetime) -> Change:
    return _back_in_line(
        chat,
        Transition.PASS_OVER,
        rules,
        now,
        "the agent is not eligible for this room",
        needs=Needs(chat.needs.channel_id, only),
        passes=chat.passes + 1,
        excluded_until=now + rules.exclusion_after(chat.passes + 1),
        **_open_doubt(chat, rules, now),
    )


def refuse(
    reservation: Reservation, reason: str, rules: Rules, room: Room, now: datetime
) -> Decided[FenceOutcome]:
    """The platform said no to a room that waits: give the slot back and try again later.

    Where a call of an earlier reservation succeeded meanwhile, the no proves nothing: the slot
    stays, and the chat is settled.
    """
    held = _held(room, reservation)
    if held is not None and held.outlives_call is OutlivesCall.SUCCESS:
        return Decided(FenceOutcome.DONE)
    return _not_applied(
        reservation,
        lambda chat: refused(chat, rules, now, reason, **_open_doubt(chat, rules, now)),
        rules,
        room,
        now,
    )


def refused(chat: Chat, rules: Rules, now: datetime, reason: str, **changes: Any) -> Change:
    """The change that counts a refusal and moves the moment of the next try; the place stays."""
    refusals = chat.refusals + 1
    return _back_in_line(
        chat,
        Transition.REFUSE,
        rules,
        now,
        reason,
        told={"refusals": refusals},
        refusals=refusals,
        refused_by=chat.agent_id,
        ready_at=now + rules.delay_after(refusals),
        **changes,
    )


def doubt_attempt(
    reservation: Reservation, doubt: Doubt, rules: Rules, room: Room, now: datetime
) -> Decided[FenceOutcome]:
    """The call may have been applied: keep the slot, and settle once the platform has caught up.

    What was heard before that outlives the call is forgotten: the reading that shows what the call
    did is younger, and answers that as well.
    """
    chat = _held(room, reservation)
    if chat is None:
        return Decided(FenceOutcome.GONE)
    if chat.resolved_in_call is not None:
        return Decided(FenceOutcome.DONE, *_unsure(chat, rules, room, now))
    change = _doubted(chat, doubt, rules, now)
    return Decided(FenceOutcome.DONE, with_chat(room, change), (change,))


def _not_applied(
    reservation: Reservation,
    back_in_line: Callable[[Chat], Change],
    rules: Rules,
    room: Room,
    now: datetime,
) -> Decided[FenceOutcome]:
    """Give up the slot of a call that was surely not applied; what was resolved meanwhile closes.

    Once an earlier word left open what the call did, only a reading closes that.
    """
    chat = _held(room, reservation)
    if chat is None:
        return Decided(FenceOutcome.GONE)
    if chat.resolved_in_call is ResolvedInCall.UNSURE:
        return Decided(FenceOutcome.DONE)
    if chat.resolved_in_call is ResolvedInCall.PENDING:
        service_id = room.closed_service_id if room.closed_by_id else None
        why = Doubt.RESOLVED_IN_CALL
        return Decided(FenceOutcome.DONE, *close_resolved(chat, room, rules, now, service_id, why))
    change = back_in_line(chat)
    return Decided(FenceOutcome.DONE, with_chat(room, change), (change,))


def _unsure(
    chat: Chat, rules: Rules, room: Room, now: datetime
) -> tuple[Room | None, tuple[Change, ...]]:
    """What a call makes of a resolved chat if it may be applied: its slot stays until a reading."""
    if chat.resolved_in_call is ResolvedInCall.UNSURE:
        return None, ()
    change = _doubted(chat, Doubt.RESOLVED_UNSURE, rules, now)
    return with_chat(room, change), (change,)


def _doubted(chat: Chat, doubt: Doubt, rules: Rules, now: datetime) -> Change:
    facts = doubtful(doubt, now, now + rules.settle)
    return moved(chat, Transition.DOUBT, now, rules, reason=doubt, **facts)


def _held(room: Room, reservation: Reservation) -> Chat | None:
    chat = room.chat
    if chat is None or chat.state is not ChatState.RESERVED:
        return None
    return chat if chat.reservation_id == reservation.id else None


def _is_assigned_by(chat: Chat | None, reservation: Reservation) -> bool:
    return (
        chat is not None
        and chat.state is ChatState.ASSIGNED
        and chat.reservation_id == reservation.id
    )


def _back_in_line(
    chat: Chat,
    move: Transition,
    rules: Rules,
    now: datetime,
    reason: str,
    *,
    told: Mapping[str, Any] | None = None,
    **changes: Any,
) -> Change:
    """The change that frees the slot: in no doubt, unless `changes` say otherwise."""
    return moved(
        chat,
        move,
        now,
        rules,
        reason=reason,
        details={"agent": chat.agent_id, "reservation": chat.reservation_id, **(told or {})},
        state=ChatState.WAITING,
        agent_id=None,
        reservation_id=None,
        **{**NO_DOUBT, **changes},
    )


def _open_doubt(chat: Chat, rules: Rules, now: datetime) -> dict[str, Any]:
    """What stays of a doubt that no end of the call answers: all but its moments."""
    if chat.outlives_call is None:
        return {}
    stays = {"doubt": chat.doubt, "outlives_call": chat.outlives_call}
    return stays | {"settle_at": now + rules.settle}


def _late_success(
    reservation: Reservation, rules: Rules, room: Room, now: datetime
) -> Decided[FenceOutcome]:
    """A 2xx outlives its fence: settle the chat, and look at the rooms of the agent we named.

    A chat that was resolved while its next call is under way is settled for that reason already.
    """
    watch = AgentRecheck(agent_id=reservation.agent_id, list_at=now + rules.settle)
    chat = room.chat
    if chat is None or chat.id != reservation.chat.id or chat.resolved_in_call:
        return Decided(FenceOutcome.GONE, watches=(watch,))
    shown_after = rules.call_shows if chat.state is ChatState.RESERVED else rules.settle
    change = moved(
        chat,
        Transition.DOUBT,
        now,
        rules,
        reason=Doubt.LATE_SUCCESS,
        details={"agent": reservation.agent_id, "reservation": reservation.id},
        **doubtful(Doubt.LATE_SUCCESS, now, now + shown_after),
    )
    return Decided(FenceOutcome.GONE, with_chat(room, change), (change,), (watch,))
