"""The journal in memory, of the record that the room repo writes."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import groupby, takewhile

from sebastian_adapters.memory.record import Record, place_of
from sebastian_core.domain.chat import Chat, ChatState, Transition
from sebastian_core.domain.history import HistoryRow
from sebastian_core.domain.ids import RoomId
from sebastian_core.ports.journal import BARE_ROOMS_KEPT, Journal, Minute, Summary


class InMemoryJournal(Journal):
    """Shows what is in the record. Every method acts in one go."""

    def __init__(self, record: Record) -> None:
        self._record = record

    async def history(self, room_id: RoomId, *, limit: int = 200) -> Sequence[HistoryRow]:
        """See Journal.history."""
        await asyncio.sleep(0)
        rows = (row for row in reversed(self._record.history) if row.room_id == room_id)
        return [row for row, _ in zip(rows, range(limit), strict=False)]

    async def decisions(self, limit: int) -> Sequence[HistoryRow]:
        """See Journal.decisions."""
        await asyncio.sleep(0)
        return self._record.history[: -limit - 1 : -1]

    async def summary(self, alert_refusals: int) -> Summary:
        """See Journal.summary."""
        await asyncio.sleep(0)
        now = self._record.clock.now()
        line = list(self._record.line())
        states = Counter(chat.state for chat in self._record.live.values())
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

    async def held(self, limit: int) -> Sequence[Chat]:
        """See Journal.held."""
        await asyncio.sleep(0)
        held = [chat for chat in self._record.live.values() if chat.holds_slot]
        return sorted(held, key=lambda chat: (chat.agent_id or 0, chat.id))[:limit]

    async def ahead_of(self, chat: Chat) -> int:
        """See Journal.ahead_of."""
        await asyncio.sleep(0)
        return sum(place_of(each) < place_of(chat) for each in self._record.line())

    async def flow(self, since: datetime) -> Sequence[Minute]:
        """See Journal.flow."""
        await asyncio.sleep(0)
        recent = takewhile(lambda row: row.at >= _minute_of(since), reversed(self._record.history))
        told = [row for row in recent if row.move in (Transition.ADMIT, Transition.CONFIRM)]
        by_minute = groupby(reversed(told), key=lambda row: _minute_of(row.at))
        return [self._minute(began_at, list(rows)) for began_at, rows in by_minute]

    async def prune(self, keep: timedelta, *, batch: int = 1000) -> int:
        """See Journal.prune."""
        await asyncio.sleep(0)
        now = self._record.clock.now()
        before, bare_before = now - keep, now - min(keep, BARE_ROOMS_KEPT)
        old = [
            chat.id
            for chat in self._record.chats.values()
            if chat.closed_at and chat.closed_at < before
        ]
        for chat_id in old[:batch]:
            del self._record.chats[chat_id]
        self._record.history = [
            row for row in self._record.history if row.chat_id in self._record.chats
        ]
        with_chats = {chat.room_id for chat in self._record.chats.values()}
        forgotten = [
            room.room_id
            for room in self._record.rooms.values()
            if room.room_id not in with_chats and room.closed_at and room.closed_at < bare_before
        ]
        for room_id in forgotten[:batch]:
            del self._record.rooms[room_id]
        return len(old[:batch]) + len(forgotten[:batch])

    def _minute(self, began_at: datetime, rows: Sequence[HistoryRow]) -> Minute:
        waits = [
            row.at - self._record.chats[row.chat_id].arrived_at
            for row in rows
            if row.move is Transition.CONFIRM and row.chat_id in self._record.chats
        ]
        return Minute(
            began_at=began_at,
            arrived=sum(row.move is Transition.ADMIT for row in rows),
            assigned=len(waits),
            mean_wait=sum(waits, timedelta()) / (len(waits) or 1),
            longest_wait=max(waits, default=timedelta()),
        )


def _minute_of(at: datetime) -> datetime:
    return at.replace(second=0, microsecond=0)
