"""Compare our line with the rooms that wait at the platform, and repair ours."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial

from attrs import asdict, evolve, frozen

from sebastian_core.domain.chat import Chat, ChatState
from sebastian_core.domain.errors import UnknownWord
from sebastian_core.domain.evidence import conclusive_from
from sebastian_core.domain.ids import ChatId, RoomId
from sebastian_core.domain.in_doubt import Evidence, Outcome, RoomState
from sebastian_core.domain.platform import PlatformRoom, PlatformRooms, Reading
from sebastian_core.domain.room import Room
from sebastian_core.domain.rules import Rules
from sebastian_core.domain.webhooks import Admission, Arrival, admit_found
from sebastian_core.ports.job_queue import JobQueue
from sebastian_core.ports.qiscus_client import QiscusClient
from sebastian_core.ports.room_repo import RoomRepo
from sebastian_core.usecases.circuit_breaker import CircuitBreaker
from sebastian_core.usecases.settle import SettleChat

Place = tuple[datetime, ChatId]
LINE_PAGE = 1000
READS_AT_MOST = 50
"""How many of our waiting chats that the listing lacks are read one by one in a run."""


@frozen(kw_only=True)
class Reconciled:
    """What one reconcile found.

    Not admitted are rooms that are `too_old`, and those `without_message`: nobody waits there, for
    instance because a person of ours wrote first. `unreadable` rows of the listing are left out.
    """

    listed: int = 0
    admitted: int = 0
    too_old: int = 0
    without_message: int = 0
    unreadable: int = 0
    settled: int = 0

    @property
    def findings(self) -> Mapping[str, int]:
        """How many of each kind, without what was merely listed."""
        return asdict(self, filter=lambda counted, _: counted.name != "listed")


class Reconcile:
    """Admits rooms whose webhook was lost, and settles chats that the listing contradicts."""

    def __init__(
        self,
        room_repo: RoomRepo,
        client: QiscusClient,
        breaker: CircuitBreaker,
        job_queue: JobQueue,
        settle_chat: SettleChat,
        rules: Rules,
        *,
        max_age: timedelta = timedelta(hours=24),
    ) -> None:
        self._room_repo = room_repo
        self._client = client
        self._breaker = breaker
        self._job_queue = job_queue
        self._settle_chat = settle_chat
        self._rules = rules
        self._max_age = max_age
        self._last: Reading[frozenset[RoomId]] | None = None
        self._read_up_to: Place | None = None

    async def __call__(self) -> Reconciled:
        """Run once; raises what the client raises, and then nothing was changed."""
        listing = await self._client.waiting_rooms(self._breaker.acquire)
        known = await self._room_repo.rooms(room.room_id for room in listing.seen)
        found = await self._admit_unknown(listing, known)
        settled = await self._settle_waiting_again(listing, known)
        settled += await self._settle_not_listed(listing)
        shown = frozenset(room.room_id for room in listing.seen)
        self._last = Reading(listing.began_at, shown)
        return evolve(
            found, listed=len(listing.seen), unreadable=listing.unreadable, settled=settled
        )

    async def _admit_unknown(
        self, listing: Reading[PlatformRooms], known: Mapping[RoomId, Room]
    ) -> Reconciled:
        unknown = [room for room in listing.seen if _lacks_chat(known.get(room.room_id))]
        heard = [room for room in unknown if room.customer_wrote]
        young = [room for room in heard if self._is_young(room, listing.began_at)]
        done = Counter([await self._admit(room, listing) for room in young])
        if done[Admission.ADMITTED]:
            self._job_queue.ring()
        return Reconciled(
            admitted=done[Admission.ADMITTED],
            too_old=len(heard) - len(young),
            without_message=len(unknown) - len(heard),
        )

    async def _admit(self, room: PlatformRoom, listing: Reading[PlatformRooms]) -> Admission:
        arrival = Arrival(
            room_id=room.room_id,
            channel_id=room.channel_id,
            source=room.source,
            arrived_at=self._arrived_at(room, listing.began_at),
        )
        try:
            decided = await self._room_repo.decide(
                room.room_id, partial(admit_found, arrival, listing.began_at, self._rules)
            )
        except UnknownWord:  # a newer version knows the room
            return Admission.REPEATED
        return decided.answer

    def _arrived_at(self, room: PlatformRoom, began_at: datetime) -> datetime | None:
        """The platform's time, but not before the last listing that did not show the room."""
        if room.waits_since is None:
            return None
        earliest = room.waits_since
        if self._last is not None and room.room_id not in self._last.seen:
            earliest = max(earliest, self._last.began_at)
        return min(earliest, began_at)

    def _is_young(self, room: PlatformRoom, began_at: datetime) -> bool:
        return room.waits_since is None or began_at - room.waits_since <= self._max_age

    async def _settle_waiting_again(
        self, listing: Reading[PlatformRooms], known: Mapping[RoomId, Room]
    ) -> int:
        """Rooms that wait although we hold them as assigned: their resolve was lost."""
        evidence = Evidence(state=RoomState.WAITING, began_at=listing.began_at)
        held = (room.chat for room in known.values())
        contradicted = [
            chat
            for chat in held
            if chat is not None
            and chat.state is ChatState.ASSIGNED
            and conclusive_from(chat, self._rules) <= listing.began_at
        ]
        done = [await self._settle_chat.apply(chat, evidence) for chat in contradicted]
        return sum(each is Outcome.CLOSED_AND_NEXT for each in done)

    async def _settle_not_listed(self, listing: Reading[PlatformRooms]) -> int:
        """Chats that wait with us but not there: each is read on its own before it is believed."""
        shown = {room.room_id for room in listing.seen}
        missing = await self._first_missing(shown, listing)
        done = [await self._settle_chat(chat) for chat in missing]
        return sum(each is Outcome.CLOSED for each in done)

    async def _first_missing(
        self, shown: set[RoomId], listing: Reading[PlatformRooms]
    ) -> Sequence[Chat]:
        """Page by page: a line of a million chats would not fit into memory.

        Begins behind those that the last run read, so that some that stay missing hide nobody.
        """
        missing: list[Chat] = []
        after, self._read_up_to = self._read_up_to, None
        while page := await self._room_repo.waiting(LINE_PAGE, after=after):
            missing += [chat for chat in page if self._is_missing(chat, shown, listing)]
            if len(missing) >= READS_AT_MOST:
                self._read_up_to = _place(missing[READS_AT_MOST - 1])
                break
            after = _place(page[-1])
        return missing[:READS_AT_MOST]

    def _is_missing(self, chat: Chat, shown: set[RoomId], listing: Reading[PlatformRooms]) -> bool:
        return (
            chat.room_id not in shown
            and chat.doubt is None
            and conclusive_from(chat, self._rules) <= listing.began_at
        )


def _place(chat: Chat) -> Place:
    return chat.arrived_at, chat.id


def _lacks_chat(room: Room | None) -> bool:
    return room is None or room.chat is None
