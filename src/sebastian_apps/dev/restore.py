"""After a restart: the stand-in platform gets the rooms that our record still holds."""

from __future__ import annotations

import asyncio
import random

from sebastian_adapters.memory.platform import Event
from sebastian_apps.dev.options import DevOptions
from sebastian_apps.fake_qiscus.server import FakeQiscus
from sebastian_core.domain.chat import Chat
from sebastian_core.domain.ids import AgentId
from sebastian_core.ports.room_repo import RoomRepo

LINE_PAGE = 1000


async def restore(fake: FakeQiscus, room_repo: RoomRepo, options: DevOptions) -> None:
    """Open the rooms of all live chats on a platform that forgot them, and let them be served.

    The platform keeps nothing over a restart; a real one would still know these rooms.
    """
    chats = [*await room_repo.waiting(LINE_PAGE)]
    for agent_id in fake.platform.agent_ids():
        chats += await room_repo.held_by(AgentId(agent_id))
    Aftercare(fake, {chat.room_id for chat in chats}, options).begin()
    for chat in chats:
        _reopen(fake, chat)


def _reopen(fake: FakeQiscus, chat: Chat) -> None:
    fake.platform.customer_message(chat.room_id)
    if chat.agent_id is not None:
        fake.platform.assign_by_hand(chat.room_id, chat.agent_id)


class Aftercare:
    """Resolves rooms of the day before when they are served: the new day's script knows none."""

    def __init__(self, fake: FakeQiscus, rooms: set[str], options: DevOptions) -> None:
        self._fake = fake
        self._rooms = rooms
        self._random = random.Random(options.seed)
        self._seconds = options.service_seconds

    def begin(self) -> None:
        """Hear of every assignment from now on."""
        if self._rooms:
            self._fake.platform.log.observe(self._on_event)

    def _on_event(self, event: Event) -> None:
        if event.kind == "assigned" and event.room_id in self._rooms:
            seconds = self._random.expovariate(1 / self._seconds)
            asyncio.get_running_loop().call_later(seconds, self._resolve, event.room_id)

    def _resolve(self, room_id: str) -> None:
        self._rooms.discard(room_id)
        self._fake.resolve(room_id)
