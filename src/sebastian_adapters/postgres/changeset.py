"""What a transaction writes: changes with their history, rooms, watches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from attrs import frozen

from sebastian_adapters.postgres.arrays import array
from sebastian_adapters.postgres.pipeline import NamedQuery
from sebastian_adapters.postgres.pool import Transaction
from sebastian_adapters.postgres.rows import (
    added_columns,
    room_columns,
    saved_columns,
    told_columns,
)
from sebastian_core.domain.chat import UNSAVED, Transition
from sebastian_core.domain.ids import ChatId, RoomId
from sebastian_core.domain.room import AgentRecheck, Change, Room


@frozen(kw_only=True)
class Changeset:
    """Everything that is to be written at one moment; false if that is nothing.

    The rows of all chats and rooms in it are locked by the transaction that writes it.
    """

    changes: Sequence[Change] = ()
    rooms: Sequence[Room] = ()
    watches: Sequence[AgentRecheck] = ()

    def __bool__(self) -> bool:
        return bool(self.changes or self.rooms or self.watches)

    async def write(self, transaction: Transaction, now: datetime) -> dict[RoomId, ChatId]:
        """Write it and commit; the ids of new chats by their room."""
        *_, added = await transaction.send(*self.statements(now), commit=True)
        return dict(added) if self._new else {}

    def statements(self, now: datetime) -> list[NamedQuery]:
        """What writes it: a chat's end comes before its room's next beginning."""
        return [*self._saved(now), *self._given(now), *self._remembered(), *self._added(now)]

    @property
    def _new(self) -> list[Change]:
        return [change for change in self.changes if change.chat.id == UNSAVED]

    def _saved(self, now: datetime) -> Iterator[NamedQuery]:
        known = [change for change in self.changes if change.chat.id != UNSAVED]
        if known:
            told = told_columns([change for change in known if not change.silent])
            yield NamedQuery("save_chats", saved_columns(known) | told | {"now": now})

    def _given(self, now: datetime) -> Iterator[NamedQuery]:
        reserved = {each.chat.agent_id for each in self.changes if each.move is Transition.RESERVE}
        if reserved:
            yield NamedQuery("mark_given", {"agent_ids": array(reserved), "now": now})

    def _remembered(self) -> Iterator[NamedQuery]:
        if self.rooms:
            yield NamedQuery("save_rooms", room_columns(self.rooms))
        if self.watches:
            last = {watch.agent_id: watch.list_at for watch in self.watches}
            wishes = {"agent_id": array(last), "list_at": array(last.values())}
            yield NamedQuery("save_watches", wishes)

    def _added(self, now: datetime) -> Iterator[NamedQuery]:
        if new := self._new:
            yield NamedQuery("add_chats", added_columns(new) | {"now": now})
