"""One look at the floor: who is free, which lines to read, who gets what, and why.

A plan is made from a roster and rules; the room repo hands it what it read under the lock and
carries out what it answers.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from attrs import field, frozen

from sebastian_core.domain.agent import AgentSetting, CapacityRules, Presence, Roster, Staffing
from sebastian_core.domain.chat import Needs
from sebastian_core.domain.ids import AgentId, ChannelId
from sebastian_core.domain.policy import (
    Candidate,
    LeastLoaded,
    Placement,
    Policy,
    ReadyChat,
    check_placements,
)
from sebastian_core.domain.rules import Rules

NEAREST = 10
"""How many agents a decision names; the others are counted per reason."""


class Standing(StrEnum):
    """How an agent stands for new chats at one moment."""

    FREE = "free"
    FULL = "full"
    OFFLINE = "offline"
    PAUSED = "paused"
    STALE = "not read lately"
    OTHER_CHANNEL = "other channel"
    NOT_ELIGIBLE = "not eligible for the room"


@frozen
class Agent:
    """One agent with everything that decides about them now."""

    presence: Presence
    standing: Standing
    load: int
    capacity: int
    last_given_at: datetime | None = None


@frozen
class Plan:
    """How to choose, made once a dispatch and asked inside the reserving transaction.

    `max_age` set means that a presence counts only if its reading began no longer ago (promise P6
    without a reading per call). `on_refused` is told when a policy raised or cheated.
    """

    roster: Roster
    capacities: CapacityRules = field(factory=CapacityRules)
    policy: Policy = field(factory=LeastLoaded)
    rules: Rules = field(factory=Rules)
    match_channels: bool = True
    max_age: timedelta | None = None
    on_refused: Callable[[Exception], None] = lambda error: None

    def look(self, staffing: Staffing) -> Floor:
        """The floor as it stands for one pass."""
        agents = {
            agent_id: self._agent(presence, staffing)
            for agent_id, presence in self.roster.agents.items()
        }
        return Floor(plan=self, agents=agents)

    def _agent(self, presence: Presence, staffing: Staffing) -> Agent:
        setting = staffing.settings.get(presence.agent_id, _NO_SETTING)
        load = staffing.loads.get(presence.agent_id, 0)
        capacity = self.capacities.of(presence.agent_id, setting, staffing)
        standing = self._standing(presence, setting, load >= capacity, staffing.now)
        return Agent(presence, standing, load, capacity, setting.last_given_at)

    def _standing(
        self, presence: Presence, setting: AgentSetting, is_full: bool, now: datetime
    ) -> Standing:
        if not presence.online:
            return Standing.OFFLINE
        if setting.paused:
            return Standing.PAUSED
        if self.max_age is not None and presence.read_at < now - self.max_age:
            return Standing.STALE
        return Standing.FULL if is_full else Standing.FREE


_NO_SETTING = AgentSetting()


@frozen
class Floor:
    """All agents at one moment, and the choices that can be made for them."""

    plan: Plan
    agents: Mapping[AgentId, Agent]
    candidates: Mapping[AgentId, Candidate] = field(init=False)

    @candidates.default
    def _candidates(self) -> Mapping[AgentId, Candidate]:
        return {
            agent_id: Candidate(
                agent_id, agent.load, agent.capacity, self._channels(agent), agent.last_given_at
            )
            for agent_id, agent in self.agents.items()
            if agent.standing is Standing.FREE
        }

    @property
    def free_slots(self) -> int:
        """How many chats could be given at most."""
        return sum(each.free for each in self.candidates.values())

    def free_for(self, needs: Needs) -> int:
        """How many chats with these needs could be given at most."""
        return sum(each.free for each in self.candidates.values() if each.meets(needs))

    def open_needs(self, waiting: Iterable[Needs]) -> list[Needs]:
        """Those needs that some free agent meets; the others' lines need not be read."""
        candidates = list(self.candidates.values())
        return [needs for needs in waiting if any(each.meets(needs) for each in candidates)]

    def place(self, chats: Sequence[ReadyChat]) -> Sequence[Placement]:
        """The policy's placements, checked; the shipped policy's where those cannot be used."""
        if not chats:
            return ()
        ordered = tuple(sorted(chats, key=lambda chat: (chat.arrived_at, chat.id)))
        policy = self.plan.policy
        try:
            return self._checked(policy, ordered)
        except Exception as error:
            if type(policy) is LeastLoaded:
                raise
            self.plan.on_refused(error)
        return self._checked(LeastLoaded(), ordered)

    def standing_of(self, agent_id: AgentId, needs: Needs) -> Standing:
        """How one agent of the roster stands for these needs."""
        agent = self.agents[agent_id]
        allowed = needs.allow(agent_id)
        return _for_needs(agent.standing, self._channels(agent), allowed, needs)

    def standings(self, needs: Needs) -> Counter[Standing]:
        """How many agents stand how for these needs."""
        groups = Counter(
            (agent.standing, self._channels(agent), needs.allow(agent_id))
            for agent_id, agent in self.agents.items()
        )
        counted: Counter[Standing] = Counter()
        for (standing, channels, allowed), number in groups.items():
            counted[_for_needs(standing, channels, allowed, needs)] += number
        return counted

    def explain(self, needs: Needs) -> dict[str, Any]:
        """How the agents stood for these needs: the nearest by name, the others by reason."""
        nearest = heapq.nsmallest(
            NEAREST,
            (each for each in self.candidates.values() if each.meets(needs)),
            key=lambda each: (each.load, each.last_given_at is not None, each.agent_id),
        )
        return {
            "nearest": [[each.agent_id, each.load, each.capacity] for each in nearest],
            "standings": {str(name): number for name, number in self.standings(needs).items()},
        }

    def _channels(self, agent: Agent) -> frozenset[ChannelId]:
        return agent.presence.channels if self.plan.match_channels else frozenset()

    def _checked(self, policy: Policy, chats: Sequence[ReadyChat]) -> Sequence[Placement]:
        placements = tuple(policy.place(chats, list(self.candidates.values())))
        check_placements(placements, chats, self.candidates)
        return placements


def _for_needs(
    standing: Standing, channels: frozenset[ChannelId], allowed: bool, needs: Needs
) -> Standing:
    if needs.channel_id is not None and channels and needs.channel_id not in channels:
        return Standing.OTHER_CHANNEL
    return standing if allowed else Standing.NOT_ELIGIBLE
