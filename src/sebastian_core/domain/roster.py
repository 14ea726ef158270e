"""Who is online, as the platform says: presence, merged from readings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta

from attrs import evolve, field, frozen

from sebastian_core.domain.ids import AgentId, ChannelId

SET_BACK = timedelta(minutes=10)
"""A reading so much older than another did not come late: the clock was set back in between."""

_NEVER = datetime.min.replace(tzinfo=UTC)


@frozen
class Presence:
    """What one reading says of one agent. `read_at` is the moment its request began.

    `channels` empty means unknown (contract section 6: the list may be missing). `count` is the
    platform's customer count; it may lag and only ever raises suspicion.
    """

    agent_id: AgentId
    online: bool
    read_at: datetime
    channels: frozenset[ChannelId] = frozenset()
    count: int | None = None
    name: str = ""


@frozen
class Roster:
    """The presence of all agents from complete readings, newest word per agent.

    `read_at` is the moment at which the newest complete listing began; `missing` counts for how
    many complete listings in a row an agent has not been listed.
    """

    read_at: datetime
    agents: Mapping[AgentId, Presence] = field(factory=dict)
    missing: Mapping[AgentId, int] = field(factory=dict)

    def merged_listing(self, listing: Iterable[Presence], began_at: datetime) -> Roster:
        """The roster after a complete listing; an older listing than ours changes nothing.

        An agent is gone after two complete listings without them, and offline from the first. What
        a younger reading said of one agent outlives the listing. Where the listing is older by more
        than `SET_BACK`, whatever is known has lost its date.
        """
        if self.read_at - began_at > SET_BACK:
            return self._undated().merged_listing(listing, began_at)
        if began_at <= self.read_at:
            return self
        agents = {presence.agent_id: self._younger(presence) for presence in listing}
        missing = {}
        for agent_id, presence in self.agents.items():
            if agent_id in agents:
                continue
            if presence.read_at > began_at:
                agents[agent_id] = presence
            elif not self.missing.get(agent_id):
                agents[agent_id] = evolve(presence, online=False, read_at=began_at)
                missing[agent_id] = 1
        return Roster(read_at=began_at, agents=agents, missing=missing)

    def merged_sightings(self, presences: Iterable[Presence]) -> Roster:
        """The roster with single agents seen later; older words change nothing."""
        changed = {
            seen.agent_id: seen
            for seen in presences
            if seen.agent_id in self.agents and self._younger(seen) is seen
        }
        if not changed:
            return self
        return evolve(self, agents={**self.agents, **changed})

    def gained_over(self, earlier: Roster | None) -> bool:
        """Whether somebody came online since the earlier roster."""
        before = earlier.agents if earlier else {}
        return any(
            presence.online and not (agent_id in before and before[agent_id].online)
            for agent_id, presence in self.agents.items()
        )

    def _undated(self) -> Roster:
        agents = {each.agent_id: evolve(each, read_at=_NEVER) for each in self.agents.values()}
        return evolve(self, read_at=_NEVER, agents=agents)

    def _younger(self, seen: Presence) -> Presence:
        known = self.agents.get(seen.agent_id)
        return known if known is not None and known.read_at > seen.read_at else seen
