"""The journal: what happened, and what people look at."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Protocol

from attrs import frozen

from sebastian_core.domain.chat import Chat
from sebastian_core.domain.history import HistoryRow
from sebastian_core.domain.ids import RoomId

BARE_ROOMS_KEPT = timedelta(days=1)
"""For how long a room is remembered of which we know a resolve and no chat.

A resolve may overtake its own allocation webhook, by seconds or minutes. If such rooms were kept
for long, whoever has the webhook's token could fill the disk.
"""


@frozen(kw_only=True)
class Summary:
    """The line and the slots in numbers, at one moment.

    `left_aside` are those of all live chats whose record holds a word that this version does not
    know.
    """

    at: datetime
    waiting: int = 0
    ready: int = 0
    doubtful: int = 0
    stuck: int = 0
    reserved: int = 0
    assigned: int = 0
    left_aside: int = 0
    oldest_arrived_at: datetime | None = None


@frozen(kw_only=True)
class Minute:
    """How many chats arrived and were assigned in one minute, and how long those had waited."""

    began_at: datetime
    arrived: int = 0
    assigned: int = 0
    mean_wait: timedelta = timedelta()
    longest_wait: timedelta = timedelta()


class Journal(Protocol):
    """Shows what the room repo wrote: nothing is decided by it, and nothing of it is locked.

    Every method is one transaction. All raise StoreUnavailable when the store is down; calling
    again is safe. A chat that a newer version wrote is in no list (see RoomRepo). A store that
    belongs to another account raises ForeignAccount.
    """

    @abstractmethod
    async def history(self, room_id: RoomId, *, limit: int = 200) -> Sequence[HistoryRow]:
        """The room's history, newest first."""

    @abstractmethod
    async def decisions(self, limit: int) -> Sequence[HistoryRow]:
        """The newest history rows of all rooms, newest first."""

    @abstractmethod
    async def summary(self, alert_refusals: int) -> Summary:
        """The line and the slots in numbers; stuck are chats refused at least so often."""

    @abstractmethod
    async def held(self, limit: int) -> Sequence[Chat]:
        """The chats that hold a slot, of all agents, agent by agent."""

    @abstractmethod
    async def ahead_of(self, chat: Chat) -> int:
        """How many waiting chats stand before this one's place in the line, ready or not."""

    @abstractmethod
    async def flow(self, since: datetime) -> Sequence[Minute]:
        """Arrivals and our assignments by minute, from the minute of `since` on, oldest first.

        A minute in which nothing happened may be absent. What is pruned is no longer counted.
        """

    @abstractmethod
    async def prune(self, keep: timedelta, *, batch: int = 1000) -> int:
        """Forget closed chats, and rooms without chats, older than this; how many of both.

        A room of which nothing is known but a resolve is forgotten after `BARE_ROOMS_KEPT`. At most
        one batch of each kind.
        """
