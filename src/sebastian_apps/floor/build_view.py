"""From one look to the page: pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta

from sebastian_apps.floor.query import HELD_SHOWN, FloorData
from sebastian_apps.floor.view import (
    AgentView,
    DecisionView,
    FloorView,
    LastAssignment,
    MinuteView,
    Numbers,
    SlotView,
    WaitingView,
    Waits,
)
from sebastian_apps.status.blocked import what_blocks
from sebastian_apps.status.checks import check_floor, worst_first
from sebastian_apps.status.floor_state import FloorRules
from sebastian_apps.wording import Phrases, why_not_yet
from sebastian_core.domain.agent_loads import AgentSetting
from sebastian_core.domain.chat import Chat, Transition
from sebastian_core.domain.explanation import HOLDS_ALL, BlockedBy, Line
from sebastian_core.domain.history import HistoryRow
from sebastian_core.domain.ids import AgentId, ChatId, ReservationId
from sebastian_core.domain.matcher import AgentPool, Availability
from sebastian_core.domain.room import SYSTEM
from sebastian_core.ports.journal import Minute

AGENTS_SHOWN = 200
PLACES_SHOWN = 24
DECISIONS_SHOWN = 30


def build_view(look: FloorData, rules: FloorRules) -> FloorView:
    """What the page shows of this look."""
    floor = rules.floor(look.roster, look.agent_loads) if look.roster else None
    agents = _agents(look, floor, rules)
    numbers = _numbers(look, agents)
    line = tuple(_line(look, floor, rules))
    decisions = _Decisions(look)
    found = check_floor(look, rules, takes_writes=look.takes_writes)
    return FloorView(
        at=look.now,
        numbers=numbers,
        banners=tuple(worst_first([*look.store_checks, *found])),
        line=line,
        more_waiting=max(0, look.summary.waiting - len(line)),
        agents=agents[:AGENTS_SHOWN],
        more_agents=max(0, len(agents) - AGENTS_SHOWN),
        decisions=tuple(decisions.views())[:DECISIONS_SHOWN],
        minutes=tuple(map(_minute, look.minutes)),
        last=decisions.last(),
        presence_at=look.roster.read_at if look.roster else None,
        default_capacity=rules.capacities.default_in(look.agent_loads),
    )


def _agents(look: FloorData, floor: AgentPool | None, rules: FloorRules) -> tuple[AgentView, ...]:
    """Agents of the roster, and those who hold chats without being in it."""
    held: dict[AgentId, list[SlotView]] = defaultdict(list)
    for chat in look.held:
        if chat.agent_id is not None and len(held[chat.agent_id]) < PLACES_SHOWN:
            held[chat.agent_id].append(_place(chat))
    known, loads = look.roster.agents if look.roster else {}, _loads(look)
    views = [
        _agent(agent_id, loads.get(agent_id, 0), held.get(agent_id, []), look, floor, rules)
        for agent_id in {*known, *loads}
    ]
    return tuple(sorted(views, key=lambda each: (not each.online, each.name.lower(), each.id)))


def _agent(
    agent_id: AgentId,
    load: int,
    places: Iterable[SlotView],
    look: FloorData,
    floor: AgentPool | None,
    rules: FloorRules,
) -> AgentView:
    presence = look.roster.agents.get(agent_id) if look.roster else None
    setting = look.agent_loads.settings.get(agent_id, AgentSetting())
    standing = floor.agents[agent_id].standing if floor and presence else Availability.OFFLINE
    return AgentView(
        id=agent_id,
        name=(presence.name if presence else "") or f"agent {agent_id}",
        standing=standing,
        online=bool(presence and presence.online),
        paused=setting.paused,
        load=load,
        capacity=rules.capacities.of(agent_id, setting, look.agent_loads),
        places=tuple(sorted(places, key=lambda place: place.since)),
    )


def _loads(look: FloorData) -> Mapping[AgentId, int]:
    """By the chats shown, which were read a moment after the loads; unless not all are shown."""
    if len(look.held) >= HELD_SHOWN:
        return look.agent_loads.loads
    return Counter(chat.agent_id for chat in look.held if chat.agent_id is not None)


def _place(chat: Chat) -> SlotView:
    return SlotView(
        room=chat.room_id,
        since=chat.assigned_at or chat.changed_at,
        state=chat.state,
        adopted=chat.adopted,
        doubt=chat.doubt,
    )


def _numbers(look: FloorData, agents: Iterable[AgentView]) -> Numbers:
    shown = list(agents)
    serving = [agent for agent in shown if agent.online and not agent.paused]
    summary, alive = look.summary, look.workers
    return Numbers(
        waiting=summary.waiting,
        ready=summary.ready,
        stuck=summary.stuck,
        left_aside=summary.left_aside,
        oldest_at=summary.oldest_arrived_at,
        free=sum(max(0, agent.capacity - agent.load) for agent in serving),
        taken=sum(agent.load for agent in serving),
        online=sum(agent.online for agent in shown),
        agents=len(shown),
        reserved=summary.reserved,
        assigned=summary.assigned,
        workers=len(alive),
        policies_suspended=sum(worker.policy_is_suspended for worker in alive),
        repaired=sum(worker.repaired for worker in alive),
        agent_store_is_up=look.agent_store_is_up,
        standings=Counter(agent.standing for agent in shown),
    )


def _line(look: FloorData, floor: AgentPool | None, rules: FloorRules) -> Iterator[WaitingView]:
    """The line from its head, and of each chat why it is not given yet."""
    blocked = what_blocks(look.workers) if look.takes_writes else BlockedBy.NO_WRITES
    read_at = look.roster.read_at if look.roster else None
    line = Line(look.now, floor, read_at, blocked)
    for place, chat in enumerate(look.line, 1):
        waiting = line.next(chat, place)
        yield WaitingView(
            place=place,
            room=chat.room_id,
            since=chat.arrived_at,
            waits=_waits(waiting.hold),
            why=why_not_yet(chat, waiting),
            until=waiting.until,
            refusals=chat.refusals,
            stuck=chat.refusals >= rules.alert_refusals,
        )


def _waits(hold: BlockedBy) -> Waits:
    if hold in HOLDS_ALL:
        return Waits.HALT
    return _WAITS.get(hold, Waits.NOBODY)


_WAITS = {
    BlockedBy.DOUBT: Waits.DOUBT,
    BlockedBy.NEXT_TRY: Waits.LATER,
    BlockedBy.DISPATCH: Waits.NEXT,
}


class _Decisions:
    """The newest history rows as sentences, a reservation and its end as one."""

    def __init__(self, look: FloorData) -> None:
        agents = look.roster.agents.values() if look.roster else ()
        names = {each.agent_id: each.name for each in agents if each.name}
        self._rows = look.rows
        self._teller = Phrases(look.now, names=names)
        self._reserved = _reservations(look.rows)
        self._arrived = _arrivals(look)

    def views(self) -> Iterator[DecisionView]:
        """Newest first; a reservation is shown on its own only while its call is under way."""
        ended: set[ReservationId | None] = {None}
        for row in self._rows:
            if row.move is Transition.RESERVE and row.reservation_id in ended:
                continue
            ended.add(row.reservation_id or row.details.get("reservation"))
            yield self._view(row)

    def last(self) -> LastAssignment | None:
        """The newest assignment that is known."""
        row = next((row for row in self._rows if row.move is Transition.CONFIRM), None)
        if row is None:
            return None
        waited = self._waited(row)
        return LastAssignment(
            agent=self._name(row.agent_id),
            at=row.at,
            waited_seconds=waited.total_seconds() if waited is not None else None,
        )

    def _view(self, row: HistoryRow) -> DecisionView:
        return DecisionView(
            key=f"{row.chat_id}.{row.version}",
            at=row.at,
            move=row.move,
            room=row.room_id,
            text=self._sentence(row),
            why=self._why(row),
            by_hand=row.actor not in (SYSTEM, ""),
        )

    def _sentence(self, row: HistoryRow) -> str:
        if row.move is Transition.CONFIRM:
            waited = self._waited(row)
            after = "" if waited is None else f" after {_seconds(waited)}"
            return f"to {self._name(row.agent_id)}{after}"
        if row.move is Transition.RESERVE:
            return f"is being given to {self._name(row.agent_id)}"
        return self._teller.row(row)

    def _why(self, row: HistoryRow) -> str:
        if row.move not in (Transition.CONFIRM, Transition.RESERVE):
            return ""
        reserved = self._reserved.get(row.reservation_id)
        if reserved is None:
            return ""
        if reserved.actor != SYSTEM:
            return f"{reserved.actor} chose so"
        return "; ".join(filter(None, (_held(reserved), *_rivals(reserved))))

    def _waited(self, row: HistoryRow) -> timedelta | None:
        arrived_at = self._arrived.get(row.chat_id)
        return None if arrived_at is None else row.at - arrived_at

    def _name(self, agent_id: AgentId | None) -> str:
        name = self._teller.names.get(agent_id) if agent_id is not None else None
        return name or f"agent {agent_id}"


def _reservations(rows: Iterable[HistoryRow]) -> dict[ReservationId | None, HistoryRow]:
    return {row.reservation_id: row for row in rows if row.move is Transition.RESERVE}


def _arrivals(look: FloorData) -> dict[ChatId, datetime]:
    """When chats came, as far as what was read tells it."""
    admitted = {row.chat_id: row.at for row in look.rows if row.move is Transition.ADMIT}
    return admitted | {chat.id: chat.arrived_at for chat in look.held}


def _held(row: HistoryRow) -> str:
    load, capacity = row.details.get("load"), row.details.get("capacity")
    return "" if load is None else f"had {load} of {capacity}"


def _rivals(row: HistoryRow) -> Iterator[str]:
    """How many else could have had the chat, and why the others could not."""
    standings: Mapping[str, int] = row.details.get("standings", {})
    free = standings.get(Availability.FREE, 0)
    if free:
        yield "the only one free" if free == 1 else f"one of {free} free"
    yield ", ".join(f"{n} {name}" for name, n in standings.items() if name != Availability.FREE)


def _seconds(wait: timedelta) -> str:
    seconds = wait.total_seconds()
    if seconds < 0.1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _minute(minute: Minute) -> MinuteView:
    return MinuteView(
        at=minute.began_at,
        arrived=minute.arrived,
        assigned=minute.assigned,
        mean_seconds=round(minute.mean_wait.total_seconds(), 3),
        longest_seconds=round(minute.longest_wait.total_seconds(), 3),
    )
