"""The account's rooms: what each is, what each was a moment ago, and lists of them by filter."""

import heapq
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeAlias

from attrs import define, evolve, field, frozen

from sebastian_adapters.memory.platform.history import StateHistory
from sebastian_adapters.memory.platform.switches import MOST_UNCLEAN_ROWS, REMEMBERED_SECONDS
from sebastian_adapters.memory.platform.values import (
    Channel,
    FakePage,
    Properties,
    RoomFilter,
    RoomView,
    Tag,
)


@define(eq=False)
class FakeService:
    """One request for service in a room; Qiscus's word for a chat. Ids ascend."""

    id: int
    opened_at: float
    first_comment_id: int
    last_comment_id: int
    agent_id: int | None = None
    retrieved_at: float | None = None
    resolved_at: float | None = None
    notes: str | None = None


@frozen
class FakeRoomState:
    """What changes about a room; replaced as a whole, so that the past stays what it was."""

    is_resolved: bool = False
    is_waiting: bool = False
    agents: tuple[int, ...] = ()
    last_customer_at: float | None = None
    """None before the customer's first message."""
    touched: int = 0
    """A number that every message raises above all others: lists show the highest first."""


@define(eq=False)
class FakeRoom:
    """A customer's room, for ever, with the services it was given."""

    id: int
    room_id: str
    channel: Channel
    name: str
    user_id: str
    history: StateHistory[FakeRoomState]
    services: list[FakeService] = field(factory=list)
    properties: Properties = ()
    tags: list[Tag] = field(factory=list)

    @property
    def state(self) -> FakeRoomState:
        return self.history.last

    @property
    def open_service(self) -> FakeService | None:
        last = self.services[-1] if self.services else None
        return last if last and last.resolved_at is None else None

    @property
    def last_resolved_service(self) -> FakeService | None:
        return next(
            (each for each in reversed(self.services) if each.resolved_at is not None), None
        )

    def view(self, state: FakeRoomState) -> RoomView:
        return RoomView(
            id=self.id,
            room_id=self.room_id,
            channel=self.channel,
            name=self.name,
            user_id=self.user_id,
            is_resolved=state.is_resolved,
            is_waiting=None if state.last_customer_at is None else state.is_waiting,
            is_served=bool(state.agents),
            last_customer_at=state.last_customer_at,
        )


Candidate: TypeAlias = tuple[FakeRoom, FakeRoomState]


@frozen
class Unclean:
    """How many rooms that stopped waiting the unserved list still shows, and for how long."""

    rows: int
    seconds: float


class Rooms:
    """All rooms, with an index for each list that is asked for often.

    Changing a room costs the same with ten rooms and with a million. A page costs what it holds,
    what lies before its cursor, and what changed within the lag.
    """

    def __init__(self) -> None:
        self._rooms: dict[str, FakeRoom] = {}
        self._newest_last: dict[str, FakeRoom] = {}
        self._unresolved: dict[str, FakeRoom] = {}
        self._waiting: dict[str, FakeRoom] = {}
        self._held: dict[int, dict[str, FakeRoom]] = {}
        self._changes: deque[tuple[float, FakeRoom]] = deque()
        self._lately_odd: deque[tuple[float, FakeRoom]] = deque(maxlen=MOST_UNCLEAN_ROWS)
        self._touches = 0

    def __len__(self) -> int:
        return len(self._rooms)

    def get(self, room_id: str) -> FakeRoom | None:
        return self._rooms.get(room_id)

    def waiting(self) -> list[str]:
        return list(self._waiting)

    def unresolved(self) -> list[str]:
        return list(self._unresolved)

    def held_by(self, agent_id: int) -> list[str]:
        return list(self._held.get(agent_id, ()))

    def load_of(self, agent_id: int) -> int:
        return len(self._held.get(agent_id, ()))

    def add(self, room: FakeRoom) -> None:
        self._rooms[room.room_id] = room

    def set_state(
        self, room: FakeRoom, at: float, state: FakeRoomState, *, touch: bool = False
    ) -> None:
        """Give the room this state from that moment on, and update every index."""
        before = room.state
        if touch:
            self._touches += 1
            state = evolve(state, touched=self._touches)
        room.history.set(at, state)
        self._note_change(at, room)
        self._index(room, state, touch=touch)
        self._index_agents(room, before.agents, state.agents)
        if before.is_waiting and not state.is_waiting:
            self._lately_odd.append((at, room))

    def page(
        self,
        wanted: RoomFilter,
        *,
        at: float,
        before: int | None,
        limit: int,
        unclean: Unclean,
    ) -> FakePage[RoomView]:
        """The rooms that matched the filter at that moment, newest first, behind the cursor.

        The unserved list also holds a few rooms that do not belong in it, as `unclean` says.
        """
        odd = self._odd(unclean, at) if wanted.serve_status == "unserved" else []
        matching = (
            (room, state)
            for room, state in self._newest_first(wanted, at, odd)
            if (before is None or state.touched < before)
            and (_matches(room, state, wanted) or (room in odd and _matches_widely(room, wanted)))
        )
        found = list(islice(matching, limit + 1))
        rows = found[:limit]
        return FakePage(
            items=tuple(room.view(state) for room, state in rows),
            per_page=limit,
            after=str(rows[-1][1].touched) if len(found) > limit else None,
        )

    def _odd(self, unclean: Unclean, at: float) -> list[FakeRoom]:
        """The rooms that stopped waiting last, as many and as long ago as `unclean` says."""
        since = at - unclean.seconds
        lately = [room for stopped_at, room in self._lately_odd if stopped_at >= since]
        return lately[len(lately) - min(unclean.rows, len(lately)) :]

    def _newest_first(
        self, wanted: RoomFilter, at: float, odd: list[FakeRoom]
    ) -> Iterator[Candidate]:
        moved = self._changed_since(at)
        moved.update((room.room_id, room) for room in odd)
        steady = (
            (room, room.state) for room in self._index_for(wanted) if room.room_id not in moved
        )
        past = sorted(_states_at(moved.values(), at), key=_age)
        return heapq.merge(steady, past, key=_age)

    def _index_for(self, wanted: RoomFilter) -> Iterable[FakeRoom]:
        if wanted.user_ids:
            held = {k: v for each in wanted.user_ids for k, v in self._held.get(each, {}).items()}
            return sorted(held.values(), key=lambda room: -room.state.touched)
        if wanted.serve_status == "unserved" and wanted.status != "resolved":
            return reversed(self._waiting.values())
        if wanted.status == "unresolved" or wanted.serve_status == "served":
            return reversed(self._unresolved.values())
        return reversed(self._newest_last.values())

    def _changed_since(self, at: float) -> dict[str, FakeRoom]:
        moved: dict[str, FakeRoom] = {}
        for changed_at, room in reversed(self._changes):
            if changed_at <= at:
                break
            moved[room.room_id] = room
        return moved

    def _note_change(self, at: float, room: FakeRoom) -> None:
        self._changes.append((at, room))
        while self._changes[0][0] < at - REMEMBERED_SECONDS:
            self._changes.popleft()

    def _index(self, room: FakeRoom, state: FakeRoomState, *, touch: bool) -> None:
        _keep(self._newest_last, room, belongs=True, last=touch)
        _keep(self._unresolved, room, belongs=not state.is_resolved, last=touch)
        _keep(self._waiting, room, belongs=state.is_waiting, last=touch)

    def _index_agents(self, room: FakeRoom, before: Iterable[int], after: Iterable[int]) -> None:
        for agent_id in before:
            self._held[agent_id].pop(room.room_id, None)
        for agent_id in after:
            self._held.setdefault(agent_id, {})[room.room_id] = room


def _keep(index: dict[str, FakeRoom], room: FakeRoom, *, belongs: bool, last: bool) -> None:
    if last or not belongs:
        index.pop(room.room_id, None)
    if belongs:
        index[room.room_id] = room


def _states_at(rooms: Iterable[FakeRoom], at: float) -> Iterator[Candidate]:
    for room in rooms:
        state = room.history.at(at)
        if state is not None:
            yield room, state


def _age(candidate: Candidate) -> int:
    return -candidate[1].touched


def _matches(room: FakeRoom, state: FakeRoomState, wanted: RoomFilter) -> bool:
    return (
        _matches_widely(room, wanted)
        and _matches_status(state, wanted.status)
        and _matches_serving(state, wanted)
    )


def _matches_widely(room: FakeRoom, wanted: RoomFilter) -> bool:
    if wanted.channel_ids and room.channel.id not in wanted.channel_ids:
        return False
    if wanted.tag_ids and not {tag.id for tag in room.tags} & {*wanted.tag_ids}:
        return False
    if wanted.is_handled_by_bot:
        return False
    return wanted.name is None or wanted.name in room.name


def _matches_status(state: FakeRoomState, status: str | None) -> bool:
    if status is None:
        return True
    return status == ("resolved" if state.is_resolved else "unresolved")


def _matches_serving(state: FakeRoomState, wanted: RoomFilter) -> bool:
    if wanted.user_ids and not set(wanted.user_ids) & set(state.agents):
        return False
    if wanted.serve_status == "served":
        return bool(state.agents)
    if wanted.serve_status == "unserved":
        return state.is_waiting
    return True
