"""The room repo on PostgreSQL: one transaction checks the capacity and takes the slot."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar, cast

from attrs import asdict

from sebastian_adapters.postgres.arrays import array
from sebastian_adapters.postgres.deciding import Groups, decide_on_floor, rehearse
from sebastian_adapters.postgres.group_commit import GroupCommit
from sebastian_adapters.postgres.pipeline import NamedQuery
from sebastian_adapters.postgres.pool import Pool, Transaction
from sebastian_adapters.postgres.reserve import ReservePasses
from sebastian_adapters.postgres.rows import chats_from, rooms_from
from sebastian_core.domain.agent_loads import CountBounds
from sebastian_core.domain.chat import Chat
from sebastian_core.domain.ids import AgentId, ChatId, RoomId
from sebastian_core.domain.matcher import Matcher
from sebastian_core.domain.moments import Horizon
from sebastian_core.domain.reservation import Reservation
from sebastian_core.domain.room import SYSTEM, Decided, Decision, Room
from sebastian_core.ports.room_repo import FloorDecision, RoomRepo

T = TypeVar("T")


class PostgresRoomRepo(RoomRepo):
    """Keeps rooms in PostgreSQL. Belongs to the event loop in which it is first used.

    Decisions that are asked for at the same time share transactions. Every method ends within the
    pool's limits: it raises StoreUnavailable when the time is over.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        patience = pool.limits.whole
        self._lane = GroupCommit(Groups(pool).carry_out, groups=2, patience=patience)
        self._altering_lane = GroupCommit(
            Groups(pool, alters_line=True).carry_out, patience=patience
        )
        self._reserving = ReservePasses()

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

    async def reserve(self, plan: Matcher, *, limit: int) -> tuple[Reservation, ...]:
        """See RoomRepo.reserve."""

        async def work(transaction: Transaction) -> tuple[Reservation, ...]:
            return await self._reserving.carry_out(transaction, plan, limit)

        return await self._pool.run(work)

    async def due(self, limit: int) -> Sequence[Chat]:
        """See RoomRepo.due."""
        return chats_from(await self._pool.rows("due", limit=limit))

    async def rooms(self, room_ids: Iterable[RoomId]) -> Mapping[RoomId, Room]:
        """See RoomRepo.rooms."""
        asked = {"room_ids": array(room_ids)}
        rooms, chats = await self._pool.send(
            NamedQuery("rooms", asked), NamedQuery("live_chats", asked)
        )
        found = rooms_from(rooms, chats)
        return {
            room_id: room
            for room_id, room in found.items()
            if isinstance(room, Room) and _is_known(room)
        }

    async def held_by(self, agent_id: AgentId) -> Sequence[Chat]:
        """See RoomRepo.held_by."""
        return chats_from(await self._pool.rows("held_by", agent_id=agent_id))

    async def waiting(
        self, limit: int, *, after: tuple[datetime, ChatId] | None = None
    ) -> Sequence[Chat]:
        """See RoomRepo.waiting."""
        after_at, after_id = after or (None, 0)
        return chats_from(
            await self._pool.rows("waiting", limit=limit, after_at=after_at, after_id=after_id)
        )

    async def count_bounds(self, at: datetime, settle: timedelta) -> Mapping[AgentId, CountBounds]:
        """See RoomRepo.count_bounds."""
        ((agent_ids, low, high),) = await self._pool.rows("holdings", lagging=at - settle)
        return dict(zip(agent_ids, map(CountBounds, low, high), strict=True))

    async def take_rechecks(self, limit: int) -> Sequence[AgentId]:
        """See RoomRepo.take_rechecks."""
        return [agent_id for (agent_id,) in await self._pool.rows("take_watches", limit=limit)]

    async def decide_on_floor(self, room_id: RoomId, decision: FloorDecision[T]) -> Decided[T]:
        """See RoomRepo.decide_on_floor."""

        async def work(transaction: Transaction) -> Decided[T]:
            return await decide_on_floor(transaction, room_id, decision)

        return await self._pool.run(work)

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
        _, chats, rooms, _ = await self._pool.send(
            NamedQuery("lock_line"),
            NamedQuery("bring_chats_back", asdict(horizon)),
            NamedQuery("bring_rooms_back", passed),
            NamedQuery("bring_watches_back", passed),
        )
        return len(chats) + len(rooms)

    async def _alter(self, name: str, **asked: Any) -> int:
        """Carry out what changes who may be given what; how many rows it changed."""
        _, changed = await self._pool.send(NamedQuery("lock_line"), NamedQuery(name, asked))
        return len(changed)


def _is_known(room: Room) -> bool:
    return room.chat is not None or room.closed_at is not None
