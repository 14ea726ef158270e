"""The reserving pass: what it reads under the lock, and what it writes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from attrs import define, frozen

from sebastian_adapters.postgres.arrays import array
from sebastian_adapters.postgres.pools import Connection
from sebastian_adapters.postgres.queries import query
from sebastian_adapters.postgres.rows import Head, Row, as_json, chat_from, head_from
from sebastian_adapters.postgres.writing import Writing
from sebastian_core.domain.agent import AgentSetting, Staffing
from sebastian_core.domain.chat import Chat, Needs
from sebastian_core.domain.ids import AgentId, ChatId, ReservationId
from sebastian_core.domain.plan import Floor, Plan
from sebastian_core.domain.policy import Placement, ReadyChat
from sebastian_core.domain.reservation import Reservation, reserve
from sebastian_core.domain.room import Change


async def carry_out(connection: Connection, plan: Plan, limit: int) -> tuple[Reservation, ...]:
    """Give at most `limit` ready chats a slot each, under the lock."""
    await connection.execute(query("lock_line"))
    staffing, waiting = await read_floor(connection)
    if not waiting or limit <= 0:
        return ()
    floor = plan.look(staffing)
    opened = floor.open_needs(waiting)
    asked = min(limit, floor.free_slots)
    if not opened or asked <= 0:
        return ()
    closed = [needs.key for needs in set(waiting) - set(opened)]
    line, placements = await _place(connection, floor, closed, asked)
    return await _Pass(plan, floor, line, asked).write(connection, placements)


async def read_floor(connection: Connection) -> tuple[Staffing, list[Needs]]:
    """Loads and settings of all agents, and the needs that chats wait with."""
    loads = await connection.execute(query("loads"), binary=True)
    settings = await connection.execute(query("agent_settings"), binary=True)
    default = await connection.execute(query("default_capacity"), binary=True)
    lines = await connection.execute(query("lines"), binary=True)
    clock = await connection.execute(query("clock"), binary=True)
    ((agent_ids, held),) = await loads.fetchall()
    ((set_ids, *decided),) = await settings.fetchall()
    default_row = await default.fetchone()
    ((keys,),) = await lines.fetchall()
    ((now,),) = await clock.fetchall()
    staffing = Staffing(
        now=now,
        loads=dict(zip(agent_ids, held, strict=True)),
        settings=dict(zip(set_ids, map(AgentSetting, *decided), strict=True)),
        default_capacity=default_row[0] if default_row else None,
    )
    return staffing, [Needs.from_key(key) for key in keys]


@frozen
class _Line:
    """The heads of the lines that may be served, and what was visible when they were read."""

    now: datetime
    snapshot: str
    heads: Mapping[ChatId, Head]

    @classmethod
    def of(cls, rows: Sequence[Row]) -> _Line:
        """The line that rows of `heads` show; at least the row of an empty one."""
        found = [head_from(row[2:]) for row in rows if row[2] is not None]
        return cls(rows[0][0], rows[0][1], {head.chat.id: head for head in found})

    @property
    def chats(self) -> list[ReadyChat]:
        """What is offered."""
        return [head.chat for head in self.heads.values()]

    def place(self, placement: Placement) -> tuple[datetime, ChatId]:
        """Where the placed chat stands."""
        chat = self.heads[placement.chat_id].chat
        return chat.arrived_at, chat.id


async def _place(
    connection: Connection, floor: Floor, closed: Sequence[str], limit: int
) -> tuple[_Line, Sequence[Placement]]:
    """The placements of the oldest chats; all heads are read only where some cannot be placed."""
    line = await _read_line(connection, closed, limit, first=limit)
    placements = floor.place(line.chats)
    if len(placements) < limit == len(line.heads):
        line = await _read_line(connection, closed, limit)
        placements = floor.place(line.chats)
    return line, sorted(placements, key=line.place)[:limit]


async def _read_line(
    connection: Connection, closed: Sequence[str], limit: int, *, first: int | None = None
) -> _Line:
    asked = {"closed": array(closed), "limit": limit, "first": first}
    heads = await connection.execute(query("heads"), asked, binary=True)
    return _Line.of(await heads.fetchall())


@define
class _Pass:
    """Carries placements out, if the chats are still what was offered."""

    _plan: Plan
    _floor: Floor
    _line: _Line
    _asked: int

    async def write(
        self, connection: Connection, placements: Sequence[Placement]
    ) -> tuple[Reservation, ...]:
        """Lock the chats and reserve those that did not change; their reservations."""
        ids = [placement.chat_id for placement in placements]
        if not ids:
            return ()
        locked = await connection.execute(
            query("lock_waiting_chats"), {"ids": array(ids)}, binary=True
        )
        tokens = await connection.execute(query("reservation_ids"), {"number": len(ids)})
        number = await connection.execute(query("begin_pass"))
        chats = {chat.id: chat for chat in map(chat_from, await locked.fetchall())}
        ((reservation_ids,),) = await tokens.fetchall()
        ((pass_id,),) = await number.fetchall()
        taken = [each for each in placements if self._still_offered(chats.get(each.chat_id))]
        if not taken:
            return ()
        changes = self._changes(taken, chats, reservation_ids, pass_id)
        await Writing(changes=changes).write(connection, self._line.now)
        await self._tell(connection, changes, pass_id)
        return tuple(Reservation.of(change.chat) for change in changes)

    def _still_offered(self, chat: Chat | None) -> bool:
        return chat is not None and chat.version == self._line.heads[chat.id].version

    def _changes(
        self,
        placements: Sequence[Placement],
        chats: Mapping[ChatId, Chat],
        reservation_ids: Sequence[ReservationId],
        pass_id: int,
    ) -> list[Change]:
        given: Counter[AgentId] = Counter()
        changes = []
        for placement, reservation_id in zip(placements, reservation_ids, strict=False):
            chat, agent_id = chats[placement.chat_id], placement.agent_id
            changes.append(
                reserve(
                    chat,
                    agent_id,
                    reservation_id,
                    self._plan.rules,
                    self._line.now,
                    reason=type(self._plan.policy).__name__,
                    details=self._details(agent_id, given[agent_id], pass_id, chat.needs),
                )
            )
            given[agent_id] += 1
        return changes

    def _details(
        self, agent_id: AgentId, given: int, pass_id: int, needs: Needs
    ) -> dict[str, object]:
        candidate = self._floor.candidates[agent_id]
        return {
            "load": candidate.load + given,
            "capacity": candidate.capacity,
            "pass": pass_id,
            "needs": needs.key,
        }

    async def _tell(self, connection: Connection, changes: Sequence[Change], pass_id: int) -> None:
        agent_ids = {change.chat.agent_id for change in changes}
        given = {"agent_ids": array(agent_ids), "now": self._line.now}
        await connection.execute(query("mark_given"), given)
        await connection.execute(query("tell_pass"), self._told(changes, pass_id))

    def _told(self, changes: Sequence[Change], pass_id: int) -> dict[str, Any]:
        explained = {
            needs.key: self._floor.explain(needs)
            for needs in {change.chat.needs for change in changes}
        }
        return {
            "id": pass_id,
            "at": self._line.now,
            "snapshot": self._line.snapshot,
            "asked": self._asked,
            "free_slots": self._floor.free_slots,
            "given": len(changes),
            "policy": type(self._plan.policy).__name__,
            "explained": as_json(explained),
        }
