"""What follows the end of an outage."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from sebastian_core.ports.room_repo import RoomRepo
from sebastian_core.usecases.circuit_breaker import CircuitBreaker
from sebastian_core.usecases.observer import Observer


class Recover:
    """Asks a platform that was down again, and makes ready at once what the outage delayed.

    `look` has the line looked at. While the database is away the end of the outage is remembered.
    """

    def __init__(
        self,
        room_repo: RoomRepo,
        breaker: CircuitBreaker,
        observer: Observer,
        look: Callable[[], None],
    ) -> None:
        self._room_repo = room_repo
        self._breaker = breaker
        self._observer = observer
        self._look = look
        self._outage_since: datetime | None = None

    async def __call__(self) -> int:
        """Probe if it is time; how many chats were made ready."""
        self._outage_since = await self._breaker.probe_if_due() or self._outage_since
        if self._outage_since is None:
            return 0
        self._look()
        hastened = await self._room_repo.hasten(self._outage_since)
        self._outage_since = None
        self._observer.platform_is_back(hastened)
        self._look()
        return hastened
