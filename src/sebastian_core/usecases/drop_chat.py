"""A person takes a chat out of the waiting line."""

from __future__ import annotations

from functools import partial

from sebastian_core.domain.by_hand import Handled, drop
from sebastian_core.domain.ids import RoomId
from sebastian_core.ports.room_repo import RoomRepo


class DropChat:
    """Closes a waiting chat as dropped; one that an agent holds is left alone."""

    def __init__(self, room_repo: RoomRepo) -> None:
        self._room_repo = room_repo

    async def __call__(self, room_id: RoomId, *, actor: str) -> Handled:
        """Drop, and tell what became of it; raises StoreUnavailable if that is not sure."""
        decided = await self._room_repo.decide(room_id, partial(drop, actor))
        return decided.answer
