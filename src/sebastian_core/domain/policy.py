"""Who gets which chat: the pure choice, and the check that no choice escapes.

A policy sees chats that are ready, oldest first, and agents who are free; it answers placements.
What it answers is checked before anything is written, so capacity never rests on a policy.
"""

from __future__ import annotations

import heapq
from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import islice
from operator import attrgetter
from typing import Protocol

from attrs import field, frozen

from sebastian_core.domain.chat import Chat, Needs
from sebastian_core.domain.errors import PlanRefused
from sebastian_core.domain.ids import AgentId, ChannelId, ChatId, RoomId


@frozen
class ReadyChat:
    """A chat that may be given now, as a policy sees it."""

    id: ChatId
    room_id: RoomId
    needs: Needs
    arrived_at: datetime
    refused_by: AgentId | None = None
    properties: Mapping[str, str] | None = None

    @classmethod
    def of(cls, chat: Chat) -> ReadyChat:
        """What a policy sees of a chat."""
        return cls(
            chat.id, chat.room_id, chat.needs, chat.arrived_at, chat.refused_by, chat.properties
        )


Rank = tuple[int, int, float, AgentId]


@frozen
class Candidate:
    """An agent who is online, not paused and below capacity, as a policy sees them.

    `rank` orders candidates as `LeastLoaded` prefers them.
    """

    agent_id: AgentId
    load: int
    capacity: int
    channels: frozenset[ChannelId] = frozenset()
    last_given_at: datetime | None = None
    rank: Rank = field(init=False, eq=False, repr=False)

    @rank.default
    def _ranked(self) -> Rank:
        given = self.last_given_at
        if given is None:
            return (self.load, 0, 0.0, self.agent_id)
        return (self.load, 1, given.timestamp(), self.agent_id)

    @property
    def free(self) -> int:
        """How many more chats the agent may be given."""
        return self.capacity - self.load

    def meets(self, needs: Needs) -> bool:
        """Whether the agent serves the channel and may be eligible for the room."""
        return needs.allow(self.agent_id) and needs.served_in(self.channels)


@frozen
class Placement:
    """This chat for this agent."""

    chat_id: ChatId
    agent_id: AgentId


class Policy(Protocol):
    """Chooses who gets which chat.

    `place` is a pure function: no I/O, no clock, quick. Chats come oldest first; candidates in no
    order. It may leave chats out; it may not give one twice, to an agent without a free slot, or to
    one who does not meet its needs: such a plan is refused as a whole, and the shipped policy
    serves.
    """

    @abstractmethod
    def place(
        self, chats: Sequence[ReadyChat], candidates: Sequence[Candidate]
    ) -> Sequence[Placement]: ...


def name_of(policy: Policy) -> str:
    """What the history calls a policy: its `name` where it has one, else its class's."""
    return str(getattr(policy, "name", type(policy).__name__))


class LeastLoaded(Policy):
    """Oldest chat first, to the agent with the fewest live chats.

    Among equals the one who was given a chat longest ago (never given: first), then the lower id.
    An agent who refused the chat last is taken only where nobody else is free.
    """

    def place(
        self, chats: Sequence[ReadyChat], candidates: Sequence[Candidate]
    ) -> Sequence[Placement]:
        """Place each chat in turn; the same as asking for them one by one."""
        return self.place_in_order(chats, sorted(candidates, key=by_rank))

    def place_in_order(
        self, chats: Sequence[ReadyChat], candidates: Sequence[Candidate]
    ) -> Sequence[Placement]:
        """The same for candidates in the order of their ranks; only the first are looked at."""
        queues = _Queues(candidates, len(chats))
        placements = []
        for chat in chats:
            agent_id = queues.take(chat.needs, chat.refused_by)
            if agent_id is not None:
                placements.append(Placement(chat.id, agent_id))
        return placements


by_rank = attrgetter("rank")
"""The key that sorts candidates."""

Entry = tuple[Rank, Candidate]


class _Queues:
    """The candidates of each needs in the order in which they are to be given chats.

    One heap per needs, made when it is first asked for, of the first candidates only: one more than
    there are chats, because each chat takes one and may avoid another. An entry is stale once its
    agent got another chat; the agent's new rank is pushed onto every heap that the agent stands in.
    """

    def __init__(self, in_order: Iterable[Candidate], chats: int) -> None:
        self._in_order = in_order
        self._enough = chats + 1
        self._given: dict[AgentId, Entry | None] = {}
        self._heaps: dict[Needs, list[Entry]] = {}
        self._times = 0

    def take(self, needs: Needs, avoid: AgentId | None) -> AgentId | None:
        """The next agent for these needs, their slot taken; None where nobody is free."""
        heap = self._heap(needs)
        first = self._first(heap)
        if first is not None and first[1].agent_id == avoid:
            heapq.heappop(heap)
            second = self._first(heap)
            heapq.heappush(heap, first)
            first = second or first
        if first is None:
            return None
        self._give(first)
        return first[1].agent_id

    def _heap(self, needs: Needs) -> list[Entry]:
        heap = self._heaps.get(needs)
        if heap is None:
            able = (each for each in self._in_order if each.meets(needs))
            fresh = (each for each in able if each.agent_id not in self._given)
            heap = [(each.rank, each) for each in islice(fresh, self._enough)]
            heap += [entry for entry in self._given.values() if entry and entry[1].meets(needs)]
            heapq.heapify(heap)
            self._heaps[needs] = heap
        return heap

    def _first(self, heap: list[Entry]) -> Entry | None:
        while heap and self._is_stale(heap[0]):
            heapq.heappop(heap)
        return heap[0] if heap else None

    def _is_stale(self, entry: Entry) -> bool:
        return self._given.get(entry[1].agent_id, entry) is not entry

    def _give(self, entry: Entry) -> None:
        (load, *_), candidate = entry
        self._times += 1
        rank = (load + 1, 2, float(self._times), candidate.agent_id)
        again = (rank, candidate) if load + 1 < candidate.capacity else None
        self._given[candidate.agent_id] = again
        if again is None:
            return
        for needs, heap in self._heaps.items():
            if candidate.meets(needs):
                heapq.heappush(heap, again)


def check_placements(
    placements: Sequence[Placement],
    chats: Sequence[ReadyChat],
    candidates: Mapping[AgentId, Candidate],
) -> None:
    """Raise PlanRefused unless every placement is one that any policy may make."""
    offered = {chat.id: chat for chat in chats}
    taken: dict[AgentId, int] = {}
    for placement in placements:
        chat = offered.pop(placement.chat_id, None)
        if chat is None:
            raise PlanRefused(f"chat {placement.chat_id} was not offered, or is placed twice")
        candidate = candidates.get(placement.agent_id)
        if candidate is None:
            raise PlanRefused(f"agent {placement.agent_id} is not online and free")
        if not candidate.meets(chat.needs):
            raise PlanRefused(f"agent {placement.agent_id} may not take chat {placement.chat_id}")
        taken[placement.agent_id] = taken.get(placement.agent_id, 0) + 1
        if taken[placement.agent_id] > candidate.free:
            raise PlanRefused(f"agent {placement.agent_id} has no free slot left")
