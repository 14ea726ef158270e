"""Who gets which chat: the pure choice, and the check that no choice escapes.

A policy sees chats that are ready, oldest first, and agents who are free; it answers placements.
What it answers is checked before anything is written, so capacity never rests on a policy.
"""

from __future__ import annotations

import heapq
from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from attrs import frozen

from sebastian_core.domain.chat import Needs
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


@frozen
class Candidate:
    """An agent who is online, not paused and below capacity, as a policy sees them."""

    agent_id: AgentId
    load: int
    capacity: int
    channels: frozenset[ChannelId] = frozenset()
    last_given_at: datetime | None = None

    @property
    def free(self) -> int:
        """How many more chats the agent may be given."""
        return self.capacity - self.load

    def meets(self, needs: Needs) -> bool:
        """Whether the agent serves the channel and may be eligible for the room."""
        if not needs.allow(self.agent_id):
            return False
        return needs.channel_id is None or not self.channels or needs.channel_id in self.channels


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


Rank = tuple[int, int, float, AgentId]


class LeastLoaded(Policy):
    """Oldest chat first, to the agent with the fewest live chats.

    Among equals the one who was given a chat longest ago (never given: first), then the lower id.
    An agent who refused the chat last is taken only where nobody else is free.
    """

    def place(
        self, chats: Sequence[ReadyChat], candidates: Sequence[Candidate]
    ) -> Sequence[Placement]:
        """Place each chat in turn; the same as asking for them one by one."""
        queues = _Queues(candidates)
        placements = []
        for chat in chats:
            agent_id = queues.take(chat.needs, chat.refused_by)
            if agent_id is not None:
                placements.append(Placement(chat.id, agent_id))
        return placements


class _Queues:
    """The candidates of each needs in the order in which they are to be given chats.

    One heap per needs, made when it is first asked for. An entry is stale once its agent got
    another chat; the agent's new rank is pushed onto every heap that the agent stands in.
    """

    def __init__(self, candidates: Iterable[Candidate]) -> None:
        self._candidates = {each.agent_id: each for each in candidates}
        self._rank: dict[AgentId, Rank] = {
            agent_id: _rank(each) for agent_id, each in self._candidates.items()
        }
        self._heaps: dict[Needs, list[Rank]] = {}
        self._given = 0

    def take(self, needs: Needs, avoid: AgentId | None) -> AgentId | None:
        """The next agent for these needs, their slot taken; None where nobody is free."""
        heap = self._heap(needs)
        agent_id = self._first(heap)
        if agent_id is not None and agent_id == avoid:
            mine = heapq.heappop(heap)
            other = self._first(heap)
            heapq.heappush(heap, mine)
            agent_id = agent_id if other is None else other
        if agent_id is not None:
            self._give(agent_id)
        return agent_id

    def _heap(self, needs: Needs) -> list[Rank]:
        heap = self._heaps.get(needs)
        if heap is None:
            heap = [
                rank
                for agent_id, rank in self._rank.items()
                if self._candidates[agent_id].meets(needs)
            ]
            heapq.heapify(heap)
            self._heaps[needs] = heap
        return heap

    def _first(self, heap: list[Rank]) -> AgentId | None:
        while heap and self._rank.get(heap[0][3]) != heap[0]:
            heapq.heappop(heap)
        return heap[0][3] if heap else None

    def _give(self, agent_id: AgentId) -> None:
        candidate = self._candidates[agent_id]
        load = self._rank.pop(agent_id)[0] + 1
        if load >= candidate.capacity:
            return
        self._given += 1
        rank = (load, 2, float(self._given), agent_id)
        self._rank[agent_id] = rank
        for needs, heap in self._heaps.items():
            if candidate.meets(needs):
                heapq.heappush(heap, rank)


def _rank(candidate: Candidate) -> Rank:
    given = candidate.last_given_at
    if given is None:
        return (candidate.load, 0, 0.0, candidate.agent_id)
    return (candidate.load, 1, given.timestamp(), candidate.agent_id)


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
