"""The room repo in memory: for tests, for `sebastian dev --memory` and for users of the library.

Durable it is not; in everything else it keeps the port's word, concurrency included.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from datetime import datetime, timedelta
from itertools import count, groupby, takewhile
from typing import Any, TypeVar

from attrs import evolve

from sebastian_core.domain.agent import AgentSetting, Holding, Staffing
from sebastian_core.domain.chat import UNSAVED, Chat, ChatState, Move, Needs
from sebastian_core.domain.ids import AgentId, ChatId, ReservationId, RoomId
from sebastian_core.domain.moments import Horizon
from sebastian_core.domain.plan import Floor, Plan
from sebastian_core.domain.policy import Placement, ReadyChat
from sebastian_core.domain.reservation import Reservation, reserve
from sebastian_core.domain.room import Change, Decided, Decision, Room
from sebastian_core.ports.clock import Clock
from sebastian_core.ports.room_repo import (
    BARE_ROOMS_KEPT,
    REPORTS_AHEAD,
    REPORTS_KEPT,
    AgentChange,
    FloorDecision,
    HistoryRow,
    Minute,
    Report,
    RoomRepo,
    Steering,
    Summary,
)

T = TypeVar("T")


class InMemoryRoomRepo(RoomRepo):
    """Keeps rooms in dictionaries. Every method yields to the event loop, then acts in one go.

    Nothing is awaited while state is read and written, so each method is atomic among the tasks of
    one event loop.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._rooms: dict[RoomId, Room] = {}
        self._chats: dict[ChatId, Chat] = {}
        self._live: dict[ChatId, Chat] = {}
        self._history: list[HistoryRow] = []
        self._settings: dict[AgentId, AgentSetting] = {}
        self._default_capacity: int | None = None
        self._steerings: list[Steering] = []
        self._watches: dict[AgentId, datetime] = {}
        self._lease: tuple[str, datetime] | None = None
        self._reports: dict[str, Report] = {}
        self._chat_ids = count(1)
        self._reservation_ids = count(1)

    async def decide(
        self, room_id: RoomId, decision: Decision[T], *, alters_line: bool = False
    ) -> Decided[T]:
        """See RoomRepo.decide."""
        await asyncio.sleep(0)
        now = self._clock.now()
        decided = decision(self._rooms.get(room_id, Room(room_id=room_id)), now)
        changes = tuple(self._identified(change) for change in decided.changes)
        if decided.room is not None:
            self._rooms[room_id] = decided.room
        for change in changes:
            self._write(change, now)
        for watch in decided.watches:
            self._watches[watch.agent_id] = watch.list_at
        return evolve(decided, changes=changes)

    async def reserve(self, plan: Plan, *, limit: int) -> tuple[Reservation, ...]:
        """See RoomRepo.reserve."""
        await asyncio.sleep(0)
        now = self._clock.now()
        floor = plan.look(self._staffing(now))
        heads = self._heads(floor, limit, now)
        choice = floor.place([ReadyChat.of(chat) for chat in heads])
        given = choice.placements[:limit]
        return tuple(self._reserve(each, floor, choice.policy, now) for each in given)

    async def due(self, limit: int) -> Sequence[Chat]:
        """See RoomRepo.due."""
        await asyncio.sleep(0)
        now = self._clock.now()
        due = [(chat.settle_at, chat.id) for chat in self._live.values() if _is_due(chat, now)]
        return [self._chats[chat_id] for _, chat_id in sorted(due)[:limit]]

    async def rooms(self, room_ids: Iterable[RoomId]) -> Mapping[RoomId, Room]:
        """See RoomRepo.rooms."""
        await asyncio.sleep(0)
        return {each: self._rooms[each] for each in room_ids if each in self._rooms}

    async def held_by(self, agent_id: AgentId) -> Sequence[Chat]:
        """See RoomRepo.held_by."""
        await asyncio.sleep(0)
        return [
            chat for chat in self._live.values() if chat.holds_slot and chat.agent_id == agent_id
        ]

    async def waiting(
        self, limit: int, *, after: tuple[datetime, ChatId] | None = None
    ) -> Sequence[Chat]:
        """See RoomRepo.waiting."""
        await asyncio.sleep(0)
        line = (chat for chat in self._line() if after is None or _place(chat) > after)
        return [chat for chat, _ in zip(line, range(limit), strict=False)]

    async def staffing(self) -> Staffing:
        """See RoomRepo.staffing."""
        await asyncio.sleep(0)
        return self._staffing(self._clock.now())

    async def holdings(self, at: datetime, settle: timedelta) -> Mapping[AgentId, Holding]:
        """See RoomRepo.holdings."""
        await asyncio.sleep(0)
        low: Counter[AgentId] = Counter()
        high: Counter[AgentId] = Counter()
        for chat in self._chats.values():
            if chat.agent_id is None or not _may_be_counted(chat, at - settle):
                continue
            high[chat.agent_id] += 1
            low[chat.agent_id] += _must_be_counted(chat, at - settle)
        return {agent_id: Holding(low[agent_id], high[agent_id]) for agent_id in high}

    async def watched(self, limit: int) -> Sequence[AgentId]:
        """See RoomRepo.watched."""
        await asyncio.sleep(0)
        now = self._clock.now()
        due = [agent_id for agent_id, list_at in self._watches.items() if list_at <= now][:limit]
        for agent_id in due:
            del self._watches[agent_id]
        return due

    async def decide_on_floor(self, room_id: RoomId, decision: FloorDecision[T]) -> Decided[T]:
        """See RoomRepo.decide_on_floor."""

        def on_floor(room: Room, now: datetime) -> Decided[T]:
            reservation_id = ReservationId(next(self._reservation_ids))
            return decision(room, self._staffing(now), reservation_id)

        decided = await self.decide(room_id, on_floor, alters_line=True)
        for change in decided.changes:
            if change.move is Move.RESERVE and change.chat.agent_id is not None:
                self._mark_given(change.chat.agent_id, change.chat.changed_at)
        return decided

    async def ahead_of(self, chat: Chat) -> int:
        """See RoomRepo.ahead_of."""
        await asyncio.sleep(0)
        return sum(_place(each) < _place(chat) for each in self._line())

    async def set_agent(
        self, agent_id: AgentId, change: AgentChange, *, actor: str
    ) -> AgentSetting:
        """See RoomRepo.set_agent."""
        await asyncio.sleep(0)
        known = self._settings.get(agent_id, AgentSetting())
        setting = evolve(change(known), last_given_at=known.last_given_at)
        self._settings[agent_id] = setting
        self._tell_steering(actor, setting.changed_in(known), agent_id)
        return setting

    async def set_default_capacity(self, capacity: int | None, *, actor: str) -> None:
        """See RoomRepo.set_default_capacity."""
        await asyncio.sleep(0)
        if capacity != self._default_capacity:
            self._default_capacity = capacity
            self._tell_steering(actor, {"default_capacity": capacity})

    async def steerings(self, limit: int) -> Sequence[Steering]:
        """See RoomRepo.steerings."""
        await asyncio.sleep(0)
        return self._steerings[: -limit - 1 : -1]

    async def hasten(self, since: datetime) -> int:
        """See RoomRepo.hasten."""
        await asyncio.sleep(0)
        now = self._clock.now()
        delayed = [chat for chat in self._live.values() if _was_delayed(chat, since, now)]
        for chat in delayed:
            self._hasten(chat, now)
        return len(delayed)

    async def lift_exclusions(self) -> int:
        """See RoomRepo.lift_exclusions."""
        await asyncio.sleep(0)
        now = self._clock.now()
        over = [chat for chat in self._live.values() if _exclusion_is_over(chat, now)]
        for chat in over:
            needs = Needs(chat.needs.channel_id)
            self._keep(evolve(chat, needs=needs, excluded_until=None))
        return len(over)

    async def bring_back(self, horizon: Horizon) -> int:
        """See RoomRepo.bring_back."""
        await asyncio.sleep(0)
        now = self._clock.now()
        chats = [horizon.brought_back(chat, now) for chat in self._chats.values()]
        rooms = [horizon.room_brought_back(room, now) for room in self._rooms.values()]
        changed = [chat for chat in chats if chat is not self._chats[chat.id]]
        renewed = [room for room in rooms if room is not self._rooms[room.room_id]]
        self._rooms |= {room.room_id: room for room in renewed}
        for chat in changed:
            self._keep(chat)
        for agent_id, list_at in self._watches.items():
            self._watches[agent_id] = now if list_at > now + horizon.passed else list_at
        return len(changed) + len(renewed)

    async def hold_duty(self, holder: str, lease: timedelta) -> bool:
        """See RoomRepo.hold_duty."""
        await asyncio.sleep(0)
        now = self._clock.now()
        if (
            self._lease
            and self._lease[0] != holder
            and self._lease[1] > now
            and self._lease[1] <= now + 2 * lease
        ):
            return False
        self._lease = (holder, now + lease)
        return True

    async def history(self, room_id: RoomId, *, limit: int = 200) -> Sequence[HistoryRow]:
        """See RoomRepo.history."""
        await asyncio.sleep(0)
        rows = (row for row in reversed(self._history) if row.room_id == room_id)
        return [row for row, _ in zip(rows, range(limit), strict=False)]

    async def decisions(self, limit: int) -> Sequence[HistoryRow]:
        """See RoomRepo.decisions."""
        await asyncio.sleep(0)
        return self._history[: -limit - 1 : -1]

    async def summary(self, alert_refusals: int) -> Summary:
        """See RoomRepo.summary."""
        await asyncio.sleep(0)
        now = self._clock.now()
        line = list(self._line())
        states = Counter(chat.state for chat in self._live.values())
        return Summary(
            at=now,
            waiting=len(line),
            ready=sum(chat.is_ready(now) for chat in line),
            doubtful=sum(chat.is_doubtful for chat in line),
            stuck=sum(chat.refusals >= alert_refusals for chat in line),
            reserved=states[ChatState.RESERVED],
            assigned=states[ChatState.ASSIGNED],
            oldest_arrived_at=line[0].arrived_at if line else None,
        )

    async def prune(self, keep: timedelta, *, batch: int = 1000) -> int:
        """See RoomRepo.prune."""
        await asyncio.sleep(0)
        now = self._clock.now()
        before, bare_before = now - keep, now - min(keep, BARE_ROOMS_KEPT)
        old = [
            chat.id for chat in self._chats.values() if chat.closed_at and chat.closed_at < before
        ]
        for chat_id in old[:batch]:
            del self._chats[chat_id]
        self._history = [row for row in self._history if row.chat_id in self._chats]
        with_chats = {chat.room_id for chat in self._chats.values()}
        forgotten = [
            room.room_id
            for room in self._rooms.values()
            if room.room_id not in with_chats and room.closed_at and room.closed_at < bare_before
        ]
        for room_id in forgotten[:batch]:
            del self._rooms[room_id]
        return len(old[:batch]) + len(forgotten[:batch])

    async def held(self, limit: int) -> Sequence[Chat]:
        """See RoomRepo.held."""
        await asyncio.sleep(0)
        held = [chat for chat in self._live.values() if chat.holds_slot]
        return sorted(held, key=lambda chat: (chat.agent_id or 0, chat.id))[:limit]

    async def flow(self, since: datetime) -> Sequence[Minute]:
        """See RoomRepo.flow."""
        await asyncio.sleep(0)
        recent = takewhile(lambda row: row.at >= _minute_of(since), reversed(self._history))
        told = [row for row in recent if row.move in (Move.ADMIT, Move.CONFIRM)]
        by_minute = groupby(reversed(told), key=lambda row: _minute_of(row.at))
        return [self._minute(began_at, list(rows)) for began_at, rows in by_minute]

    async def report(self, name: str, state: Mapping[str, Any]) -> None:
        """See RoomRepo.report."""
        await asyncio.sleep(0)
        self._reports[name] = Report(name=name, at=self._clock.now(), state=deepcopy(dict(state)))

    async def reports(self) -> Sequence[Report]:
        """See RoomRepo.reports."""
        await asyncio.sleep(0)
        now = self._clock.now()
        oldest, newest = now - REPORTS_KEPT, now + REPORTS_AHEAD
        return [each for _, each in sorted(self._reports.items()) if oldest <= each.at <= newest]

    def _minute(self, began_at: datetime, rows: Sequence[HistoryRow]) -> Minute:
        waits = [
            row.at - self._chats[row.chat_id].arrived_at
            for row in rows
            if row.move is Move.CONFIRM and row.chat_id in self._chats
        ]
        return Minute(
            began_at=began_at,
            arrived=sum(row.move is Move.ADMIT for row in rows),
            assigned=len(waits),
            mean_wait=sum(waits, timedelta()) / (len(waits) or 1),
            longest_wait=max(waits, default=timedelta()),
        )

    def _identified(self, change: Change) -> Change:
        if change.chat.id != UNSAVED:
            return change
        return evolve(change, chat=evolve(change.chat, id=ChatId(next(self._chat_ids))))

    def _write(self, change: Change, now: datetime) -> None:
        self._keep(change.chat)
        if not change.silent:
            self._history.append(_row(change, now))

    def _keep(self, chat: Chat) -> None:
        self._chats[chat.id] = chat
        if chat.is_live:
            self._live[chat.id] = chat
        else:
            self._live.pop(chat.id, None)
        room = self._rooms.get(chat.room_id, Room(room_id=chat.room_id))
        if chat.is_live:
            self._rooms[chat.room_id] = evolve(room, chat=chat)

    def _staffing(self, now: datetime) -> Staffing:
        loads = Counter(
            chat.agent_id
            for chat in self._live.values()
            if chat.holds_slot and chat.agent_id is not None
        )
        return Staffing(now, dict(loads), dict(self._settings), self._default_capacity)

    def _line(self) -> Iterator[Chat]:
        waiting = (chat for chat in self._live.values() if chat.state is ChatState.WAITING)
        return iter(sorted(waiting, key=_place))

    def _heads(self, floor: Floor, limit: int, now: datetime) -> list[Chat]:
        ready = [chat for chat in self._line() if chat.is_ready(now)]
        wanted = set(floor.open_needs(dict.fromkeys(chat.needs for chat in ready)))
        taken: Counter[Needs] = Counter()
        heads = []
        for chat in ready:
            if chat.needs in wanted and taken[chat.needs] < limit:
                taken[chat.needs] += 1
                heads.append(chat)
        return heads

    def _reserve(
        self, placement: Placement, floor: Floor, policy: str, now: datetime
    ) -> Reservation:
        chat = self._chats[placement.chat_id]
        candidate = floor.candidates[placement.agent_id]
        change = reserve(
            chat,
            placement.agent_id,
            ReservationId(next(self._reservation_ids)),
            floor.plan.rules,
            now,
            reason=policy,
            details=floor.explain(chat.needs)
            | {"load": candidate.load, "capacity": candidate.capacity},
        )
        self._write(change, now)
        self._mark_given(placement.agent_id, now)
        return Reservation.of(change.chat)

    def _mark_given(self, agent_id: AgentId, now: datetime) -> None:
        setting = self._settings.get(agent_id, AgentSetting())
        self._settings[agent_id] = evolve(setting, last_given_at=now)

    def _tell_steering(
        self, actor: str, change: Mapping[str, Any], agent_id: AgentId | None = None
    ) -> None:
        if change:
            now = self._clock.now()
            self._steerings.append(
                Steering(at=now, actor=actor, agent_id=agent_id, change=dict(change))
            )

    def _hasten(self, chat: Chat, now: datetime) -> None:
        change = Change(
            move=Move.HASTEN,
            before=chat.state,
            chat=chat.after(Move.HASTEN, now, ready_at=now, conclusive_from=None),
            reason="the outage is over",
        )
        self._write(change, now)


def _minute_of(at: datetime) -> datetime:
    return at.replace(second=0, microsecond=0)


def _place(chat: Chat) -> tuple[datetime, ChatId]:
    return chat.arrived_at, chat.id


def _is_due(chat: Chat, now: datetime) -> bool:
    return chat.settle_at is not None and chat.settle_at <= now


def _may_be_counted(chat: Chat, lagging: datetime) -> bool:
    return chat.holds_slot or (chat.closed_at is not None and chat.closed_at > lagging)


def _must_be_counted(chat: Chat, lagging: datetime) -> bool:
    return (
        chat.state is ChatState.ASSIGNED
        and chat.assigned_at is not None
        and chat.assigned_at <= lagging
    )


def _was_delayed(chat: Chat, since: datetime, now: datetime) -> bool:
    waits = chat.state is ChatState.WAITING and chat.ready_at > now
    return waits and chat.changed_at >= since


def _exclusion_is_over(chat: Chat, now: datetime) -> bool:
    return chat.excluded_until is not None and chat.excluded_until <= now


def _row(change: Change, now: datetime) -> HistoryRow:
    chat = change.chat
    return HistoryRow(
        chat_id=chat.id,
        room_id=chat.room_id,
        version=chat.version,
        at=now,
        move=change.move,
        before=change.before,
        after=chat.state,
        agent_id=chat.agent_id,
        reservation_id=chat.reservation_id,
        reason=change.reason,
        actor=change.actor,
        details=dict(change.details),
    )
