"""What the stores of one deployment hold in memory; the adapters of the ports share it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from itertools import count

from attrs import define, evolve, field

from sebastian_core.domain.agent_loads import AgentLoads, AgentSetting
from sebastian_core.domain.chat import Chat, ChatState
from sebastian_core.domain.history import HistoryRow
from sebastian_core.domain.ids import AgentId, ChatId, RoomId
from sebastian_core.domain.room import Change, Room
from sebastian_core.ports.agent_settings import SettingChange
from sebastian_core.ports.clock import Clock


@define(eq=False)
class Record:
    """The rooms and chats, what people decided, and the history, in dictionaries and lists.

    Nothing in it waits: what one task reads and writes here in one go is atomic among the tasks of
    its event loop.
    """

    clock: Clock
    rooms: dict[RoomId, Room] = field(factory=dict, init=False)
    chats: dict[ChatId, Chat] = field(factory=dict, init=False)
    live: dict[ChatId, Chat] = field(factory=dict, init=False)
    history: list[HistoryRow] = field(factory=list, init=False)
    settings: dict[AgentId, AgentSetting] = field(factory=dict, init=False)
    default_capacity: int | None = field(default=None, init=False)
    setting_changes: list[SettingChange] = field(factory=list, init=False)
    watches: dict[AgentId, datetime] = field(factory=dict, init=False)
    chat_ids: Iterator[int] = field(factory=lambda: count(1), init=False)
    reservation_ids: Iterator[int] = field(factory=lambda: count(1), init=False)

    def write(self, change: Change, now: datetime) -> None:
        """Keep a changed chat, and tell the history unless the change is silent."""
        self.keep(change.chat)
        if not change.silent:
            self.history.append(_row(change, now))

    def keep(self, chat: Chat) -> None:
        """Keep a chat as it is now, in its room as well."""
        self.chats[chat.id] = chat
        if chat.is_live:
            self.live[chat.id] = chat
        else:
            self.live.pop(chat.id, None)
        room = self.rooms.get(chat.room_id, Room(room_id=chat.room_id))
        if chat.is_live:
            self.rooms[chat.room_id] = evolve(room, chat=chat)

    def agent_loads(self, now: datetime) -> AgentLoads:
        """Loads and settings of all agents."""
        loads = Counter(
            chat.agent_id
            for chat in self.live.values()
            if chat.holds_slot and chat.agent_id is not None
        )
        return AgentLoads(now, dict(loads), dict(self.settings), self.default_capacity)

    def line(self) -> Iterator[Chat]:
        """The waiting chats, from the head of the line."""
        waiting = (chat for chat in self.live.values() if chat.state is ChatState.WAITING)
        return iter(sorted(waiting, key=place_of))

    def mark_given(self, agent_id: AgentId, now: datetime) -> None:
        """Remember that the agent was given a chat now."""
        setting = self.settings.get(agent_id, AgentSetting())
        self.settings[agent_id] = evolve(setting, last_given_at=now)


def place_of(chat: Chat) -> tuple[datetime, ChatId]:
    """Where the chat stands in the line."""
    return chat.arrived_at, chat.id


def _row(change: Change, now: datetime) -> HistoryRow:
    chat = change.chat
    return HistoryRow(
        chat_id=chat.id,
        room_id=chat.room_id,
        version=chat.version,
        at=now,
        move=change.move,
        before=change.before,
        after=chat.state,
        agent_id=chat.agent_id,
        reservation_id=chat.reservation_id,
        reason=change.reason,
        actor=change.actor,
        details=dict(change.details),
    )
