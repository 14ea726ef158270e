"""What our record says of all agents, read whole or as far as it changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import compress, filterfalse
from operator import ne

from attrs import evolve, frozen

from sebastian_adapters.postgres.pipeline import NamedQuery
from sebastian_adapters.postgres.rows import Row
from sebastian_core.domain.agent_loads import AgentLoads, AgentSetting
from sebastian_core.domain.ids import AgentId


def loads_statement(since: datetime | None = None) -> NamedQuery:
    """What reads loads and settings; with a moment, of these what may have changed since."""
    return NamedQuery("staffing", {"since": since})


def loads_from(rows: Sequence[Row]) -> AgentLoads:
    """What the row of that statement says."""
    ((agent_ids, loads, known_ids, paused, capacities, last_given_at, default, now),) = rows
    settings = map(AgentSetting, paused, capacities, last_given_at)
    return AgentLoads(
        now=now,
        loads=dict(zip(agent_ids, loads, strict=True)),
        settings=dict(zip(known_ids, settings, strict=True)),
        default_capacity=default,
    )


@frozen
class KnownLoads:
    """What a process last read under the lock, so that the next time there is little to read.

    `changed` names whoever is known otherwise than before that reading, and perhaps some others.

    Whoever gives a chat holds that lock and writes down when, so what was given since is younger.
    Should the server's clock step back, an agent's `last_given_at` may stay old for a while, and
    with it their turn among equals; what people decided is read every time.
    """

    agent_loads: AgentLoads
    decided: frozenset[AgentId]
    changed: frozenset[AgentId] = frozenset()

    @classmethod
    def whole(cls, agent_loads: AgentLoads) -> KnownLoads:
        """What is known after everything was read."""
        return cls(agent_loads, _decided(agent_loads))

    def after(self, read: AgentLoads) -> KnownLoads:
        """What is known after what changed since `agent_loads.now` was read."""
        settings = dict(self.agent_loads.settings)
        undecided = self.decided - read.settings.keys()
        for agent_id in undecided:
            settings[agent_id] = AgentSetting(last_given_at=settings[agent_id].last_given_at)
        settings.update(read.settings)
        return KnownLoads(
            evolve(read, settings=settings),
            _decided(read),
            undecided | read.settings.keys() | _differing(self.agent_loads.loads, read.loads),
        )


def _differing(before: Mapping[AgentId, int], now: Mapping[AgentId, int]) -> set[AgentId]:
    """Whose load is not what it was; in the interpreter's own loops, for ten thousand agents."""
    differs = map(ne, now.values(), map(before.get, now))
    return {*compress(now, differs), *filterfalse(now.__contains__, before)}


def _decided(agent_loads: AgentLoads) -> frozenset[AgentId]:
    """Those about whom people decided something."""
    return frozenset(
        agent_id
        for agent_id, setting in agent_loads.settings.items()
        if setting.paused or setting.capacity is not None
    )
