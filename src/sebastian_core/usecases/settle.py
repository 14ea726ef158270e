"""Find out what became of chats that we are unsure of."""

from __future__ import annotations

import asyncio
from functools import partial

from sebastian_core.domain.chat import Chat, ChatState
from sebastian_core.domain.errors import PlatformRefused, PlatformUnavailable
from sebastian_core.domain.ids import AgentId
from sebastian_core.domain.in_doubt import Evidence, Outcome, RoomState, postpone, settle
from sebastian_core.domain.platform import PlatformRooms, Reading
from sebastian_core.domain.rules import Rules
from sebastian_core.ports.job_queue import JobQueue
from sebastian_core.ports.qiscus_client import QiscusClient
from sebastian_core.ports.room_repo import RoomRepo
from sebastian_core.usecases.circuit_breaker import CircuitBreaker

AT_ONCE = 8
BATCH = 64


class SettleChat:
    """Reads the room (and the agent's rooms where it is served) and applies what that proves."""

    def __init__(
        self,
        room_repo: RoomRepo,
        client: QiscusClient,
        breaker: CircuitBreaker,
        job_queue: JobQueue,
        rules: Rules,
    ) -> None:
        self._room_repo = room_repo
        self._client = client
        self._breaker = breaker
        self._job_queue = job_queue
        self._rules = rules

    async def __call__(self, chat: Chat) -> Outcome | None:
        """Settle one chat; None if the platform could not be asked, and it is looked at later.

        A room that fails while the account is well is put off ever longer, so that it holds up
        nobody.
        """
        try:
            evidence = await self._read(chat)
        except (PlatformUnavailable, PlatformRefused) as error:
            if not await self._breaker.is_account_fault(error):
                await self._room_repo.decide(
                    chat.room_id, partial(postpone, chat.id, chat.version, self._rules)
                )
            return None
        return await self.apply(chat, evidence)

    async def apply(self, chat: Chat, evidence: Evidence) -> Outcome:
        """Apply a reading that was already made."""
        decided = await self._room_repo.decide(
            chat.room_id,
            partial(settle, chat.id, chat.version, evidence, self._rules),
            alters_line=chat.state is not ChatState.WAITING,
        )
        if any(not change.silent for change in decided.changes):
            self._job_queue.ring()
        return decided.answer

    async def due(self) -> int:
        """Settle what is due, a few at a time; how many chats were looked at."""
        if not self._breaker.may_call():
            return 0
        chats = await self._room_repo.due(BATCH)
        places = asyncio.Semaphore(AT_ONCE)

        async def one(chat: Chat) -> None:
            async with places:
                if self._breaker.may_call():
                    await self(chat)

        ends = await asyncio.gather(*(one(chat) for chat in chats), return_exceptions=True)
        for end in ends:
            if isinstance(end, BaseException):
                raise end
        return len(chats)

    async def _read(self, chat: Chat) -> Evidence:
        await self._breaker.acquire()
        reading = await self._client.room(chat.room_id)
        listed = None
        if reading.seen.state is RoomState.SERVED and chat.agent_id is not None:
            listing = await self._rooms_of(chat.agent_id)
            listed = any(room.room_id == chat.room_id for room in listing.seen)
        return Evidence(state=reading.seen.state, began_at=reading.began_at, listed=listed)

    async def _rooms_of(self, agent_id: AgentId) -> Reading[PlatformRooms]:
        return await self._client.rooms_of(agent_id, self._breaker.acquire)
