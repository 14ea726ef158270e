"""The reserving pass: what it reads under the lock, and what it writes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime

from attrs import define, frozen

from sebastian_adapters.postgres.arrays import array
from sebastian_adapters.postgres.pools import Statement, Transaction
from sebastian_adapters.postgres.rows import Head, Row, as_json, chat_from, head_from
from sebastian_adapters.postgres.writing import Writing
from sebastian_core.domain.agent import AgentSetting, Staffing
from sebastian_core.domain.chat import Chat, Needs
from sebastian_core.domain.ids import AgentId, ChatId, ReservationId
from sebastian_core.domain.plan import Floor, Plan
from sebastian_core.domain.policy import Placement, ReadyChat
from sebastian_core.domain.reservation import Reservation, reserve
from sebastian_core.domain.room import Change

FLOOR = (
    Statement("loads"),
    Statement("agent_settings"),
    Statement("default_capacity"),
    Statement("lines"),
    Statement("clock"),
)
"""What is read of all agents, in statements after the one that takes the lock."""


async def carry_out(transaction: Transaction, plan: Plan, limit: int) -> tuple[Reservation, ...]:
    """Give at most `limit` ready chats a slot each, under the lock."""
    staffing, waiting = await read_floor(transaction, Statement("lock_line"))
    if not waiting or limit <= 0:
        return await _nothing(transaction)
    floor = plan.look(staffing)
    opened = floor.open_needs(waiting)
    asked = min(limit, floor.free_slots)
    if not opened or asked <= 0:
        return await _nothing(transaction)
    closed = [needs.key for needs in set(waiting) - set(opened)]
    line, placements = await _place(transaction, floor, closed, asked)
    if not placements:
        return await _nothing(transaction)
    return await _Pass(plan, floor, line, asked).write(transaction, placements)


async def read_floor(transaction: Transaction, *first: Statement) -> tuple[Staffing, list[Needs]]:
    """Loads and settings of all agents, and the needs that chats wait with."""
    read = await transaction.send(*first, *FLOOR)
    return floor_from(read[len(first) :])


def floor_from(read: Sequence[Sequence[Row]]) -> tuple[Staffing, list[Needs]]:
    """What the rows of the statements of `FLOOR` say."""
    loads, settings, default, lines, ((now,),) = read
    ((agent_ids, held),) = loads
    ((set_ids, *decided),) = settings
    ((keys,),) = lines
    staffing = Staffing(
        now=now,
        loads=dict(zip(agent_ids, held, strict=True)),
        settings=dict(zip(set_ids, map(AgentSetting, *decided), strict=True)),
        default_capacity=default[0][0] if default else None,
    )
    return staffing, [Needs.from_key(key) for key in keys]


async def _nothing(transaction: Transaction) -> tuple[()]:
    await transaction.rollback()
    return ()


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
    transaction: Transaction, floor: Floor, closed: Sequence[str], limit: int
) -> tuple[_Line, Sequence[Placement]]:
    """The placements of the oldest chats; all heads are read only where some cannot be placed."""
    line = await _read_line(transaction, closed, limit, first=limit)
    placements = floor.place(line.chats)
    if len(placements) < limit == len(line.heads):
        line = await _read_line(transaction, closed, limit)
        placements = floor.place(line.chats)
    return line, sorted(placements, key=line.place)[:limit]


async def _read_line(
    transaction: Transaction, closed: Sequence[str], limit: int, *, first: int | None = None
) -> _Line:
    asked = {"closed": array(closed), "limit": limit, "first": first}
    (heads,) = await transaction.send(Statement("heads", asked))
    return _Line.of(heads)


@define
class _Pass:
    """Carries placements out, if the chats are still what was offered."""

    _plan: Plan
    _floor: Floor
    _line: _Line
    _asked: int

    async def write(
        self, transaction: Transaction, placements: Sequence[Placement]
    ) -> tuple[Reservation, ...]:
        """Lock the chats and reserve those that did not change; their reservations."""
        ids = [placement.chat_id for placement in placements]
        locked, ((reservation_ids,),), ((pass_id,),) = await transaction.send(
            Statement("lock_waiting_chats", {"ids": array(ids)}),
            Statement("reservation_ids", {"number": len(ids)}),
            Statement("begin_pass"),
        )
        chats = {chat.id: chat for chat in map(chat_from, locked)}
        taken = [each for each in placements if self._still_offered(chats.get(each.chat_id))]
        if not taken:
            return await _nothing(transaction)
        changes = self._changes(taken, chats, reservation_ids, pass_id)
        written = Writing(changes=changes).statements(self._line.now)
        await transaction.send(*written, self._told(changes, pass_id), commit=True)
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
                    reason=self._floor.served_by,
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

    def _told(self, changes: Sequence[Change], pass_id: int) -> Statement:
        needs = {change.chat.needs for change in changes}
        told = {
            "id": pass_id,
            "at": self._line.now,
            "snapshot": self._line.snapshot,
            "asked": self._asked,
            "free_slots": self._floor.free_slots,
            "given": len(changes),
            "policy": self._floor.served_by,
            "explained": as_json({each.key: self._floor.explain(each) for each in needs}),
        }
        return Statement("tell_pass", told)
