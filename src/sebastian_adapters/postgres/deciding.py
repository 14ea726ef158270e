"""Decisions about rooms, many in one transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, TypeAlias, TypeVar

from attrs import define, evolve, field
from psycopg.errors import SerializationFailure

from sebastian_adapters.postgres.arrays import array
from sebastian_adapters.postgres.changeset import Changeset
from sebastian_adapters.postgres.group_commit import PendingDecision
from sebastian_adapters.postgres.loads import loads_from, loads_statement
from sebastian_adapters.postgres.pipeline import NamedQuery
from sebastian_adapters.postgres.pool import Pool, Transaction
from sebastian_adapters.postgres.rows import remembered, rooms_from
from sebastian_core.domain.chat import UNSAVED
from sebastian_core.domain.errors import InvalidInput, UnknownWord
from sebastian_core.domain.ids import ChatId, RoomId
from sebastian_core.domain.room import Decided, Decision, Room
from sebastian_core.ports.room_repo import FloorDecision

T = TypeVar("T")
Outcome: TypeAlias = Decided[Any] | Exception
Rooms: TypeAlias = Mapping[RoomId, Room | UnknownWord]


@define
class Groups:
    """Decides for groups of calls, each in a transaction of its own.

    Groups that are under way at once lock their rooms and read the clock one after the other, each
    when it has the turn: so whoever came first stands first. (One that gave way to somebody else,
    or lost its connection, takes its turn anew.)
    """

    _pool: Pool
    _alters_line: bool = False
    _turn: asyncio.Lock = field(factory=asyncio.Lock, init=False)

    async def carry_out(self, calls: Sequence[PendingDecision]) -> None:
        """Decide for all calls in one transaction and answer them; singly where one spoils it."""

        async def work(transaction: Transaction) -> list[Outcome]:
            return await self._decide(transaction, calls)

        try:
            outcomes = await self._pool.run(work)
        except InvalidInput as error:
            await self._carry_out_singly(calls, error)
        else:
            for call, outcome in zip(calls, outcomes, strict=True):
                call.settle(outcome)

    async def _carry_out_singly(
        self, calls: Sequence[PendingDecision], error: InvalidInput
    ) -> None:
        if len(calls) == 1:
            calls[0].settle(error)
            return
        for call in calls:
            await self.carry_out([call])

    async def _decide(
        self, transaction: Transaction, calls: Sequence[PendingDecision]
    ) -> list[Outcome]:
        room_ids = [call.room_id for call in calls]
        async with self._turn:
            rooms, now = await _lock_rooms(transaction, room_ids, alters_line=self._alters_line)
        outcomes = [_outcome(call, rooms[call.room_id], now) for call in calls]
        writing = _writing(rooms, outcomes)
        if not writing:
            await transaction.rollback()
            return outcomes
        ids = await writing.write(transaction, now)
        return [
            outcome if isinstance(outcome, Exception) else _identified(outcome, ids)
            for outcome in outcomes
        ]


async def rehearse(transaction: Transaction, room_id: RoomId, decision: Decision[Any]) -> None:
    """Do all that a decision takes, and take it back; raises what the decision would raise."""
    rooms, now = await _lock_rooms(transaction, [room_id], alters_line=False)
    writing = _writing(rooms, [decision(_read(rooms[room_id]), now)])
    await transaction.send(*writing.statements(now))
    await transaction.rollback()


async def decide_on_floor(
    transaction: Transaction, room_id: RoomId, decision: FloorDecision[T]
) -> Decided[T]:
    """Decide about one room by what all agents hold, both read under the lock."""
    rooms, _ = await _lock_rooms(transaction, [room_id], alters_line=True)
    ((reservation_id,),), agents = await transaction.send(
        NamedQuery("reservation_id"), loads_statement()
    )
    agent_loads = loads_from(agents)
    decided = decision(_read(rooms[room_id]), agent_loads, reservation_id)
    writing = _writing(rooms, [decided])
    if not writing:
        await transaction.rollback()
        return decided
    ids = await writing.write(transaction, agent_loads.now)
    return _identified(decided, ids)


async def _lock_rooms(
    transaction: Transaction, room_ids: Sequence[RoomId], *, alters_line: bool
) -> tuple[Rooms, datetime]:
    """The rooms as nobody can change them any more, and the moment from which that holds."""
    transaction.keep_plans()
    asked = {"room_ids": array(room_ids)}
    first = [NamedQuery("lock_line")] if alters_line else []
    *_, rooms, locked = await transaction.send(
        *first, NamedQuery("lock_rooms", asked), NamedQuery("lock_live_chats", asked)
    )
    if len(rooms) < len(room_ids):
        raise SerializationFailure("somebody else added or pruned a room while it was being locked")
    now, *_ = locked[-1]
    return rooms_from(rooms, (chat for _, *chat in locked if chat[0] is not None)), now


def _outcome(call: PendingDecision, room: Room | UnknownWord, now: datetime) -> Outcome:
    return room if isinstance(room, UnknownWord) else call.decide(room, now)


def _read(room: Room | UnknownWord) -> Room:
    if isinstance(room, UnknownWord):
        raise room
    return room


def _writing(rooms: Rooms, outcomes: Sequence[Outcome]) -> Changeset:
    decided = [outcome for outcome in outcomes if isinstance(outcome, Decided)]
    return Changeset(
        changes=[change for each in decided for change in each.changes],
        rooms=[each.room for each in decided if each.room and _remembers_more(each.room, rooms)],
        watches=[watch for each in decided for watch in each.watches],
    )


def _remembers_more(room: Room, rooms: Rooms) -> bool:
    return remembered(room) != remembered(rooms[room.room_id])


def _identified(decided: Decided[T], ids: Mapping[RoomId, ChatId]) -> Decided[T]:
    """What was decided, with the id that its new chat got; the last change opens it, if any."""
    if not decided.changes or decided.changes[-1].chat.id != UNSAVED:
        return decided
    *known, opening = decided.changes
    chat = evolve(opening.chat, id=ids[opening.chat.room_id])
    return evolve(decided, changes=(*known, evolve(opening, chat=chat)))
