"""P6: whoever is given a chat is online."""

from __future__ import annotations

from collections.abc import Iterator

from sebastian_adapters.memory.platform import Event
from tests.oracle.record import Judging, Record
from tests.oracle.verdict import OfflineGift, Promise, Teller, Violation


def offline_gifts(record: Record) -> Iterator[OfflineGift]:
    """Every chat that we gave to somebody who was offline at the platform when the call was taken.

    Walks the log in its order, so that two events of one moment are told apart.
    """
    online: set[int] = set()
    left_at: dict[int, float] = {}
    for event in record.events:
        agent_id = event.agent_id
        if agent_id is None:
            continue
        if event.kind == "online":
            online.add(agent_id)
        elif event.kind in ("offline", "agent_deleted"):
            online.discard(agent_id)
            left_at[agent_id] = event.at
        elif _is_gift(event) and agent_id not in online:
            since = left_at.get(agent_id)
            offline = None if since is None else event.at - since
            yield OfflineGift(
                room_id=event.room_id or "",
                agent_id=agent_id,
                at=event.at,
                offline_seconds=offline,
            )


def is_during_call(gift: OfflineGift, judging: Judging) -> bool:
    """Whether P6 allows it: they left after the reading that the call may rest on."""
    age = 0.0 if judging.verify else judging.presence_max_age_seconds
    return gift.offline_seconds is not None and gift.offline_seconds <= age + judging.call_seconds


def told_offline(gift: OfflineGift, teller: Teller) -> Violation:
    """The violation that such a gift is."""
    since = (
        "who never was online"
        if gift.offline_seconds is None
        else f"who had been offline for {gift.offline_seconds:.3f} s"
    )
    return Violation(
        promise=Promise.P6,
        sentence=(
            f"room {gift.room_id} was given to agent {gift.agent_id} at "
            f"{teller.moment(gift.at)}, {since}"
        ),
        room_id=gift.room_id,
        at=gift.at,
        evidence=teller.room(gift.room_id),
    )


def _is_gift(event: Event) -> bool:
    return event.kind == "assigned" and event.by == "api"
