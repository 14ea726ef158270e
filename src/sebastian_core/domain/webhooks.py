"""What a webhook means for its room: a new request, a repeat, a resolve, or something doubtful.

The rules rest on section 4a of the design: service ids are positive evidence only, and may be
missing; where they do not decide, time does.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

from attrs import evolve, field, frozen

from sebastian_core.domain.chat import (
    NO_DOUBT,
    Chat,
    ChatState,
    CloseReason,
    Doubt,
    Needs,
    ResolvedInCall,
    Transition,
)
from sebastian_core.domain.evidence import conclusive_from, doubtful
from sebastian_core.domain.ids import ChannelId, RoomId, ServiceId
from sebastian_core.domain.room import (
    Change,
    Decided,
    Room,
    admitted,
    close,
    moved,
    remember_close,
    with_chat,
)
from sebastian_core.domain.rules import Rules


@frozen
class Service:
    """The `latest_service` of an allocation webhook: the base that its chat came in with."""

    id: ServiceId
    is_resolved: bool


def _room_id(text: str) -> RoomId:
    return RoomId(text)


@frozen
class Arrival:
    """A customer of this room asks for an agent.

    `arrived_at` is set only where a platform's time is to count (a room whose webhook was lost).
    The room's id is taken as it is; `parse_room_id` reads one that somebody sent.
    """

    room_id: RoomId = field(converter=_room_id)
    channel_id: ChannelId | None = field(default=None, kw_only=True)
    source: str | None = field(default=None, kw_only=True)
    base: Service | None = field(default=None, kw_only=True)
    arrived_at: datetime | None = field(default=None, kw_only=True)
    properties: Mapping[str, str] = field(factory=dict, kw_only=True)


@frozen(kw_only=True)
class Resolution:
    """Somebody marked the room's service as resolved."""

    room_id: RoomId
    service_id: ServiceId | None = None


class Admission(StrEnum):
    """What became of an arrival."""

    ADMITTED = "admitted"
    DOUBTFUL = "admitted, doubtful"
    REPEATED = "repeated"
    PROVEN = "repeated, and no longer doubtful"
    REMEMBERED = "remembered"
    LATE_REPEAT = "late repeat"
    SUCCEEDED = "admitted, the chat before is over"


class Resolving(StrEnum):
    """What became of a resolve."""

    CLOSED = "closed"
    CLOSED_AND_NEXT = "closed, the next one opened"
    HELD = "held until its assign call has ended"
    REMEMBERED = "remembered"
    REPEATED = "repeated"
    DOUBTED = "doubted"


_ASKED_BEHIND = "the customer asked again, behind a service that is resolved"


def admit(arrival: Arrival, rules: Rules, room: Room, now: datetime) -> Decided[Admission]:
    """Admit an arrival: at most one live chat a room, and a place that no repeat changes."""
    chat = room.chat
    if chat is None:
        return _admit_new(arrival, rules, room, now)
    if chat.resolved_in_call is not None:
        return _ask_behind_resolve(arrival.base, chat, rules, room, now)
    if chat.state is not ChatState.ASSIGNED:
        return _repeat(arrival.base, chat, rules, room, now)
    if _proves_service_over(arrival.base, chat, room):
        return _succeed(arrival, chat, rules, room, now)
    return _remember_asking(chat, rules, room, now)


def admit_found(
    arrival: Arrival, began_at: datetime, rules: Rules, room: Room, now: datetime
) -> Decided[Admission]:
    """Admit a room that a complete listing shows as waiting, unless we know better or just closed.

    `began_at` is when the listing began: a room closed less than `settle` before it may still be
    shown for that reason alone. One that a person took out of the line stays out. Where a webhook
    was lost, others of services that we never heard of may be on their way: the chat before counts
    as one that closed without a name just now.
    """
    if room.chat is not None or room.closed_since(began_at - rules.settle) or room.dropped:
        return Decided(Admission.REPEATED)
    change = admitted(_new_chat(arrival, rules, now), reason="found waiting; its webhook was lost")
    unnamed = remember_close(room, change.chat.arrived_at, None)
    return Decided(Admission.ADMITTED, with_chat(unnamed, change), (change,))


def resolve(resolution: Resolution, rules: Rules, room: Room, now: datetime) -> Decided[Resolving]:
    """Close the room's live chat, unless the resolve repeats or may belong to the one before.

    A reserved chat keeps its slot until its call has ended: that call may yet give its agent what
    the customer asks next.
    """
    service_id, chat = resolution.service_id, room.chat
    if _repeats_close(service_id, room):
        return Decided(Resolving.REPEATED)
    if chat is None:
        return Decided(Resolving.REMEMBERED, remember_close(room, now, service_id))
    if _may_mean_chat_before(chat, room, rules, service_id):
        return _doubt_resolve(chat, room, rules, now)
    if chat.state is ChatState.RESERVED:
        return _hold_resolved(chat, room, rules, now, service_id)
    closed, changes = close_resolved(chat, room, rules, now, service_id)
    answer = Resolving.CLOSED_AND_NEXT if closed.chat else Resolving.CLOSED
    return Decided(answer, closed, changes)


def close_resolved(
    chat: Chat,
    room: Room,
    rules: Rules,
    now: datetime,
    service_id: ServiceId | None = None,
    reason: str = "",
) -> tuple[Room, tuple[Change, ...]]:
    """Close the chat, and open the next one where its customer has asked again: doubtful."""
    closed, ending = close(room, now, CloseReason.RESOLVED, reason=reason, service_id=service_id)
    if chat.asked_again_at is None:
        return closed, (ending,)
    opening = _open_next(chat, chat.asked_again_at, closed, rules, now)
    return with_chat(closed, opening), (ending, opening)


def next_chat(chat: Chat, arrived_at: datetime, rules: Rules, now: datetime, **doubt: Any) -> Chat:
    """The chat that opens with a remembered arrival when the one before is over.

    `doubt` is what `doubtful` answers, where it is in doubt whether there is anything to open.
    """
    arrival = Arrival(
        room_id=chat.room_id,
        channel_id=chat.needs.channel_id,
        source=chat.source,
        arrived_at=arrived_at,
        properties=chat.properties,
    )
    return _new_chat(arrival, rules, now, **doubt)


def _admit_new(arrival: Arrival, rules: Rules, room: Room, now: datetime) -> Decided[Admission]:
    base = arrival.base
    if _is_of_closed(base, room):
        return Decided(Admission.LATE_REPEAT)
    if _is_surely_new(base, room) or not room.closed_since(now - rules.settle):
        change = admitted(_new_chat(arrival, rules, now), reason="the customer asked")
        return Decided(Admission.ADMITTED, with_chat(room, change), (change,))
    doubt = _unproven(Doubt.LATE_REPEAT, room.last_assigned_at, rules, now)
    change = admitted(_new_chat(arrival, rules, now, **doubt), reason=Doubt.LATE_REPEAT)
    return Decided(Admission.DOUBTFUL, with_chat(room, change), (change,))


def _unproven(
    doubt: Doubt, last_assigned_at: datetime | None, rules: Rules, now: datetime
) -> dict[str, Any]:
    """A doubt about a request for which nothing has been attempted since the assignment before.

    A reading that shows the room waiting, and that must show that assignment, is younger than it:
    the service of that assignment is over.
    """
    conclusive = now + rules.settle
    shown_from = conclusive if last_assigned_at is None else last_assigned_at + rules.settle
    return doubtful(doubt, now, conclusive, waiting_counts_from=shown_from)


def _new_chat(arrival: Arrival, rules: Rules, now: datetime, **doubt: Any) -> Chat:
    return Chat(
        room_id=arrival.room_id,
        state=ChatState.WAITING,
        arrived_at=arrival.arrived_at or now,
        changed_at=now,
        ready_at=now,
        needs=Needs(arrival.channel_id),
        source=arrival.source,
        base_service_id=arrival.base.id if arrival.base else None,
        base_resolved=bool(arrival.base and arrival.base.is_resolved),
        properties=arrival.properties,
        **({"conclusive_from": now + rules.settle} | doubt),
    )


def _is_of_closed(base: Service | None, room: Room) -> bool:
    """Whether the request came for the very service that was closed last."""
    return base is not None and not base.is_resolved and base.id == room.closed_service_id


def _is_surely_new(base: Service | None, room: Room) -> bool:
    """Whether the customer asks behind the very service that was closed last, or a younger one."""
    if base is None or not base.is_resolved or room.closed_service_id is None:
        return False
    return room.closed_by_id and base.id >= room.closed_service_id


def _repeat(
    base: Service | None, chat: Chat, rules: Rules, room: Room, now: datetime
) -> Decided[Admission]:
    """A repeat changes nothing, unless it proves that a doubtful chat is wanted."""
    learned = _learned(base, chat, room)
    proven = learned is not None or (chat.may_be_late_repeat and _is_surely_new(base, room))
    if not (proven and chat.is_doubtful):
        return Decided(Admission.REPEATED, learned)
    change = moved(chat, Transition.CLEAR, now, rules, reason=_ASKED_BEHIND, **NO_DOUBT)
    return Decided(Admission.PROVEN, with_chat(learned or room, change), (change,))


def _ask_behind_resolve(
    base: Service | None, chat: Chat, rules: Rules, room: Room, now: datetime
) -> Decided[Admission]:
    """Remember the first request behind a resolve whose chat still holds its slot.

    What its call did shows as soon as before where nobody serves the room. That somebody serves it
    may be older than the request.
    """
    if _is_of_closed(base, room):
        return Decided(Admission.LATE_REPEAT)
    learned = _learned(base, chat, room)
    if chat.asked_again_at is not None:
        return Decided(Admission.REPEATED, learned)
    shown_from = conclusive_from(chat, rules)
    change = moved(
        chat,
        Transition.ASK_AGAIN,
        now,
        rules,
        reason=_ASKED_BEHIND,
        changed_at=chat.changed_at,
        asked_again_at=now,
        conclusive_from=max(shown_from, now + rules.settle),
        waiting_counts_from=shown_from,
        resolved_counts_from=shown_from,
    )
    return Decided(Admission.REMEMBERED, with_chat(learned or room, change), (change,))


def _learned(base: Service | None, chat: Chat, room: Room) -> Room | None:
    """The room's memory where a repeat shows a younger service resolved; mostly nothing new.

    The customer asks behind that service, so its resolve, should it still come, closes nothing.
    """
    if base is None or not base.is_resolved:
        return None
    own = chat.base_service_id if chat.base_resolved else None
    known = [each for each in (room.closed_service_id, own) if each is not None]
    return evolve(room, closed_service_id=base.id) if base.id > max(known, default=-1) else None


def _proves_service_over(base: Service | None, chat: Chat, room: Room) -> bool:
    """A service resolved after all that were over when the chat came can only be the chat's own."""
    if base is None or not base.is_resolved or chat.base_service_id is None:
        return False
    return base.id > max(chat.base_service_id, room.closed_service_id or chat.base_service_id)


def _succeed(
    arrival: Arrival, chat: Chat, rules: Rules, room: Room, now: datetime
) -> Decided[Admission]:
    """Close the chat and open the next one, at the place of the first request that came for it."""
    service_id = arrival.base.id if arrival.base else None
    closed, ending = close(
        room,
        now,
        CloseReason.RESOLVED,
        reason="resolved: the customer's next request says so",
        service_id=service_id,
    )
    first = evolve(arrival, arrived_at=chat.asked_again_at or arrival.arrived_at)
    opening = admitted(_new_chat(first, rules, now), reason="the customer asked again")
    return Decided(Admission.SUCCEEDED, with_chat(closed, opening), (ending, opening))


def _remember_asking(chat: Chat, rules: Rules, room: Room, now: datetime) -> Decided[Admission]:
    """Remember the first arrival; each later one is a change that older readings cannot answer."""
    is_first = chat.asked_again_at is None
    change = moved(
        chat,
        Transition.ASK_AGAIN,
        now,
        rules,
        reason=Doubt.ASKED_AGAIN,
        asked_again_at=now if is_first else chat.asked_again_at,
        **_unproven(Doubt.ASKED_AGAIN, chat.assigned_at, rules, now),
    )
    answer = Admission.REMEMBERED if is_first else Admission.REPEATED
    return Decided(answer, with_chat(room, change), (change,))


def _repeats_close(service_id: ServiceId | None, room: Room) -> bool:
    if service_id is None:
        return room.chat is not None and room.chat.resolved_in_call is ResolvedInCall.PENDING
    if room.closed_service_id is not None and service_id <= room.closed_service_id:
        return True
    return room.chat is not None and _is_before(service_id, room.chat)


def _is_before(service_id: ServiceId, chat: Chat) -> bool:
    """Whether the service surely ended before the chat came: a base is resolved, or its own."""
    base = chat.base_service_id
    if base is None:
        return False
    return service_id < base or (service_id == base and chat.base_resolved)


def _may_mean_chat_before(
    chat: Chat, room: Room, rules: Rules, service_id: ServiceId | None
) -> bool:
    """Ids are missing on one side, and nothing has named the service of the chat before yet.

    A resolve without an id is doubted only where that chat closed just before this one came; one
    with an id always, for it may be as late as a webhook can be.
    """
    if service_id is not None and chat.base_service_id is not None:
        return False
    if chat.resolved_in_call is not None:
        return False
    if room.closed_at is None:
        return False
    if service_id is not None:
        return not room.closed_by_id
    return chat.arrived_at - room.closed_at < rules.settle


def _doubt_resolve(chat: Chat, room: Room, rules: Rules, now: datetime) -> Decided[Resolving]:
    """Have the room read; that nobody serves it counts once the chat's own assignment must show."""
    shown_after = rules.call_shows if chat.state is ChatState.RESERVED else rules.settle
    nobody_from = chat.assigned_at + rules.settle if chat.assigned_at else None
    change = moved(
        chat,
        Transition.DOUBT,
        now,
        rules,
        reason=Doubt.UNNAMED_RESOLVE,
        **doubtful(
            Doubt.UNNAMED_RESOLVE,
            now,
            now + shown_after,
            waiting_counts_from=nobody_from,
            resolved_counts_from=nobody_from,
        ),
    )
    return Decided(Resolving.DOUBTED, with_chat(room, change), (change,))


def _hold_resolved(
    chat: Chat, room: Room, rules: Rules, now: datetime, service_id: ServiceId | None
) -> Decided[Resolving]:
    doubt, shown_from = Doubt.RESOLVED_UNSURE, now + rules.settle
    if chat.call_may_begin:
        doubt, shown_from = Doubt.RESOLVED_IN_CALL, max(shown_from, conclusive_from(chat, rules))
    change = moved(
        chat,
        Transition.DOUBT,
        now,
        rules,
        reason=doubt,
        # The version before knows this moment alone: `settle` after it a reading counts.
        changed_at=shown_from - rules.settle,
        **doubtful(doubt, now, shown_from),
    )
    remembered = remember_close(room, now, service_id)
    return Decided(Resolving.HELD, with_chat(remembered, change), (change,))


def _open_next(chat: Chat, asked_at: datetime, closed: Room, rules: Rules, now: datetime) -> Change:
    doubt = _unproven(Doubt.NEXT_UNPROVEN, closed.last_assigned_at, rules, now)
    following = next_chat(chat, asked_at, rules, now, **doubt)
    return admitted(following, reason=Doubt.NEXT_UNPROVEN)
