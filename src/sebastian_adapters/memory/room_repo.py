"""The room repo in memory: for tests, for `sebastian dev --memory` and for users of the library.

Durable it is not; in everything else it keeps the port's word, concurrency included.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TypeVar

from attrs import evolve

from sebastian_adapters.memory.record import Record, place_of
from sebastian_core.domain.agent_loads import CountBounds
from sebastian_core.domain.chat import UNSAVED, Chat, ChatState, Needs, Transition
from sebastian_core.domain.ids import AgentId, ChatId, ReservationId, RoomId
from sebastian_core.domain.matcher import AgentPool, Matcher
from sebastian_core.domain.moments import Horizon
from sebastian_core.domain.policy import Placement, ReadyChat
from sebastian_core.domain.reservation import Reservation, reserve
from sebastian_core.domain.room import Change, Decided, Decision, Room
from sebastian_core.ports.room_repo import FloorDecision, RoomRepo

T = TypeVar("T")


class InMemoryRoomRepo(RoomRepo):
    """Keeps rooms in a record. Every method yields to the event loop, then acts in one go.

    Nothing is awaited while state is read and written, so each method is atomic among the tasks of
    one event loop.
    """

    def __init__(self, record: Record) -> None:
        self._record = record

    async def decide(
        self, room_id: RoomId, decision: Decision[T], *, alters_line: bool = False
    ) -> Decided[T]:
        """See RoomRepo.decide."""
        await asyncio.sleep(0)
        now = self._record.clock.now()
        decided = decision(self._record.rooms.get(room_id, Room(room_id=room_id)), now)
        changes = tuple(self._identified(change) for change in decided.changes)
        if decided.room is not None:
            self._record.rooms[room_id] = decided.room
        for change in changes:
            self._record.write(change, now)
        for watch in decided.watches:
            self._record.watches[watch.agent_id] = watch.list_at
        return evolve(decided, changes=changes)

    async def reserve(self, plan: Matcher, *, limit: int) -> tuple[Reservation, ...]:
        """See RoomRepo.reserve."""
        await asyncio.sleep(0)
        now = self._record.clock.now()
        floor = plan.look(self._record.agent_loads(now))
        heads = self._heads(floor, limit, now)
        choice = floor.place([ReadyChat.of(chat) for chat in heads])
        given = choice.placements[:limit]
        return tuple(self._reserve(each, floor, choice.policy, now) for each in given)

    async def due(self, limit: int) -> Sequence[Chat]:
        """See RoomRepo.due."""
        await asyncio.sleep(0)
        now = self._record.clock.now()
        due = [
            (chat.settle_at, chat.id) for chat in self._record.live.values() if _is_due(chat, now)
        ]
        return [self._record.chats[chat_id] for _, chat_id in sorted(due)[:limit]]

    async def rooms(self, room_ids: Iterable[RoomId]) -> Mapping[RoomId, Room]:
        """See RoomRepo.rooms."""
        await asyncio.sleep(0)
        return {each: self._record.rooms[each] for each in room_ids if each in self._record.rooms}

    async def held_by(self, agent_id: AgentId) -> Sequence[Chat]:
        """See RoomRepo.held_by."""
        await asyncio.sleep(0)
        return [
            chat
            for chat in self._record.live.values()
            if chat.holds_slot and chat.agent_id == agent_id
        ]

    async def waiting(
        self, limit: int, *, after: tuple[datetime, ChatId] | None = None
    ) -> Sequence[Chat]:
        """See RoomRepo.waiting."""
        await asyncio.sleep(0)
        line = (chat for chat in self._record.line() if after is None or place_of(chat) > after)
        return [chat for chat, _ in zip(line, range(limit), strict=False)]

    async def count_bounds(self, at: datetime, settle: timedelta) -> Mapping[AgentId, CountBounds]:
        """See RoomRepo.count_bounds."""
        await asyncio.sleep(0)
        low: Counter[AgentId] = Counter()
        high: Counter[AgentId] = Counter()
        for chat in self._record.chats.values():
            if chat.agent_id is None or not _may_be_counted(chat, at - settle):
                continue
            high[chat.agent_id] += 1
            low[chat.agent_id] += _must_be_counted(chat, at - settle)
        return {agent_id: CountBounds(low[agent_id], high[agent_id]) for agent_id in high}

    async def take_rechecks(self, limit: int) -> Sequence[AgentId]:
        """See RoomRepo.take_rechecks."""
        await asyncio.sleep(0)
        now = self._record.clock.now()
        due = [agent_id for agent_id, list_at in self._record.watches.items() if list_at <= now][
            :limit
        ]
        for agent_id in due:
            del self._record.watches[agent_id]
        return due

    async def decide_on_floor(self, room_id: RoomId, decision: FloorDecision[T]) -> Decided[T]:
        """See RoomRepo.decide_on_floor."""

        def on_floor(room: Room, now: datetime) -> Decided[T]:
            reservation_id = ReservationId(next(self._record.reservation_ids))
            return decision(room, self._record.agent_loads(now), reservation_id)

        decided = await self.decide(room_id, on_floor, alters_line=True)
        for change in decided.changes:
            if change.move is Transition.RESERVE and change.chat.agent_id is not None:
                self._record.mark_given(change.chat.agent_id, change.chat.changed_at)
        return decided

    async def hasten(self, since: datetime) -> int:
        """See RoomRepo.hasten."""
        await asyncio.sleep(0)
        now = self._record.clock.now()
        delayed = [chat for chat in self._record.live.values() if _was_delayed(chat, since, now)]
        for chat in delayed:
            self._hasten(chat, now)
        return len(delayed)

    async def lift_exclusions(self) -> int:
        """See RoomRepo.lift_exclusions."""
        await asyncio.sleep(0)
        now = self._record.clock.now()
        over = [chat for chat in self._record.live.values() if _exclusion_is_over(chat, now)]
        for chat in over:
            needs = Needs(chat.needs.channel_id)
            self._record.keep(evolve(chat, needs=needs, excluded_until=None))
        return len(over)

    async def bring_back(self, horizon: Horizon) -> int:
        """See RoomRepo.bring_back."""
        await asyncio.sleep(0)
        now = self._record.clock.now()
        chats = [horizon.brought_back(chat, now) for chat in self._record.chats.values()]
        rooms = [horizon.room_brought_back(room, now) for room in self._record.rooms.values()]
        changed = [chat for chat in chats if chat is not self._record.chats[chat.id]]
        renewed = [room for room in rooms if room is not self._record.rooms[room.room_id]]
        self._record.rooms |= {room.room_id: room for room in renewed}
        for chat in changed:
            self._record.keep(chat)
        for agent_id, list_at in self._record.watches.items():
            self._record.watches[agent_id] = now if list_at > now + horizon.passed else list_at
        return len(changed) + len(renewed)

    def _identified(self, change: Change) -> Change:
        if change.chat.id != UNSAVED:
            return change
        return evolve(change, chat=evolve(change.chat, id=ChatId(next(self._record.chat_ids))))

    def _heads(self, floor: AgentPool, limit: int, now: datetime) -> list[Chat]:
        ready = [chat for chat in self._record.line() if chat.is_ready(now)]
        wanted = set(floor.open_needs(dict.fromkeys(chat.needs for chat in ready)))
        taken: Counter[Needs] = Counter()
        heads = []
        for chat in ready:
            if chat.needs in wanted and taken[chat.needs] < limit:
                taken[chat.needs] += 1
                heads.append(chat)
        return heads

    def _reserve(
        self, placement: Placement, floor: AgentPool, policy: str, now: datetime
    ) -> Reservation:
        chat = self._record.chats[placement.chat_id]
        candidate = floor.candidates[placement.agent_id]
        change = reserve(
            chat,
            placement.agent_id,
            ReservationId(next(self._record.reservation_ids)),
            floor.plan.rules,
            now,
            reason=policy,
            details=floor.explain(chat.needs)
            | {"load": candidate.load, "capacity": candidate.capacity},
        )
        self._record.write(change, now)
        self._record.mark_given(placement.agent_id, now)
        return Reservation.of(change.chat)

    def _hasten(self, chat: Chat, now: datetime) -> None:
        change = Change(
            move=Transition.EXPEDITED,
            before=chat.state,
            chat=chat.after(Transition.EXPEDITED, now, ready_at=now, conclusive_from=None),
            reason="the outage is over",
        )
        self._record.write(change, now)


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
