"""The journal on PostgreSQL: what happened, read without a lock."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sebastian_adapters.postgres.pipeline import NamedQuery
from sebastian_adapters.postgres.pool import Pool
from sebastian_adapters.postgres.rows import chats_from, history_from
from sebastian_core.domain.chat import Chat
from sebastian_core.domain.history import HistoryRow
from sebastian_core.domain.ids import RoomId
from sebastian_core.ports.journal import BARE_ROOMS_KEPT, Journal, Minute, Summary


class PostgresJournal(Journal):
    """Shows what is in PostgreSQL, within the limits of its pool."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def history(self, room_id: RoomId, *, limit: int = 200) -> Sequence[HistoryRow]:
        """See Journal.history."""
        rows = await self._pool.rows("history", room_id=room_id, limit=limit)
        return history_from(rows)

    async def decisions(self, limit: int) -> Sequence[HistoryRow]:
        """See Journal.decisions."""
        return history_from(await self._pool.rows("decisions", limit=limit))

    async def summary(self, alert_refusals: int) -> Summary:
        """See Journal.summary."""
        (row,) = await self._pool.rows("summary", alert_refusals=alert_refusals)
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

    async def held(self, limit: int) -> Sequence[Chat]:
        """See Journal.held."""
        return chats_from(await self._pool.rows("held", limit=limit))

    async def ahead_of(self, chat: Chat) -> int:
        """See Journal.ahead_of."""
        ((ahead,),) = await self._pool.rows("ahead_of", arrived_at=chat.arrived_at, id=chat.id)
        return int(ahead)

    async def flow(self, since: datetime) -> Sequence[Minute]:
        """See Journal.flow."""
        return [
            Minute(
                began_at=row[0],
                arrived=row[1],
                assigned=row[2],
                mean_wait=row[3],
                longest_wait=row[4],
            )
            for row in await self._pool.rows("flow", since=since)
        ]

    async def prune(self, keep: timedelta, *, batch: int = 1000) -> int:
        """See Journal.prune."""
        asked = {"keep": keep, "batch": batch}
        bare = {"keep": min(keep, BARE_ROOMS_KEPT), "batch": batch}
        chats, rooms, *_ = await self._pool.send(
            NamedQuery("prune_chats", asked),
            NamedQuery("prune_rooms", bare),
            NamedQuery("prune_passes", asked),
            NamedQuery("prune_setting_changes", asked),
        )
        return len(chats) + len(rooms)
