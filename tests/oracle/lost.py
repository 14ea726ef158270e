"""P1 and P2: what was acknowledged is remembered, and at the end everybody was served."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence

from sebastian_adapters.memory.platform import ServiceTruth, Truth
from sebastian_core.domain.chat import ChatState
from tests.oracle.record import ChatNow, Delivered, Judging, Record, Row
from tests.oracle.verdict import Promise, Teller, Violation


def judge_durable(record: Record, judging: Judging, truth: Truth) -> Iterator[Violation]:
    """P1: while a service wants an agent and its webhook was acknowledged, its room has a chat.

    Only the first acknowledgement of a service is judged, and only where the service was still
    unserved then: what we do about later ones is not for the acknowledgement to show.
    """
    teller = Teller(record)
    rows_of = _rows_by_room(record.history)
    for service_id, delivery in _first_acknowledged(record).items():
        service = truth.services.get(service_id)
        at = delivery.answered_at
        if service is None or at is None or not _wants_agent(service, at):
            continue
        if _had_chat(rows_of.get(service.room_id, []), at, judging.clock_seconds):
            continue
        yield Violation(
            promise=Promise.P1,
            sentence=(
                f"room {service.room_id}: service {service_id} was acknowledged at "
                f"{teller.moment(at)} while it waited, and we held no chat for it then"
            ),
            room_id=service.room_id,
            at=at,
            evidence=teller.room(service.room_id),
        )


def judge_nothing_lost(record: Record, judging: Judging, truth: Truth) -> Iterator[Violation]:
    """P2: at the end every service was served or resolved, and every chat assigned or closed.

    A chat may also wait at the end where nobody who is online has a free slot.
    """
    if not judging.is_over:
        return
    teller = Teller(record)
    if not _somebody_is_free(record, judging, truth):
        return
    for service in truth.services.values():
        if _is_unserved(service):
            yield _unserved(service, teller)
    for chat in record.chats:
        if chat.state in (ChatState.WAITING, ChatState.RESERVED):
            yield _unsettled(chat, teller)
        elif chat.state is ChatState.ASSIGNED and _is_over(chat, truth):
            yield _never_freed(chat, teller)


def _first_acknowledged(record: Record) -> dict[int, Delivered]:
    first: dict[int, Delivered] = {}
    for each in record.deliveries:
        if each.kind != "allocation" or each.service_id is None or not each.is_acknowledged:
            continue
        known = first.get(each.service_id)
        if known is None or _answered(each) < _answered(known):
            first[each.service_id] = each
    return first


def _answered(delivery: Delivered) -> float:
    assert delivery.answered_at is not None
    return delivery.answered_at


def _wants_agent(service: ServiceTruth, at: float) -> bool:
    is_open = service.resolved_at is None or service.resolved_at > at
    return is_open and (service.assigned_at is None or service.assigned_at > at)


def _rows_by_room(history: Sequence[Row]) -> Mapping[str, list[Row]]:
    rows: defaultdict[str, list[Row]] = defaultdict(list)
    for row in history:
        rows[row.room_id].append(row)
    return rows


def _had_chat(rows: Sequence[Row], at: float, slack: float) -> bool:
    """Whether the room's chat lived then, as far as two clocks agree: it may just have begun,
    or be about to end. Rows of one room are in the order of their moments.
    """
    known = rows[: bisect_right(rows, at + slack, key=lambda row: row.at)]
    if not known:
        return False
    return known[-1].after is not ChatState.CLOSED or known[-1].at > at - slack


def _somebody_is_free(record: Record, judging: Judging, truth: Truth) -> bool:
    loads = Counter(
        chat.agent_id
        for chat in record.chats
        if chat.state in (ChatState.RESERVED, ChatState.ASSIGNED)
    )
    agents = {event.agent_id for event in record.events if event.kind == "online"}
    return any(
        agent_id is not None
        and truth.is_online_at(agent_id, record.ended_at)
        and loads[agent_id] < judging.capacities.at(agent_id, record.ended_at)
        for agent_id in agents
    )


def _is_unserved(service: ServiceTruth) -> bool:
    return service.resolved_at is None and all(
        each.until_at is not None for each in service.servings
    )


def _unserved(service: ServiceTruth, teller: Teller) -> Violation:
    return Violation(
        promise=Promise.P2,
        sentence=(
            f"room {service.room_id}: service {service.service_id} came at "
            f"{teller.moment(service.opened_at)} and nobody serves it at the end"
        ),
        room_id=service.room_id,
        at=service.opened_at,
        evidence=teller.room(service.room_id),
    )


def _unsettled(chat: ChatNow, teller: Teller) -> Violation:
    return Violation(
        promise=Promise.P2,
        sentence=(
            f"chat {chat.id} of room {chat.room_id}, here since "
            f"{teller.moment(chat.arrived_at)}, is still {chat.state} at the end"
        ),
        room_id=chat.room_id,
        chat_id=chat.id,
        at=chat.arrived_at,
        evidence=teller.room(chat.room_id),
    )


def _is_over(chat: ChatNow, truth: Truth) -> bool:
    """Whether nobody is in the room at the platform, and all of its services are resolved."""
    services = [each for each in truth.services.values() if each.room_id == chat.room_id]
    return all(service.resolved_at is not None for service in services)


def _never_freed(chat: ChatNow, teller: Teller) -> Violation:
    return Violation(
        promise=Promise.P2,
        sentence=(
            f"chat {chat.id} of room {chat.room_id} still holds a slot of agent {chat.agent_id} "
            f"at the end, although the room was resolved"
        ),
        room_id=chat.room_id,
        chat_id=chat.id,
        at=chat.arrived_at,
        evidence=teller.room(chat.room_id),
    )
