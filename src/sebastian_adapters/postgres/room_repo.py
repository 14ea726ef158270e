"""The room repo on PostgreSQL: one transaction checks the capacity and takes the slot."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar, cast

from attrs import asdict

from sebastian_adapters.postgres import steering
from sebastian_adapters.postgres.arrays import array
from sebastian_adapters.postgres.deciding import Groups, decide_on_floor, rehearse
from sebastian_adapters.postgres.exchanging import Statement
from sebastian_adapters.postgres.group_commit import Lane
from sebastian_adapters.postgres.pools import Pool, Transaction
from sebastian_adapters.postgres.reserving import Reserving, read_staffing
from sebastian_adapters.postgres.rows import Row, as_json, chat_from, history_from, rooms_from
from sebastian_core.domain.agent import AgentSetting, Holding, Staffing
from sebastian_core.domain.chat import Chat
from sebastian_core.domain.ids import AgentId, ChatId, RoomId
from sebastian_core.domain.moments import Horizon
from sebastian_core.domain.plan import Plan
from sebastian_core.domain.reservation import Reservation
from sebastian_core.domain.room import SYSTEM, Decided, Decision, Room
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
_REMEMBERED_REPORTS = {"keep": REPORTS_KEPT, "ahead": REPORTS_AHEAD}


class PostgresRoomRepo(RoomRepo):
    """Keeps rooms in PostgreSQL. Belongs to the event loop in which it is first used.

    Decisions that are asked for at the same time share transactions. Every method ends within the
    pool's limits: it raises StoreUnavailable when the time is over.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        patience = pool.limits.whole
        self._lane = Lane(Groups(pool).carry_out, groups=2, patience=patience)
        self._altering_lane = Lane(Groups(pool, alters_line=True).carry_out, patience=patience)
        self._reserving = Reserving()

    async def decide(
        self, room_id: RoomId, decision: Decision[T], *, alters_line: bool = False
    ) -> Decided[T]:
        """See RoomRepo.decide."""
        lane = self._altering_lane if alters_line else self._lane
        return cast(Decided[T], await lane.call(room_id, decision))

    async def rehearse(self, room_id: RoomId, decision: Decision[Any]) -> None:
        """Do all that `decide` does for it, and take it back: nothing is changed.

        Raises what `decide` would raise. Beside the groups: it keeps no webhook waiting.
        """

        async def work(transaction: Transaction) -> None:
            await rehearse(transaction, room_id, decision)

        await self._pool.run(work)

    async def reserve(self, plan: Plan, *, limit: int) -> tuple[Reservation, ...]:
        """See RoomRepo.reserve."""

        async def work(transaction: Transaction) -> tuple[Reservation, ...]:
            return await self._reserving.carry_out(transaction, plan, limit)

        return await self._pool.run(work)

    async def due(self, limit: int) -> Sequence[Chat]:
        """See RoomRepo.due."""
        return await self._chats("due", limit=limit)

    async def rooms(self, room_ids: Iterable[RoomId]) -> Mapping[RoomId, Room]:
        """See RoomRepo.rooms."""
        asked = {"room_ids": array(room_ids)}
        rooms, chats = await self._send(Statement("rooms", asked), Statement("live_chats", asked))
        found = rooms_from(rooms, chats)
        return {
            room_id: room
            for room_id, room in found.items()
            if isinstance(room, Room) and _is_known(room)
        }

    async def held_by(self, agent_id: AgentId) -> Sequence[Chat]:
        """See RoomRepo.held_by."""
        return await self._chats("held_by", agent_id=agent_id)

    async def waiting(
        self, limit: int, *, after: tuple[datetime, ChatId] | None = None
    ) -> Sequence[Chat]:
        """See RoomRepo.waiting."""
        after_at, after_id = after or (None, 0)
        return await self._chats("waiting", limit=limit, after_at=after_at, after_id=after_id)

    async def staffing(self) -> Staffing:
        """See RoomRepo.staffing."""
        return await self._pool.run(read_staffing)

    async def holdings(self, at: datetime, settle: timedelta) -> Mapping[AgentId, Holding]:
        """See RoomRepo.holdings."""
        ((agent_ids, low, high),) = await self._rows("holdings", lagging=at - settle)
        return dict(zip(agent_ids, map(Holding, low, high), strict=True))

    async def watched(self, limit: int) -> Sequence[AgentId]:
        """See RoomRepo.watched."""
        return [agent_id for (agent_id,) in await self._rows("take_watches", limit=limit)]

    async def decide_on_floor(self, room_id: RoomId, decision: FloorDecision[T]) -> Decided[T]:
        """See RoomRepo.decide_on_floor."""

        async def work(transaction: Transaction) -> Decided[T]:
            return await decide_on_floor(transaction, room_id, decision)

        return await self._pool.run(work)

    async def ahead_of(self, chat: Chat) -> int:
        """See RoomRepo.ahead_of."""
        ((ahead,),) = await self._rows("ahead_of", arrived_at=chat.arrived_at, id=chat.id)
        return int(ahead)

    async def set_agent(
        self, agent_id: AgentId, change: AgentChange, *, actor: str
    ) -> AgentSetting:
        """See RoomRepo.set_agent."""

        async def work(transaction: Transaction) -> AgentSetting:
            return await steering.set_agent(transaction, agent_id, change, actor)

        return await self._pool.run(work)

    async def set_default_capacity(self, capacity: int | None, *, actor: str) -> None:
        """See RoomRepo.set_default_capacity."""

        async def work(transaction: Transaction) -> None:
            await steering.set_default_capacity(transaction, capacity, actor)

        await self._pool.run(work)

    async def steerings(self, limit: int) -> Sequence[Steering]:
        """See RoomRepo.steerings."""
        return [
            Steering(at=at, actor=actor, agent_id=agent_id, change=change)
            for at, actor, agent_id, change in await self._rows("steerings", limit=limit)
        ]

    async def hasten(self, since: datetime) -> int:
        """See RoomRepo.hasten."""
        asked = {"since": since, "reason": "the outage is over", "actor": SYSTEM}
        return await self._alter("hasten", **asked)

    async def lift_exclusions(self) -> int:
        """See RoomRepo.lift_exclusions."""
        return await self._alter("lift_exclusions")

    async def bring_back(self, horizon: Horizon) -> int:
        """See RoomRepo.bring_back."""
        passed = {"passed": horizon.passed}
        _, chats, rooms, _ = await self._send(
            Statement("lock_line"),
            Statement("bring_chats_back", asdict(horizon)),
            Statement("bring_rooms_back", passed),
            Statement("bring_watches_back", passed),
        )
        return len(chats) + len(rooms)

    async def hold_duty(self, holder: str, lease: timedelta) -> bool:
        """See RoomRepo.hold_duty."""
        return bool(await self._rows("hold_duty", holder=holder, lease=lease))

    async def history(self, room_id: RoomId, *, limit: int = 200) -> Sequence[HistoryRow]:
        """See RoomRepo.history."""
        rows = await self._rows("history", room_id=room_id, limit=limit)
        return history_from(rows)

    async def decisions(self, limit: int) -> Sequence[HistoryRow]:
        """See RoomRepo.decisions."""
        return history_from(await self._rows("decisions", limit=limit))

    async def summary(self, alert_refusals: int) -> Summary:
        """See RoomRepo.summary."""
        (row,) = await self._rows("summary", alert_refusals=alert_refusals)
        return Summary(
            at=row[0],
            waiting=row[1],
            ready=row[2],
            doubtful=row[3],
            stuck=row[4],
            reserved=row[5],
            assigned=row[6],
            left_aside=row[7],
            oldest_arrived_at=row[8],
        )

    async def prune(self, keep: timedelta, *, batch: int = 1000) -> int:
        """See RoomRepo.prune."""
        asked = {"keep": keep, "batch": batch}
        bare = {"keep": min(keep, BARE_ROOMS_KEPT), "batch": batch}
        chats, rooms, *_ = await self._send(
            Statement("prune_chats", asked),
            Statement("prune_rooms", bare),
            Statement("prune_passes", asked),
            Statement("prune_steerings", asked),
        )
        return len(chats) + len(rooms)

    async def held(self, limit: int) -> Sequence[Chat]:
        """See RoomRepo.held."""
        return await self._chats("held", limit=limit)

    async def flow(self, since: datetime) -> Sequence[Minute]:
        """See RoomRepo.flow."""
        return [
            Minute(
                began_at=row[0],
                arrived=row[1],
                assigned=row[2],
                mean_wait=row[3],
                longest_wait=row[4],
            )
            for row in await self._rows("flow", since=since)
        ]

    async def report(self, name: str, state: Mapping[str, Any]) -> None:
        """See RoomRepo.report."""
        word = {"name": name, "state": as_json(state)}
        await self._send(
            Statement("report", word), Statement("forget_reports", _REMEMBERED_REPORTS)
        )

    async def reports(self) -> Sequence[Report]:
        """See RoomRepo.reports."""
        rows = await self._rows("reports", **_REMEMBERED_REPORTS)
        return [Report(name=name, at=at, state=json.loads(state)) for name, at, state in rows]

    async def _chats(self, name: str, **asked: Any) -> list[Chat]:
        return [chat_from(row) for row in await self._rows(name, **asked)]

    async def _rows(self, name: str, **asked: Any) -> list[Row]:
        (rows,) = await self._send(Statement(name, asked))
        return rows

    async def _alter(self, name: str, **asked: Any) -> int:
        """Carry out what changes who may be given what; how many rows it changed."""
        _, changed = await self._send(Statement("lock_line"), Statement(name, asked))
        return len(changed)

    async def _send(self, *statements: Statement) -> list[list[Row]]:
        """The rows of each of the statements, which make one transaction."""
        return await self._pool.run(lambda transaction: transaction.send(*statements, commit=True))


def _is_known(room: Room) -> bool:
    return room.chat is not None or room.closed_at is not None
