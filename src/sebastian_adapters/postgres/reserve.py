"""The reserving pass: what it reads under the lock, and what it writes.

Two exchanges as a rule: one takes the lock and reads, one writes and commits. For that the heads of
the line are asked for before it is known what can be given, by what the last pass found; where that
guess was wrong they are read once more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime

from attrs import define, evolve, field, frozen

from sebastian_adapters.postgres.arrays import array
from sebastian_adapters.postgres.loads import KnownLoads, loads_from, loads_statement
from sebastian_adapters.postgres.pipeline import NamedQuery
from sebastian_adapters.postgres.pool import Transaction
from sebastian_adapters.postgres.rows import (
    Row,
    as_json,
    chat_from,
    needs_from,
    reserved_columns,
)
from sebastian_core.domain.agent_loads import AgentLoads
from sebastian_core.domain.chat import Chat, Needs
from sebastian_core.domain.errors import UnknownWord
from sebastian_core.domain.ids import AgentId, ChatId, ReservationId
from sebastian_core.domain.matcher import AgentPool, Matcher, Plan
from sebastian_core.domain.policy import Placement, ReadyChat
from sebastian_core.domain.reservation import Reservation, reserve
from sebastian_core.domain.room import Change


@frozen
class _ReadyLine:
    """The heads of the lines that were asked for, and what was visible when they were read.

    `is_cut` where there may be more of them than were asked for. `unread` are the keys of needs
    that only a newer version of Sebastian can read.
    """

    now: datetime
    snapshot: str
    waiting: Sequence[Needs]
    chats: Mapping[ChatId, Chat]
    tokens: Mapping[ChatId, ReservationId]
    is_cut: bool
    unread: frozenset[str]

    @classmethod
    def of(cls, rows: Sequence[Row], limit: int) -> _ReadyLine:
        """The line that rows of `heads` show; at least the row of an empty one."""
        now, snapshot, lines, *_ = rows[0]
        chats, tokens = {}, {}
        heads = [(token, columns) for _, _, _, token, *columns in rows if token is not None]
        for token, columns in heads:
            with suppress(UnknownWord):
                chat = chat_from(columns)
                chats[chat.id], tokens[chat.id] = chat, token
        waiting = needs_from(lines or ())
        unread = frozenset(lines or ()) - waiting.keys()
        is_cut = len(heads) == limit
        return cls(now, snapshot, list(waiting.values()), chats, tokens, is_cut, unread)

    def without(self, closed: frozenset[str]) -> _ReadyLine:
        """The heads of the other lines."""
        if not closed:
            return self
        kept = {each.id: each for each in self.chats.values() if each.needs.key not in closed}
        return evolve(self, chats=kept)

    def place(self, placement: Placement) -> tuple[datetime, ChatId]:
        """Where the placed chat stands."""
        chat = self.chats[placement.chat_id]
        return chat.arrived_at, chat.id


@frozen
class _Guess:
    """What a pass will be able to give: so many chats, of all lines but these."""

    limit: int
    closed: frozenset[str] = frozenset()

    def misses(self, line: _ReadyLine, asked: int, closed: frozenset[str]) -> bool:
        """Whether heads may be missing that are to be seen."""
        if not self.closed <= closed:
            return True
        return line.is_cut and (self.limit < asked or not closed <= self.closed)


@define
class ReservePasses:
    """Carries out passes, and remembers of the last one what can be checked."""

    _known: KnownLoads | None = field(default=None, init=False)
    _floor: AgentPool | None = field(default=None, init=False)
    _guess: _Guess = field(default=_Guess(limit=100), init=False)

    async def carry_out(
        self, transaction: Transaction, plan: Matcher, limit: int
    ) -> tuple[Reservation, ...]:
        """Give at most `limit` ready chats a slot each, under the lock."""
        if limit <= 0:
            return ()
        guess = evolve(self._guess, limit=min(limit, self._guess.limit))
        floor, line = await self._read(transaction, plan, guess)
        opened = floor.open_needs(line.waiting)
        asked = min(limit, floor.free.slots)
        if not opened or asked <= 0:
            return await _nothing(transaction)
        closed = line.unread | {needs.key for needs in set(line.waiting) - set(opened)}
        self._guess = _Guess(limit=2 * asked, closed=closed)
        if guess.misses(line, asked, closed):
            line = await _read_line(transaction, closed, asked, first=asked)
        line, choice = await _place(transaction, floor, line.without(closed), closed, asked)
        if not choice.placements:
            return await _nothing(transaction)
        return await _Pass(floor, line, asked, choice).write(transaction)

    async def _read(
        self, transaction: Transaction, plan: Matcher, guess: _Guess
    ) -> tuple[AgentPool, _ReadyLine]:
        known = self._known
        _, agents, heads = await transaction.send(
            NamedQuery("lock_line"),
            loads_statement(known.agent_loads.now if known else None),
            _heads(guess.closed, guess.limit, first=guess.limit),
        )
        return self._look(plan, loads_from(agents)), _ReadyLine.of(heads, guess.limit)

    def _look(self, plan: Matcher, read: AgentLoads) -> AgentPool:
        """The floor after that was read; what is known and the floor are always of one moment."""
        known = self._known.after(read) if self._known else KnownLoads.whole(read)
        if self._floor:
            floor = plan.look_again(self._floor, known.agent_loads, known.changed)
        else:
            floor = plan.look(known.agent_loads)
        self._known, self._floor = known, floor
        return floor


async def read_loads(transaction: Transaction) -> AgentLoads:
    """Loads and settings of all agents."""
    (rows,) = await transaction.send(loads_statement())
    return loads_from(rows)


async def _nothing(transaction: Transaction) -> tuple[()]:
    await transaction.rollback()
    return ()


async def _place(
    transaction: Transaction,
    floor: AgentPool,
    line: _ReadyLine,
    closed: frozenset[str],
    asked: int,
) -> tuple[_ReadyLine, Plan]:
    """What is chosen of the oldest chats; all heads are read only where some cannot be placed."""
    choice = floor.place(_oldest(line, asked))
    if len(choice.placements) < asked <= len(line.chats):
        line = await _read_line(transaction, closed, asked)
        choice = floor.place(_oldest(line))
    return line, evolve(choice, placements=sorted(choice.placements, key=line.place)[:asked])


def _oldest(line: _ReadyLine, number: int | None = None) -> list[ReadyChat]:
    return [ReadyChat.of(chat) for chat in list(line.chats.values())[:number]]


async def _read_line(
    transaction: Transaction, closed: frozenset[str], limit: int, *, first: int | None = None
) -> _ReadyLine:
    (heads,) = await transaction.send(_heads(closed, limit, first))
    return _ReadyLine.of(heads, limit)


def _heads(closed: frozenset[str], limit: int, first: int | None) -> NamedQuery:
    return NamedQuery("heads", {"closed": array(sorted(closed)), "limit": limit, "first": first})


@define
class _Pass:
    """Carries placements out, as far as the chats are still what was offered."""

    _floor: AgentPool
    _line: _ReadyLine
    _asked: int
    _choice: Plan

    async def write(self, transaction: Transaction) -> tuple[Reservation, ...]:
        """Reserve those chats that did not change, and commit; their reservations."""
        changes = self._changes()
        _, ((taken,),) = await transaction.send(
            NamedQuery("lock_offered_chats", {"ids": array(each.chat.id for each in changes)}),
            NamedQuery("reserve_chats", reserved_columns(changes) | self._told(changes)),
            commit=True,
        )
        got = set(taken)
        return tuple(Reservation.of(each.chat) for each in changes if each.chat.id in got)

    def _changes(self) -> list[Change]:
        given: Counter[AgentId] = Counter()
        changes = []
        for placement in self._choice.placements:
            chat, agent_id = self._line.chats[placement.chat_id], placement.agent_id
            changes.append(
                reserve(
                    chat,
                    agent_id,
                    self._line.tokens[chat.id],
                    self._floor.plan.rules,
                    self._line.now,
                    reason=self._choice.policy,
                    details=self._details(agent_id, given[agent_id], chat.needs),
                )
            )
            given[agent_id] += 1
        return changes

    def _details(self, agent_id: AgentId, given: int, needs: Needs) -> dict[str, object]:
        candidate = self._floor.candidates[agent_id]
        return {
            "load": candidate.load + given,
            "capacity": candidate.capacity,
            "needs": needs.key,
        }

    def _told(self, changes: Sequence[Change]) -> dict[str, object]:
        needs = {change.chat.needs for change in changes}
        return {
            "now": self._line.now,
            "snapshot": self._line.snapshot,
            "asked": self._asked,
            "free_slots": self._floor.free.slots,
            "policy": self._choice.policy,
            "explained": as_json({each.key: self._floor.explain(each) for each in needs}),
        }
