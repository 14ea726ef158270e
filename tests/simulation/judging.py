"""Brings a run before the oracle, and asks a few things that only the simulation can know."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

from attrs import evolve, frozen

from sebastian_adapters.memory.platform import Event, Truth
from sebastian_apps.http.parts import COMMIT_SECONDS
from sebastian_core.domain.agent_loads import AgentSetting
from sebastian_core.domain.chat import ChatState, Transition
from sebastian_core.domain.rules import Rules
from tests.oracle import Capacities, Judging, Promise, Record, Row, Verdict, judge
from tests.oracle.capacity import judge_capacity
from tests.oracle.order import judge_order_of_passes
from tests.oracle.reading import chats_now, rows_of_history
from tests.oracle.verdict import Violation, sorted_violations
from tests.simulation.plan import CHANNELS, CHAOS_SECONDS
from tests.simulation.stores import Stores
from tests.simulation.world import World

REST_BEFORE_IDLE_SECONDS = 120.0
"""How long after the last fault the line is judged for idleness: a stopped process has woken."""
CALL_SECONDS = 11.0
"""From the reading of the agents to the moment at which a late call is applied."""
GAP_SECONDS = 1.0
SETTLE_SECONDS = Rules().settle.total_seconds()
RESERVATION_SECONDS = Rules().reservation.total_seconds()
CLOCK_READ_SECONDS = 0.01
UNSEEN_SECONDS = 1e9
SAME_CLOCK_SECONDS = 0.0001


@frozen(kw_only=True)
class FaultyJudging(Judging):
    """While faults go on nobody can say when a chat given by hand is seen."""

    @property
    def visible_seconds(self) -> float:
        """Never, for certain."""
        return UNSEEN_SECONDS


def judge_run(stores: Stores, world: World) -> Verdict:
    """The oracle's verdict.

    P4 counts a call that outlived its reservation as given by others; P5 and P6 leave out what a
    person assigned: people choose whom, and whose turn it is.
    """
    record, judging = _record(stores, world), _judging(stores)
    verdict = judge(record, judging)
    late = evolve(record, events=_late_as_foreign(stores, record))
    by_hand = {row.chat_id for row in record.history if row.reason == "assigned by hand"}
    rooms = {row.room_id for row in record.history if row.chat_id in by_hand}
    others = evolve(record, history=[row for row in record.history if row.chat_id not in by_hand])
    found = [
        *(each for each in verdict.violations if each.promise not in _JUDGED_APART),
        *(each for each in verdict.of(Promise.P1) if not _was_repeat(record, each)),
        *judge_capacity(late, judging, Truth.of(late.events)),
        *judge_order_of_passes(others, judging),
        *(each for each in verdict.of(Promise.P6) if each.room_id not in rooms),
    ]
    return evolve(verdict, violations=sorted_violations(found))


def _was_repeat(record: Record, violation: Violation) -> bool:
    rows = [row for row in record.history if row.room_id == violation.room_id]
    return _came_as_repeat(rows, violation.at or 0.0)


_JUDGED_APART = (Promise.P1, Promise.P4, Promise.P5, Promise.P6)


def agreement(stores: Stores) -> tuple[str, ...]:
    """Where our record and the platform differ about who serves whom; a sentence each."""
    platform, found = stores.platform, []
    held = {
        chat.room_id: chat.agent_id
        for chat in stores.record.live.values()
        if chat.state is ChatState.ASSIGNED
    }
    for room_id, agent_id in held.items():
        agents = platform.agents_in(room_id)
        if not agents:
            found.append(f"we hold room {room_id} for agent {agent_id}, and nobody is in it")
        elif platform.switches.user_ids_honoured and agent_id not in agents:
            found.append(f"we hold room {room_id} for agent {agent_id}, but {agents} serve it")
    if not platform.switches.user_ids_honoured:
        return tuple(found)
    served = [each for each in platform.unresolved_rooms() if platform.agents_in(each)]
    found += [
        f"{platform.agents_in(each)} serve room {each}, which we do not hold"
        for each in served
        if each not in held
    ]
    return tuple(found)


def own_checks(stores: Stores, world: World) -> tuple[str, ...]:
    """What the oracle cannot see from outside, or does not ask."""
    record = _record(stores, world)
    truth = Truth.of(record.events)
    return (
        *_forgotten(stores, record, truth),
        *_unfounded(stores, record),
        *_begun_too_late(stores, record),
        *_tried_again(record),
    )


def _forgotten(stores: Stores, record: Record, truth: Truth) -> list[str]:
    """P1 and P2: once acknowledged, a request has a chat of ours until somebody serves it.

    Not judged is what came as a repeat while the room's chat waited or was being given: by design
    such a repeat changes nothing, and where that chat then turns out to be the one before, the
    request is found again by the reconcile.
    """
    rows_of: defaultdict[str, list[Row]] = defaultdict(list)
    for row in record.history:
        rows_of[row.room_id].append(row)
    found, mistaken = [], _closed_by_mistake(stores, record)
    rooms = {row.room_id for row in record.history if row.reason == "taken out by hand"}
    dropped = {each.service_id for each in truth.services.values() if each.room_id in rooms}
    for service_id, at in _first_acknowledged(record).items():
        service = truth.services[service_id]
        if service_id in mistaken | dropped or _came_as_repeat(rows_of[service.room_id], at):
            continue
        until = min(service.assigned_at or UNSEEN_SECONDS, service.resolved_at or UNSEEN_SECONDS)
        gap = _longest_gap(rows_of[service.room_id], at, min(until, record.ended_at))
        if gap > GAP_SECONDS:
            found.append(
                f"P1 forgotten: room {service.room_id}, service {service_id} was acknowledged at "
                f"{at:.3f} s, and we held no chat for it for {gap:.1f} s while it waited"
            )
    return found


def _came_as_repeat(rows: Sequence[Row], at: float) -> bool:
    known = [row for row in rows if row.at < at - COMMIT_SECONDS]
    lately = [row for row in rows if at - COMMIT_SECONDS <= row.at <= at]
    return any(row.after in _UNASSIGNED for row in known[-1:] + lately[:-1]) or (
        len(lately) > 0 and lately[-1].after is ChatState.RESERVED
    )


_UNASSIGNED = (ChatState.WAITING, ChatState.RESERVED)


def _first_acknowledged(record: Record) -> dict[int, float]:
    first: dict[int, float] = {}
    for each in record.deliveries:
        if each.kind == "allocation" and each.is_acknowledged and each.service_id is not None:
            answered_at = each.answered_at or 0.0
            first[each.service_id] = min(first.get(each.service_id, UNSEEN_SECONDS), answered_at)
    return first


def _longest_gap(rows: Sequence[Row], since: float, until: float) -> float:
    """For how long at most the room had no live chat between the two moments."""
    longest, gone_since = 0.0, since
    lives = False
    for row in rows:
        if row.at > until:
            break
        if not lives and row.at > since:
            longest = max(longest, row.at - max(gone_since, since))
        lives = row.after is not ChatState.CLOSED
        gone_since = row.at
    return longest if lives or until <= since else max(longest, until - max(gone_since, since))


def _tried_again(record: Record) -> list[str]:
    """P8: an agent who was not eligible for a chat is not tried again while they are passed over.

    Not judged once a person made the chat ready.
    """
    rules, found = Rules(), []
    passed: dict[tuple[int, int | None], float] = {}
    agent_id: int | None = None
    for row in sorted(record.history, key=lambda row: (row.chat_id, row.version)):
        if row.move is Transition.PASS_OVER:
            passed[row.chat_id, agent_id] = row.at + rules.exclusion.total_seconds()
        elif "by hand" in row.reason:
            passed.clear()
        elif row.move is Transition.RESERVE:
            agent_id = row.agent_id
            if row.at < passed.get((row.chat_id, agent_id), 0.0):
                found.append(
                    f"P8 tried again: chat {row.chat_id} of room {row.room_id} at {row.at:.3f} s "
                    f"with agent {agent_id}, who is not eligible"
                )
    return found


def _begun_too_late(stores: Stores, record: Record) -> list[str]:
    """P3 and P4: no call begins that could end after the deadline of its reservation."""
    rules = Rules()
    latest = (rules.reservation - rules.call).total_seconds() + CLOCK_READ_SECONDS
    reserved: defaultdict[tuple[str, int | None], list[float]] = defaultdict(list)
    for row in record.history:
        if row.move is Transition.RESERVE:
            reserved[row.room_id, row.agent_id].append(row.at)
    found = []
    for at, room_id, agent_id in stores.trace.begun:
        moments = [each for each in reserved[room_id, agent_id] if each <= at]
        if not moments or at - moments[-1] > latest:
            found.append(
                f"P3 too late: the call that gives room {room_id} to agent {agent_id} was begun at "
                f"{at:.3f} s, reserved at {moments[-1:] or 'no time'}"
            )
    return found


def _unfounded(stores: Stores, record: Record) -> list[str]:
    """P3: what we call assigned because the platform confirmed was given by the platform."""
    given: defaultdict[tuple[str, int], list[float]] = defaultdict(list)
    for event in record.events:
        if event.kind in _GIVEN and event.room_id is not None and event.agent_id is not None:
            given[event.room_id, event.agent_id].append(event.at)
    found, reserved_at = [], 0.0
    for row in sorted(record.history, key=lambda row: (row.chat_id, row.version)):
        if row.move is Transition.RESERVE:
            reserved_at = row.at
        if row.move is not Transition.CONFIRM or row.agent_id is None:
            continue
        if not stores.platform.switches.user_ids_honoured and "confirmed" not in row.reason:
            continue
        moments = given[row.room_id, row.agent_id]
        since = reserved_at if "confirmed" in row.reason else 0.0
        if not any(since <= at <= row.at for at in moments):
            found.append(
                f"P3 unfounded: chat {row.chat_id} of room {row.room_id} counts as assigned to "
                f"agent {row.agent_id} since {row.at:.3f} s ({row.reason}), and nobody gave it"
            )
    return found


_GIVEN = ("assigned", "assigned_again", "assigned_resolved")


def _record(stores: Stores, world: World) -> Record:
    epoch = stores.platform.epoch
    channels = {
        agent_id: frozenset(CHANNELS[each].id for each in plan.channels)
        for agent_id, plan in zip(world.agents, stores.scenario.agents, strict=True)
    }
    return Record(
        events=tuple(stores.platform.log),
        history=rows_of_history(stores.record.history, epoch=epoch),
        chats=chats_now(stores.record.chats.values(), epoch=epoch),
        deliveries=tuple(world.deliveries),
        channels=channels,
        ended_at=asyncio.get_running_loop().time(),
    )


def _judging(stores: Stores) -> Judging:
    scenario = stores.scenario
    return FaultyJudging(
        capacities=Capacities(default=scenario.capacity, changes=_changes(stores)),
        verify=scenario.verify,
        call_seconds=CALL_SECONDS,
        idle_seconds=3.0,
        clock_seconds=SAME_CLOCK_SECONDS,
        overtaken_assigned_seconds=CALL_SECONDS,
        outages=((0.0, CHAOS_SECONDS + REST_BEFORE_IDLE_SECONDS),),
    )


def _changes(stores: Stores) -> Mapping[int, Sequence[tuple[float, int]]]:
    default = stores.scenario.capacity
    return {
        agent_id: [(at, _capacity(setting, default)) for at, setting in settings]
        for agent_id, settings in stores.agent_settings.settings.items()
    }


def _capacity(setting: AgentSetting, default: int) -> int:
    return default if setting.capacity is None else setting.capacity


def _late_as_foreign(stores: Stores, record: Record) -> list[Event]:
    """The log, where what we could not know of counts as somebody else's doing.

    A process that was stopped between its last look at the clock and the sending sends after its
    reservation's deadline; what it did is found by a listing (DESIGN, section 4a: a 2xx outlives
    its fence). A reservation makes one assignment, so that a second one is of an older one's call.
    And a chat may be given for a later service than the one it came for, whose late resolve then
    closes it.
    """
    rows = sorted(record.history, key=lambda row: row.at)
    mistaken = _closed_by_mistake(stores, record, states=_WITHOUT_CALL)
    reserved_at: dict[tuple[str | None, int | None], float] = {}
    told: list[Event] = []
    position = 0
    for event in record.events:
        while position < len(rows) and rows[position].at <= event.at:
            row = rows[position]
            if row.move is Transition.RESERVE:
                reserved_at[row.room_id, row.agent_id] = row.at
            position += 1
        is_foreign = False
        if event.kind == "assigned" and event.by == "api":
            since = reserved_at.pop((event.room_id, event.agent_id), None)
            is_late = since is None or event.at - since > RESERVATION_SECONDS
            is_foreign = is_late or event.service_id in mistaken
        told.append(evolve(event, by="person") if is_foreign else event)
    return told


_WITHOUT_CALL = (ChatState.WAITING, ChatState.ASSIGNED)
_LIVE = (*_WITHOUT_CALL, ChatState.RESERVED)


def _closed_by_mistake(
    stores: Stores, record: Record, states: Collection[ChatState] = _LIVE
) -> frozenset[int]:
    """Services that went on when a chat that may have stood for the one before was closed.

    It may have where it came before this service did, or where nothing proves which service it came
    for: the platform names none, or its webhook was lost and it is the first of its room; or, where
    the platform does not name the last resolved one, it had only just come. Who asks for a slot
    leaves out those that were reserved: they keep it until their call has ended.
    """
    names = stores.platform.switches.latest_service
    first: dict[str, int] = {}
    came: dict[int, Row] = {}
    closed: defaultdict[str, list[tuple[float, float]]] = defaultdict(list)
    for row in record.history:
        first.setdefault(row.room_id, row.chat_id)
        admission = came.setdefault(row.chat_id, row)
        if row.after is not ChatState.CLOSED or row.before not in states:
            continue
        is_unnamed = names == "always_null" or "webhook was lost" in admission.reason
        is_first = is_unnamed and first[row.room_id] == row.chat_id
        is_new = names != "as_docs" and row.at - admission.at < SETTLE_SECONDS
        closed[row.room_id].append((0.0 if is_first or is_new else admission.at, row.at))
    return frozenset(
        service.service_id
        for service in Truth.of(record.events).services.values()
        for came_at, at in closed[service.room_id]
        if came_at < service.opened_at < at < (service.resolved_at or UNSEEN_SECONDS)
    )
