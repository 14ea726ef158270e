"""What a transaction writes: changes with their history, rooms, watches."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from attrs import frozen

from sebastian_adapters.postgres.arrays import array
from sebastian_adapters.postgres.pools import Connection
from sebastian_adapters.postgres.queries import query
from sebastian_adapters.postgres.rows import (
    added_columns,
    room_columns,
    saved_columns,
    told_columns,
)
from sebastian_core.domain.chat import UNSAVED
from sebastian_core.domain.ids import ChatId, RoomId
from sebastian_core.domain.room import Change, Room, Watch


@frozen(kw_only=True)
class Writing:
    """Everything that is to be written at one moment; false if that is nothing.

    The rows of all chats and rooms in it are locked by the transaction that writes it.
    """

    changes: Sequence[Change] = ()
    rooms: Sequence[Room] = ()
    watches: Sequence[Watch] = ()

    def __bool__(self) -> bool:
        return bool(self.changes or self.rooms or self.watches)

    async def write(self, connection: Connection, now: datetime) -> dict[RoomId, ChatId]:
        """Send it, a chat's end before its room's next beginning; the ids of new chats by room."""
        await self._save_chats(connection, now)
        await self._save_rooms(connection)
        await self._save_watches(connection)
        return await self._add_chats(connection, now)

    async def _save_chats(self, connection: Connection, now: datetime) -> None:
        known = [change for change in self.changes if change.chat.id != UNSAVED]
        if known:
            await connection.execute(query("save_chats"), saved_columns(known))
        if told := [change for change in known if not change.silent]:
            columns = told_columns(told) | {"now": now}
            await connection.execute(query("tell_changes"), columns)

    async def _add_chats(self, connection: Connection, now: datetime) -> dict[RoomId, ChatId]:
        new = [change for change in self.changes if change.chat.id == UNSAVED]
        if not new:
            return {}
        added = await connection.execute(query("add_chats"), added_columns(new) | {"now": now})
        return dict(await added.fetchall())

    async def _save_rooms(self, connection: Connection) -> None:
        if self.rooms:
            await connection.execute(query("save_rooms"), room_columns(self.rooms))

    async def _save_watches(self, connection: Connection) -> None:
        if not self.watches:
            return
        last = {watch.agent_id: watch.list_at for watch in self.watches}
        columns = {"agent_id": array(last), "list_at": array(last.values())}
        await connection.execute(query("save_watches"), columns)
