"""One look at the floor: who is free, which lines to read, who gets what, and why.

A plan is made from a roster and rules; the room repo hands it what it read under the lock and
carries out what it answers.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cached_property
from itertools import islice
from typing import Any

from attrs import field, frozen

from sebastian_core.domain.agent_loads import AgentLoads, AgentSetting, CapacityRules
from sebastian_core.domain.chat import Needs
from sebastian_core.domain.ids import AgentId, ChannelId
from sebastian_core.domain.policy import (
    Candidate,
    LeastLoaded,
    Placement,
    Policy,
    ReadyChat,
    by_rank,
    check_placements,
    name_of,
)
from sebastian_core.domain.roster import Presence, Roster
from sebastian_core.domain.rules import Rules

NEAREST = 10
"""How many agents a decision names; the others are counted per reason."""


class Availability(StrEnum):
    """How an agent stands for new chats at one moment."""

    FREE = "free"
    FULL = "full"
    OFFLINE = "offline"
    PAUSED = "paused"
    STALE = "not read lately"
    OTHER_CHANNEL = "other channel"
    NOT_ELIGIBLE = "not eligible for the room"


Kind = tuple[Availability, frozenset[ChannelId]]
"""What agents have in common who stand the same for every chat, but for single rooms."""


@frozen
class Agent:
    """One agent with everything that decides about them now.

    `channels` empty: for all we know, or care, the agent may take chats of every channel.
    """

    presence: Presence
    standing: Availability
    load: int
    capacity: int
    channels: frozenset[ChannelId] = frozenset()
    last_given_at: datetime | None = None

    @property
    def kind(self) -> Kind:
        """How the agent stands, and for which channels."""
        return self.standing, self.channels

    def is_free(self) -> bool:
        """Whether the agent may be given a chat."""
        return self.standing is Availability.FREE

    def as_candidate(self) -> Candidate:
        """What a policy sees of the agent."""
        return Candidate(
            self.presence.agent_id, self.load, self.capacity, self.channels, self.last_given_at
        )


@frozen
class Matcher:
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

    def look(self, agent_loads: AgentLoads) -> AgentPool:
        """The floor as it stands for one pass."""
        agents = {
            agent_id: self._agent(presence, agent_loads)
            for agent_id, presence in self.roster.agents.items()
        }
        free = filter(Agent.is_free, agents.values())
        return AgentPool(
            plan=self,
            agent_loads=agent_loads,
            agents=agents,
            kinds=Counter(agent.kind for agent in agents.values()),
            free=Free.of(map(Agent.as_candidate, free)),
        )

    def look_again(
        self, before: AgentPool, agent_loads: AgentLoads, changed: AbstractSet[AgentId]
    ) -> AgentPool:
        """The same after an earlier look, with only those looked at anew who are named.

        `changed` must name everybody of whom the staffing says something else than it did then.
        """
        if not before.lasts_until(self, agent_loads):
            return self.look(agent_loads)
        listed = self.roster.agents
        return before.later(
            agent_loads,
            {
                agent_id: self._agent(listed[agent_id], agent_loads)
                for agent_id in changed
                if agent_id in listed
            },
        )

    def may_be_stale(self, now: datetime) -> bool:
        """Whether somebody's reading is older than allowed."""
        return self.max_age is not None and self._oldest_read_at < now - self.max_age

    @cached_property
    def _oldest_read_at(self) -> datetime:
        online = (each.read_at for each in self.roster.agents.values() if each.online)
        return min(online, default=self.roster.read_at)

    def _agent(self, presence: Presence, agent_loads: AgentLoads) -> Agent:
        setting = agent_loads.settings.get(presence.agent_id, _NO_SETTING)
        load = agent_loads.loads.get(presence.agent_id, 0)
        capacity = self.capacities.of(presence.agent_id, setting, agent_loads)
        standing = self._standing(presence, setting, load >= capacity, agent_loads.now)
        channels = presence.channels if self.match_channels else frozenset[ChannelId]()
        return Agent(presence, standing, load, capacity, channels, setting.last_given_at)

    def _standing(
        self, presence: Presence, setting: AgentSetting, is_full: bool, now: datetime
    ) -> Availability:
        if not presence.online:
            return Availability.OFFLINE
        if setting.paused:
            return Availability.PAUSED
        if self.max_age is not None and presence.read_at < now - self.max_age:
            return Availability.STALE
        return Availability.FULL if is_full else Availability.FREE


_NO_SETTING = AgentSetting()


@frozen
class Free:
    """Those who may be given a chat, in the order in which the shipped policy prefers them."""

    in_order: tuple[Candidate, ...]
    candidates: Mapping[AgentId, Candidate]
    slots: int

    @classmethod
    def of(cls, candidates: Iterable[Candidate]) -> Free:
        """All of these."""
        in_order = tuple(sorted(candidates, key=by_rank))
        by_id = {each.agent_id: each for each in in_order}
        return cls(in_order, by_id, sum(each.free for each in in_order))

    def later(self, gone: Collection[Candidate], come: Collection[Candidate]) -> Free:
        """The same without some, and then with some others: the work is theirs, not everybody's."""
        candidates = dict(self.candidates)
        for each in gone:
            del candidates[each.agent_id]
        candidates |= {each.agent_id: each for each in come}
        if _FEW * (len(gone) + len(come)) > len(candidates):
            return Free.of(candidates.values())
        in_order = list(self.in_order)
        for each in gone:
            del in_order[bisect_left(in_order, each.rank, key=by_rank)]
        for each in come:
            insort(in_order, each, key=by_rank)
        slots = self.slots - sum(each.free for each in gone) + sum(each.free for each in come)
        return Free(tuple(in_order), candidates, slots)


_FEW = 8
"""To sort all costs less than to move more than one in so many (measured, 100 to 10,000)."""


@frozen
class Plan:
    """What is to be done, and the name of the policy that chose it."""

    placements: Sequence[Placement]
    policy: str


@frozen
class AgentPool:
    """All agents at one moment, and the choices that can be made for them.

    `kinds` counts the agents of each kind; `free` are those who may be given a chat.
    """

    plan: Matcher
    agent_loads: AgentLoads
    agents: Mapping[AgentId, Agent]
    kinds: Counter[Kind]
    free: Free

    def lasts_until(self, plan: Matcher, agent_loads: AgentLoads) -> bool:
        """Whether at this later moment only those stand otherwise of whom something changed."""
        return (
            self.plan is plan
            and agent_loads.default_capacity == self.agent_loads.default_capacity
            and agent_loads.now >= self.agent_loads.now
            and not plan.may_be_stale(agent_loads.now)
        )

    def later(self, agent_loads: AgentLoads, changed: Mapping[AgentId, Agent]) -> AgentPool:
        """The floor with these agents as they stand now, and all others as they stood."""
        kinds = self.kinds.copy()
        kinds.subtract(self.agents[agent_id].kind for agent_id in changed)
        kinds.update(agent.kind for agent in changed.values())
        gone = [self.candidates[agent_id] for agent_id in changed if agent_id in self.candidates]
        come = [agent.as_candidate() for agent in changed.values() if agent.is_free()]
        return AgentPool(
            plan=self.plan,
            agent_loads=agent_loads,
            agents={**self.agents, **changed},
            kinds=+kinds,
            free=self.free.later(gone, come),
        )

    @property
    def candidates(self) -> Mapping[AgentId, Candidate]:
        """Those who may be given a chat."""
        return self.free.candidates

    def free_for(self, needs: Needs) -> int:
        """How many chats with these needs could be given at most."""
        return sum(each.free for each in self.candidates.values() if each.meets(needs))

    def open_needs(self, waiting: Iterable[Needs]) -> list[Needs]:
        """Those needs that some free agent meets; the others' lines need not be read."""
        return [needs for needs in waiting if self._is_open(needs)]

    def _is_open(self, needs: Needs) -> bool:
        if needs.only is not None:
            able = (self.candidates.get(agent_id) for agent_id in needs.only)
            return any(each is not None and each.meets(needs) for each in able)
        return any(
            standing is Availability.FREE and needs.served_in(channels)
            for standing, channels in self.kinds
        )

    def place(self, chats: Sequence[ReadyChat]) -> Plan:
        """The policy's placements, checked; the shipped policy's where those cannot be used."""
        policy = self.plan.policy
        if not chats:
            return Plan((), "")
        ordered = tuple(sorted(chats, key=lambda chat: (chat.arrived_at, chat.id)))
        try:
            return self._checked(policy, ordered)
        except Exception as error:
            if type(policy) is LeastLoaded:
                raise
            self.plan.on_refused(error)
        return self._checked(LeastLoaded(), ordered)

    def standing_of(self, agent_id: AgentId, needs: Needs) -> Availability:
        """How one agent of the roster stands for these needs."""
        return _for_needs(self.agents[agent_id].kind, needs.allow(agent_id), needs)

    def standings(self, needs: Needs) -> Counter[Availability]:
        """How many agents stand how for these needs."""
        counted: Counter[Availability] = Counter()
        for kind, number in self.kinds.items():
            counted[_for_needs(kind, needs.only is None, needs)] += number
        for agent_id in (needs.only or frozenset()) & self.agents.keys():
            counted[_for_needs(self.agents[agent_id].kind, False, needs)] -= 1
            counted[self.standing_of(agent_id, needs)] += 1
        return +counted

    def explain(self, needs: Needs) -> dict[str, Any]:
        """How the agents stood for these needs: the nearest by name, the others by reason."""
        nearest = islice((each for each in self.free.in_order if each.meets(needs)), NEAREST)
        return {
            "nearest": [[each.agent_id, each.load, each.capacity] for each in nearest],
            "standings": {str(name): number for name, number in self.standings(needs).items()},
        }

    def _checked(self, policy: Policy, chats: Sequence[ReadyChat]) -> Plan:
        placements = tuple(self._chosen(policy, chats))
        check_placements(placements, chats, self.candidates)
        return Plan(placements, name_of(policy))

    def _chosen(self, policy: Policy, chats: Sequence[ReadyChat]) -> Sequence[Placement]:
        if type(policy) is LeastLoaded:
            return policy.place_in_order(chats, self.free.in_order)
        return policy.place(chats, list(self.free.in_order))


def _for_needs(kind: Kind, allowed: bool, needs: Needs) -> Availability:
    standing, channels = kind
    if not needs.served_in(channels):
        return Availability.OTHER_CHANNEL
    return standing if allowed else Availability.NOT_ELIGIBLE
