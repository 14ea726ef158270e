"""Builders of domain values: every default is valid, a test names only what it is about."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from attrs import evolve

from sebastian_core.domain.adoption import Listed
from sebastian_core.domain.agent_loads import AgentLoads
from sebastian_core.domain.chat import Chat, ChatState, Doubt, Needs
from sebastian_core.domain.evidence import facts_of
from sebastian_core.domain.ids import AgentId, ChannelId, ChatId, ReservationId, RoomId, ServiceId
from sebastian_core.domain.in_doubt import Evidence, RoomState
from sebastian_core.domain.policy import Candidate, ReadyChat
from sebastian_core.domain.reservation import Reservation
from sebastian_core.domain.room import Decided, Room
from sebastian_core.domain.roster import Presence, Roster
from sebastian_core.domain.rules import Rules
from sebastian_core.domain.webhooks import Arrival, Resolution, Service

NOW = datetime(2025, 6, 22, 9, 0, tzinfo=UTC)
RULES = Rules()
SETTLE = RULES.settle
ROOM = RoomId("68303333")
ANNE, BEN, CLEO = AgentId(7), AgentId(8), AgentId(9)
WHATSAPP, WIDGET = ChannelId(31), ChannelId(32)


def at(seconds: float) -> datetime:
    """So many seconds after NOW (before it, where negative)."""
    return NOW + timedelta(seconds=seconds)


def a_chat(state: ChatState = ChatState.WAITING, **changes: Any) -> Chat:
    """A saved chat of ROOM that came, and last changed, at NOW."""
    values: dict[str, Any] = {
        "id": ChatId(1),
        "room_id": ROOM,
        "state": state,
        "arrived_at": NOW,
        "changed_at": NOW,
        "ready_at": NOW,
    }
    if state in (ChatState.RESERVED, ChatState.ASSIGNED):
        values |= {"agent_id": ANNE, "reservation_id": ReservationId(70)}
    if state is ChatState.RESERVED:
        values["settle_at"] = changes.get("changed_at", NOW) + RULES.reservation
    if state is ChatState.ASSIGNED:
        values["assigned_at"] = changes.get("changed_at", NOW)
    chat = Chat(**(values | changes))
    return chat if "conclusive_from" in changes else evolve(chat, **_facts(chat))


def _facts(chat: Chat) -> dict[str, Any]:
    """What stands beside the doubt of a chat that changed last at its `changed_at`."""
    may_begin = facts_of(chat.doubt).get("outlives_call") is not None or chat.doubt is None
    is_under_way = chat.state is ChatState.RESERVED and may_begin
    conclusive = chat.changed_at + (RULES.call_shows if is_under_way else SETTLE)
    facts = {"conclusive_from": conclusive} | facts_of(chat.doubt)
    if chat.doubt in (Doubt.ASKED_AGAIN, Doubt.UNNAMED_RESOLVE) and chat.assigned_at:
        facts["waiting_counts_from"] = min(conclusive, chat.assigned_at + SETTLE)
    if chat.doubt is Doubt.UNNAMED_RESOLVE:
        facts["resolved_counts_from"] = facts.get("waiting_counts_from")
    if chat.doubt in (Doubt.LATE_REPEAT, Doubt.NEXT_UNPROVEN):
        facts["waiting_counts_from"] = conclusive
    return facts


def a_waiting_chat(**changes: Any) -> Chat:
    return a_chat(ChatState.WAITING, **changes)


def a_reserved_chat(**changes: Any) -> Chat:
    return a_chat(ChatState.RESERVED, **changes)


def an_assigned_chat(**changes: Any) -> Chat:
    return a_chat(ChatState.ASSIGNED, **changes)


def a_room(chat: Chat | None = None, **changes: Any) -> Room:
    """A room; how long its assignment before is past decides from when a late repeat is proven."""
    last = changes.get("last_assigned_at")
    if last is not None and chat is not None and chat.may_be_late_repeat:
        assert chat.waiting_counts_from is not None
        shown_from = min(chat.waiting_counts_from, last + SETTLE)
        chat = evolve(chat, waiting_counts_from=shown_from)
    return Room(room_id=ROOM, chat=chat, **changes)


def a_closed_room(closed_at: datetime, service_id: int | None = None, **changes: Any) -> Room:
    """A room whose last chat ended at that moment, by a resolve with or without an id."""
    return a_room(
        closed_at=closed_at,
        closed_service_id=None if service_id is None else ServiceId(service_id),
        closed_by_id=service_id is not None,
        **changes,
    )


def a_reservation(chat: Chat | None = None) -> Reservation:
    return Reservation.of(chat or a_reserved_chat())


def an_arrival(base: Service | None = None, **changes: Any) -> Arrival:
    return Arrival(room_id=ROOM, base=base, **changes)


def resolved(service_id: int) -> Service:
    return Service(id=ServiceId(service_id), is_resolved=True)


def unresolved(service_id: int) -> Service:
    return Service(id=ServiceId(service_id), is_resolved=False)


def a_resolution(service_id: int | None = None) -> Resolution:
    return Resolution(
        room_id=ROOM, service_id=None if service_id is None else ServiceId(service_id)
    )


def evidence(state: RoomState, began_at: datetime, listed: bool | None = None) -> Evidence:
    return Evidence(state=state, began_at=began_at, listed=listed)


def a_listed_room(agent_id: AgentId = ANNE, began_at: datetime | None = None) -> Listed:
    return Listed(room_id=ROOM, agent_id=agent_id, began_at=began_at or at(60))


def a_presence(agent_id: AgentId = ANNE, *, online: bool = True, **changes: Any) -> Presence:
    values: dict[str, Any] = {"agent_id": agent_id, "online": online, "read_at": NOW}
    return Presence(**(values | changes))


def a_roster(*presences: Presence, read_at: datetime = NOW) -> Roster:
    return Roster(read_at=read_at, agents={each.agent_id: each for each in presences})


def agent_loads(**changes: Any) -> AgentLoads:
    values: dict[str, Any] = {"now": NOW}
    return AgentLoads(**(values | changes))


def a_candidate(agent_id: int = ANNE, **changes: Any) -> Candidate:
    values: dict[str, Any] = {"agent_id": AgentId(agent_id), "load": 0, "capacity": 3}
    return Candidate(**(values | changes))


def a_ready_chat(chat_id: int = 1, **changes: Any) -> ReadyChat:
    """A ready chat; higher ids came later."""
    values: dict[str, Any] = {
        "id": ChatId(chat_id),
        "room_id": RoomId(f"room-{chat_id}"),
        "needs": Needs(),
        "arrived_at": at(chat_id),
    }
    return ReadyChat(**(values | changes))


def only_change(decided: Decided[Any]) -> Chat:
    """The chat of a decision that changes exactly one."""
    (change,) = decided.changes
    return change.chat
