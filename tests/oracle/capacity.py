"""P4: whoever is given a chat had a free slot, in our record and at the platform."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from sebastian_adapters.memory.platform import Serving, Truth
from tests.oracle.record import Judging, Record
from tests.oracle.replay import Line, Pass, passes_of, seen_by_passes
from tests.oracle.verdict import Promise, Teller, Violation

_ServingsOf = Mapping[int, Sequence[tuple[str, Serving]]]


def judge_capacity(record: Record, judging: Judging, truth: Truth) -> Iterator[Violation]:
    """By what each pass could see, and by what all of them wrote."""
    seen = list(_judge_as_seen(record, judging, truth))
    told = {(each.chat_id, each.at) for each in seen}
    written = _judge_as_written(record, judging)
    yield from seen
    yield from (each for each in written if (each.chat_id, each.at) not in told)


def _judge_as_seen(record: Record, judging: Judging, truth: Truth) -> Iterator[Violation]:
    """At each reserving pass, count every agent's chats with and without what we cannot know.

    In our record: live chats that the pass could see, and what it gave. At the platform: also the
    rooms that we gave and no longer hold, and those given by hand and visible for long enough.
    """
    teller = Teller(record)
    servings = _servings(truth)
    for each, line in seen_by_passes(record, judging.rules):
        for agent_id, given in each.by_agent.items():
            capacity = judging.capacities.at(agent_id, each.at)
            if line.load(agent_id) + given > capacity:
                yield _over_in_record(each, agent_id, line, capacity, teller)
                continue
            rooms = _rooms(each, agent_id, line)
            unheld = _unheld(each.at, servings.get(agent_id, ()), rooms, judging)
            if len(rooms) + len(unheld) > capacity:
                yield _over_at_platform(each, agent_id, rooms, unheld, capacity, teller)


def _judge_as_written(record: Record, judging: Judging) -> Iterator[Violation]:
    """Passes that could not see each other: only what both wrote shows that they gave one slot.

    Whatever adds load is written under the line's lock, so in the order of writing; what frees is
    written before a pass can see it.
    """
    teller, line, written = Teller(record), Line(judging.rules), 0
    for each in passes_of(record):
        if each.snapshot is None:
            return
        while record.history[written].seq < each.rows[0].seq:
            line.apply(record.history[written])
            written += 1
        for agent_id, given in each.by_agent.items():
            capacity = judging.capacities.at(agent_id, each.at)
            if line.load(agent_id) + given > capacity:
                yield _over_in_record(each, agent_id, line, capacity, teller)


def _servings(truth: Truth) -> _ServingsOf:
    found: defaultdict[int, list[tuple[str, Serving]]] = defaultdict(list)
    for service in truth.services.values():
        for serving in service.servings:
            found[serving.agent_id].append((service.room_id, serving))
    return found


def _rooms(each: Pass, agent_id: int, line: Line) -> set[str]:
    """The rooms whose slot the agent holds in our record, once the pass is done."""
    return {*line.held[agent_id].values()} | {
        row.room_id for row in each.rows if row.agent_id == agent_id
    }


def _unheld(
    at: float, servings: Sequence[tuple[str, Serving]], rooms: set[str], judging: Judging
) -> dict[str, Serving]:
    """Rooms that the agent serves at the platform, that we must know of and do not hold."""
    slack = judging.clock_seconds
    return {
        room_id: serving
        for room_id, serving in servings
        if room_id not in rooms
        and serving.from_at < at - (slack if serving.by == "api" else judging.visible_seconds)
        and (serving.until_at is None or serving.until_at > at + slack)
    }


def _over_in_record(
    each: Pass, agent_id: int, line: Line, capacity: int, teller: Teller
) -> Violation:
    held = sorted(line.held[agent_id])
    given = [row.chat_id for row in each.rows if row.agent_id == agent_id]
    return Violation(
        promise=Promise.P4,
        sentence=(
            f"agent {agent_id} (capacity {capacity}) held chats {held} when the pass of "
            f"{teller.moment(each.at)} gave them chats {given} as well"
        ),
        chat_id=given[0],
        at=each.at,
        evidence=teller.rows_of(*held, *given),
    )


def _over_at_platform(
    each: Pass,
    agent_id: int,
    rooms: set[str],
    unheld: Mapping[str, Serving],
    capacity: int,
    teller: Teller,
) -> Violation:
    told = ", ".join(
        f"{room_id} (by {serving.by} since {teller.moment(serving.from_at)})"
        for room_id, serving in unheld.items()
    )
    given = next(row for row in each.rows if row.agent_id == agent_id)
    return Violation(
        promise=Promise.P4,
        sentence=(
            f"agent {agent_id} (capacity {capacity}) holds rooms {sorted(rooms)} after the pass of "
            f"{teller.moment(each.at)}, and serves at the platform what we do not hold: {told}"
        ),
        room_id=given.room_id,
        chat_id=given.chat_id,
        at=each.at,
        evidence=tuple(line for room_id in unheld for line in teller.room(room_id)),
    )
