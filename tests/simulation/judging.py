"""Brings a run before the oracle, and asks a few things that only the simulation can know."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from attrs import evolve, frozen

from sebastian_adapters.memory.platform import Event
from sebastian_core.domain.agent import AgentSetting
from sebastian_core.domain.chat import ChatState
from tests.oracle import Capacities, Judging, Promise, Record, Row, Verdict, judge
from tests.oracle.reading import chats_now, rows_of_history
from tests.oracle.verdict import sorted_violations
from tests.simulation.plan import CHAOS_SECONDS, CHANNELS
from tests.simulation.stores import Stores
from tests.simulation.world import World

REST_BEFORE_IDLE_SECONDS = 120.0
"""How long after the last fault the line is judged for idleness: a stopped process has woken."""
CALL_SECONDS = 11.0
"""From the reading of the agents to the moment at which a late call is applied."""
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
    """The oracle's verdict; P4 counts a call that outlived its reservation as given by others."""
    record, judging = _record(stores, world), _judging(stores)
    verdict = judge(record, judging)
    late = judge(evolve(record, events=_late_as_foreign(record.events, record.history)), judging)
    found = [each for each in verdict.violations if each.promise is not Promise.P4]
    return evolve(verdict, violations=sorted_violations([*found, *late.of(Promise.P4)]))


def agreement(stores: Stores) -> tuple[str, ...]:
    """Where our record and the platform differ about who serves whom; a sentence each."""
    platform, found = stores.platform, []
    held = {
        chat.room_id: chat.agent_id
        for chat in stores.room_repo._live.values()
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
    for room_id in platform.unresolved_rooms():
        if platform.agents_in(room_id) and room_id not in held:
            found.append(
                f"{platform.agents_in(room_id)} serve room {room_id}, which we do not hold"
            )
    return tuple(found)


def _record(stores: Stores, world: World) -> Record:
    epoch = stores.platform.epoch
    channels = {
        agent_id: frozenset(CHANNELS[each].id for each in plan.channels)
        for agent_id, plan in zip(world.agents, stores.scenario.agents, strict=True)
    }
    return Record(
        events=tuple(stores.platform.log),
        history=rows_of_history(stores.room_repo._history, epoch=epoch),
        chats=chats_now(stores.room_repo._chats.values(), epoch=epoch),
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
        for agent_id, settings in stores.room_repo.settings.items()
    }


def _capacity(setting: AgentSetting, default: int) -> int:
    if setting.paused:
        return 0
    return default if setting.capacity is None else setting.capacity


def _late_as_foreign(events: Sequence[Event], history: Sequence[Row]) -> list[Event]:
    """The log, where a call applied after the end of its reservation counts as somebody else's.

    A process that was stopped between its last look at the clock and the sending cannot know; what
    it did is found by a listing (DESIGN, section 4a: a 2xx outlives its fence).
    """
    rows = sorted(history, key=lambda row: row.at)
    held: dict[str, int | None] = {}
    told: list[Event] = []
    position = 0
    for event in events:
        while position < len(rows) and rows[position].at <= event.at:
            row = rows[position]
            held[row.room_id] = row.agent_id if row.holds_slot else None
            position += 1
        is_ours = event.kind == "assigned" and event.by == "api"
        is_late = is_ours and held.get(event.room_id or "") != event.agent_id
        told.append(evolve(event, by="person") if is_late else event)
    return told
