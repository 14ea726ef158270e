"""P3: by our doing at most one agent serves a chat, and no room is given twice in one service."""

from __future__ import annotations

from collections.abc import Iterator

from attrs import define, field

from sebastian_adapters.memory.platform import Event
from tests.oracle.record import Record
from tests.oracle.verdict import Promise, Teller, Violation


@define
class _Service:
    """Who is in the room of one service, and whom we ever sent there."""

    inside: list[Event] = field(factory=list)
    ours: list[Event] = field(factory=list)


def judge_given_once(record: Record) -> Iterator[Violation]:
    """Follow every service at the platform: whom we sent, and who was there then.

    A room that a person emptied again may be given again.
    """
    teller = Teller(record)
    services: dict[int, _Service] = {}
    for event in record.events:
        if event.service_id is None:
            continue
        service = services.setdefault(event.service_id, _Service())
        if event.kind == "assigned":
            if event.by == "api":
                yield from _judge(event, service, teller)
                service.ours.append(event)
            service.inside.append(event)
        elif event.kind in ("removed", "resolved"):
            _leave(event, service)


def _leave(event: Event, service: _Service) -> None:
    if event.kind == "resolved":
        service.inside.clear()
        return
    service.inside = [each for each in service.inside if each.agent_id != event.agent_id]
    service.ours = [each for each in service.ours if each.agent_id != event.agent_id]


def _judge(event: Event, service: _Service, teller: Teller) -> Iterator[Violation]:
    if service.ours:
        yield _twice(event, service.ours[-1], "we had given it", teller)
    elif service.inside:
        yield _twice(event, service.inside[-1], "a person had given it", teller)


def _twice(event: Event, before: Event, who: str, teller: Teller) -> Violation:
    room_id = event.room_id or ""
    return Violation(
        promise=Promise.P3,
        sentence=(
            f"room {room_id}, service {event.service_id}: given to agent {event.agent_id} at "
            f"{teller.moment(event.at)}, although {who} to agent {before.agent_id} at "
            f"{teller.moment(before.at)}"
        ),
        room_id=room_id,
        at=event.at,
        evidence=teller.room(room_id),
    )
