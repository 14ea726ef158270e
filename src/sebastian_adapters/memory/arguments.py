"""An allocator's arguments, all in memory: for a first look, and for tests of one's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypedDict

from sebastian_adapters.memory.agent_settings import InMemoryAgentSettings
from sebastian_adapters.memory.agent_store import InMemoryAgentStore
from sebastian_adapters.memory.clock import InMemoryClock
from sebastian_adapters.memory.job_queue import InMemoryJobQueue
from sebastian_adapters.memory.journal import InMemoryJournal
from sebastian_adapters.memory.leadership import InMemoryLeadership
from sebastian_adapters.memory.platform import Platform
from sebastian_adapters.memory.qiscus_client import InMemoryQiscusClient
from sebastian_adapters.memory.record import Record
from sebastian_adapters.memory.room_repo import InMemoryRoomRepo
from sebastian_core.domain.agent_loads import CapacityRules
from sebastian_core.domain.ids import AgentId, RoomId
from sebastian_core.domain.platform import Answer, PlatformRoom, Presences, Reading
from sebastian_core.domain.roster import Presence, Roster


class InMemoryArguments(TypedDict):
    """What `in_memory` answers: arguments of `sebastian_core.Allocator`."""

    room_repo: InMemoryRoomRepo
    agent_settings: InMemoryAgentSettings
    journal: InMemoryJournal
    leadership: InMemoryLeadership
    agent_store: InMemoryAgentStore
    job_queue: InMemoryJobQueue
    qiscus_client: InMemoryQiscusClient
    clock: InMemoryClock
    capacities: CapacityRules


def in_memory(
    agents: Mapping[str, int] | None = None, *, clock: InMemoryClock | None = None
) -> InMemoryArguments:
    """Stores in memory, and a platform on which these agents are online: capacities by name.

    If agents are named, the roster is read already. A room that the platform has never heard of
    waits there as soon as it is asked about, as if its customer had written: who admits an arrival
    need not tell it first. The platform is `arguments["qiscus_client"].platform`.
    """
    clock = clock or InMemoryClock()
    platform = Platform(clock=clock.monotonic)
    capacities = {
        AgentId(platform.add_agent(name)): capacity for name, capacity in (agents or {}).items()
    }
    roster = Roster(
        read_at=clock.now(),
        agents={
            agent_id: Presence(agent_id, online=True, read_at=clock.now(), name=name)
            for agent_id, name in zip(capacities, agents or {}, strict=True)
        },
    )
    record = Record(clock)
    return InMemoryArguments(
        room_repo=InMemoryRoomRepo(record),
        agent_settings=InMemoryAgentSettings(record),
        journal=InMemoryJournal(record),
        leadership=InMemoryLeadership(clock),
        agent_store=InMemoryAgentStore(roster if agents else None),
        job_queue=InMemoryJobQueue(),
        qiscus_client=_WelcomingQiscusClient(platform, clock),
        clock=clock,
        capacities=CapacityRules(per_agent=capacities),
    )


class _WelcomingQiscusClient(InMemoryQiscusClient):
    """The customer of a room that the platform has never heard of writes when we ask about it."""

    async def eligible_agents(self, room_id: RoomId, sought: AgentId) -> Reading[Presences]:
        """See QiscusClient.eligible_agents."""
        self._let_write(room_id)
        return await super().eligible_agents(room_id, sought)

    async def assign(self, room_id: RoomId, agent_id: AgentId) -> Answer:
        """See QiscusClient.assign."""
        self._let_write(room_id)
        return await super().assign(room_id, agent_id)

    async def room(self, room_id: RoomId) -> Reading[PlatformRoom]:
        """See QiscusClient.room."""
        self._let_write(room_id)
        return await super().room(room_id)

    def _let_write(self, room_id: RoomId) -> None:
        if self.platform.room(room_id) is None:
            self.platform.customer_message(room_id)
