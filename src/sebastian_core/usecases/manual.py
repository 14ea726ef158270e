"""What people do by hand: drop, release and assign a chat; pause; set capacities."""

from __future__ import annotations

import asyncio
from functools import partial

from attrs import evolve, frozen

from sebastian_core.domain.agent_loads import AgentSetting, CapacityRules
from sebastian_core.domain.errors import InvalidInput
from sebastian_core.domain.ids import AgentId, RoomId
from sebastian_core.domain.manual import (
    AssignRequest,
    ManualAssignment,
    ManualOutcome,
    ManualResult,
    drop,
    hand_over,
    make_ready,
)
from sebastian_core.domain.rules import Rules
from sebastian_core.ports.agent_settings import AgentSettings
from sebastian_core.ports.clock import Clock
from sebastian_core.ports.job_queue import JobQueue
from sebastian_core.ports.room_repo import RoomRepo
from sebastian_core.usecases.assign import AssignChat, AssignmentResult
from sebastian_core.usecases.roster_cache import RosterCache


async def require_agent(
    agent_id: AgentId, agent_settings: AgentSettings, roster: RosterCache
) -> None:
    """Raise InvalidInput unless the agent is listed, or holds chats or settings in our record.

    Before anybody has read the agents nobody can be told from a stranger, and everybody passes.
    """
    listed = await roster.roster()
    if listed is None or agent_id in listed.agents:
        return
    agent_loads = await agent_settings.agent_loads()
    if agent_id not in agent_loads.loads and agent_id not in agent_loads.settings:
        raise InvalidInput("agent", f"{agent_id} is not in the list of Qiscus")


class DropChat:
    """Closes a waiting chat as dropped; one that an agent holds is left alone."""

    def __init__(self, room_repo: RoomRepo) -> None:
        self._room_repo = room_repo

    async def __call__(self, room_id: RoomId, *, actor: str) -> ManualResult:
        """Drop, and tell what became of it; raises StoreUnavailable if that is not sure."""
        decided = await self._room_repo.decide(room_id, partial(drop, actor))
        return decided.answer


LINE_AT_MOST = 100_000
AT_ONCE = 64


class ReleaseChat:
    """Ends a chat's delay, doubt or exclusion, and rings. It keeps its place in the line."""

    def __init__(self, room_repo: RoomRepo, job_queue: JobQueue, rules: Rules) -> None:
        self._room_repo = room_repo
        self._job_queue = job_queue
        self._rules = rules

    async def __call__(self, room_id: RoomId, *, actor: str) -> ManualResult:
        """Release, and tell what became of it; raises StoreUnavailable if that is not sure."""
        decided = await self._room_repo.decide(
            room_id, partial(make_ready, actor, self._rules), alters_line=True
        )
        if decided.answer.is_done:
            self._job_queue.ring()
        return decided.answer

    async def refused(self, times: int, *, actor: str) -> int:
        """Release all that the platform refused at least so often; how many were made ready.

        Chats in doubt are left out: a reading finds out what became of them.
        """
        line = await self._room_repo.waiting(LINE_AT_MOST)
        rooms = [chat.room_id for chat in line if chat.refusals >= times and not chat.is_doubtful]
        released = 0
        for first in range(0, len(rooms), AT_ONCE):
            some = rooms[first : first + AT_ONCE]
            handled = await asyncio.gather(*(self(room_id, actor=actor) for room_id in some))
            released += sum(each.outcome is ManualOutcome.DONE for each in handled)
        return released


@frozen(kw_only=True)
class GivenByHand:
    """What became of the wish, and, where a slot was taken, how the call to the platform ended."""

    handed: ManualAssignment
    ended: AssignmentResult | None = None


class AssignByHand:
    """Reserves a slot of the chosen agent, counted like any other, then carries it out.

    `assign_chat` should not verify: the person knows better. Its process may die at any moment: the
    reservation is settled from its deadline on like every other.
    """

    def __init__(
        self,
        room_repo: RoomRepo,
        roster: RosterCache,
        assign_chat: AssignChat,
        clock: Clock,
        capacities: CapacityRules,
        rules: Rules,
    ) -> None:
        self._room_repo = room_repo
        self._roster = roster
        self._assign_chat = assign_chat
        self._clock = clock
        self._capacities = capacities
        self._rules = rules

    async def __call__(self, room_id: RoomId, wish: AssignRequest) -> GivenByHand:
        """Assign, or tell why not; raises StoreUnavailable if the slot is not surely taken."""
        reserving_from = self._clock.monotonic()
        roster = await self._roster.roster()
        decided = await self._room_repo.decide_on_floor(
            room_id, partial(hand_over, wish, roster, self._capacities, self._rules)
        )
        handed = decided.answer
        if handed.outcome is not ManualOutcome.DONE or handed.reservation is None:
            return GivenByHand(handed=handed)
        ended = await self._assign_chat(handed.reservation, reserving_from)
        return GivenByHand(handed=handed, ended=ended)


class PauseAgent:
    """Pauses an agent, who keeps their chats and gets no new ones, or lets them take part again.

    With a roster only agents that are known can be meant.
    """

    def __init__(
        self,
        agent_settings: AgentSettings,
        job_queue: JobQueue,
        roster: RosterCache | None = None,
    ) -> None:
        self._agent_settings = agent_settings
        self._job_queue = job_queue
        self._roster = roster

    async def __call__(self, agent_id: AgentId, *, paused: bool, actor: str) -> AgentSetting:
        """Pause or resume; doing it twice changes nothing. The agent's capacity stays.

        Raises InvalidInput for an agent who is not known.
        """
        if self._roster is not None:
            await require_agent(agent_id, self._agent_settings, self._roster)
        setting = await self._agent_settings.set_agent(
            agent_id, lambda held: evolve(held, paused=paused), actor=actor
        )
        if not paused:
            self._job_queue.ring()
        return setting


GREATEST_CAPACITY = 1000


class SetCapacity:
    """Sets the capacity of one agent or of all others; it beats the configuration, at once.

    None takes it back: the agent then has the default, the default is then the configuration's.
    Lowering it takes no chat away. With a roster only agents that are known can be meant.
    """

    def __init__(
        self,
        agent_settings: AgentSettings,
        job_queue: JobQueue,
        roster: RosterCache | None = None,
    ) -> None:
        self._agent_settings = agent_settings
        self._job_queue = job_queue
        self._roster = roster

    async def of_agent(
        self, agent_id: AgentId, capacity: int | None, *, actor: str
    ) -> AgentSetting:
        """Set one agent's; raises InvalidInput out of range, and for one who is not known."""
        _check(capacity)
        if self._roster is not None:
            await require_agent(agent_id, self._agent_settings, self._roster)
        setting = await self._agent_settings.set_agent(
            agent_id, lambda held: evolve(held, capacity=capacity), actor=actor
        )
        self._job_queue.ring()
        return setting

    async def of_all_others(self, capacity: int | None, *, actor: str) -> None:
        """Set the default; raises InvalidInput out of range."""
        _check(capacity)
        await self._agent_settings.set_default_capacity(capacity, actor=actor)
        self._job_queue.ring()


def _check(capacity: int | None) -> None:
    if capacity is not None and not 0 <= capacity <= GREATEST_CAPACITY:
        raise InvalidInput("capacity", f"must be a whole number from 0 to {GREATEST_CAPACITY}")
