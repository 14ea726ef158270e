"""A small floor in memory on which every situation can be brought about and explained."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial

from sebastian_adapters.memory.agent_settings import InMemoryAgentSettings
from sebastian_adapters.memory.agent_store import InMemoryAgentStore
from sebastian_adapters.memory.clock import InMemoryClock
from sebastian_adapters.memory.job_queue import InMemoryJobQueue
from sebastian_adapters.memory.journal import InMemoryJournal
from sebastian_adapters.memory.record import Record
from sebastian_adapters.memory.room_repo import InMemoryRoomRepo
from sebastian_apps.wording import explained
from sebastian_core.domain.adoption import Listed, adopt
from sebastian_core.domain.agent_loads import CapacityRules
from sebastian_core.domain.explanation import BlockedBy
from sebastian_core.domain.ids import AgentId, ChannelId, RoomId
from sebastian_core.domain.manual import AssignRequest, hand_over
from sebastian_core.domain.matcher import Matcher
from sebastian_core.domain.reservation import Reservation, confirm, pass_over, refuse, release
from sebastian_core.domain.roster import Presence
from sebastian_core.domain.rules import Rules
from sebastian_core.domain.webhooks import Arrival, Resolution, admit, resolve
from sebastian_core.usecases.dispatch import DispatchRules
from sebastian_core.usecases.explain import ExplainRoom
from sebastian_core.usecases.manual import DropChat, PauseAgent, ReleaseChat, SetCapacity
from sebastian_core.usecases.roster_cache import RosterCache

NINE = datetime(2025, 6, 22, 9, 0, tzinfo=UTC)
ANNE, BEN, CLEO = AgentId(7), AgentId(8), AgentId(9)
NAMES = {ANNE: "Anne", BEN: "Ben", CLEO: "Cleo"}
WHATSAPP, WIDGET = ChannelId(31), ChannelId(32)
ROOM = RoomId("68303333")


class Floor:
    """Drives the record by the pure decisions, at moments that the test chooses."""

    def __init__(self, *, capacity: int = 1, verify: bool = True) -> None:
        self.clock = InMemoryClock(NINE, seconds=lambda: 0.0)
        record = Record(self.clock)
        self.repo = InMemoryRoomRepo(record)
        self.agent_settings = InMemoryAgentSettings(record)
        self.journal = InMemoryJournal(record)
        self.roster = RosterCache(InMemoryAgentStore())
        self.rules = Rules()
        self.capacities = CapacityRules(default=capacity)
        queue = InMemoryJobQueue()
        self.drop, self.release_chat = (
            DropChat(self.repo),
            ReleaseChat(self.repo, queue, self.rules),
        )
        self.pause = PauseAgent(self.agent_settings, queue)
        self.capacity = SetCapacity(self.agent_settings, queue)
        self.blocked: BlockedBy | None = None
        self.explain = ExplainRoom(
            self.repo,
            self.journal,
            self.agent_settings,
            self.roster,
            DispatchRules(capacities=self.capacities, rules=self.rules),
            verify=verify,
            blocked=self._what_blocks,
        )

    async def _what_blocks(self, _: datetime) -> BlockedBy | None:
        return self.blocked

    async def agents(
        self,
        *online: AgentId,
        offline: tuple[AgentId, ...] = (),
        channels: dict[AgentId, ChannelId] | None = None,
    ) -> None:
        """A complete listing with these agents."""
        now = self.clock.now()
        listing = [
            Presence(
                agent_id,
                agent_id in online,
                now,
                channels=frozenset(
                    {channels[agent_id]} if channels and agent_id in channels else ()
                ),
                name=NAMES.get(agent_id, ""),
            )
            for agent_id in (*online, *offline)
        ]
        await self.roster.replace(listing, now)

    async def asks(self, room_id: RoomId = ROOM, channel_id: ChannelId | None = WHATSAPP) -> None:
        """A customer asks."""
        arrival = Arrival(room_id=room_id, channel_id=channel_id)
        await self.repo.decide(room_id, partial(admit, arrival, self.rules))

    async def resolves(self, room_id: RoomId = ROOM) -> None:
        """Somebody resolves the room."""
        await self.repo.decide(room_id, partial(resolve, Resolution(room_id=room_id), self.rules))

    async def reserve(self, limit: int = 10) -> tuple[Reservation, ...]:
        """One pass."""
        roster = await self.roster.roster()
        assert roster is not None
        plan = Matcher(roster=roster, capacities=self.capacities, rules=self.rules)
        return await self.repo.reserve(plan, limit=limit)

    async def give(self, limit: int = 10) -> None:
        """One pass that the platform confirms."""
        for reservation in await self.reserve(limit):
            room_id = reservation.chat.room_id
            await self.repo.decide(room_id, partial(confirm, reservation, self.rules))

    async def refuse(self, times: int, *, waits: bool = True) -> None:
        """The platform refuses so often; afterwards the next try is due, if one waits for it."""
        for _ in range(times):
            (reservation,) = await self.reserve()
            refused = partial(refuse, reservation, "Qiscus refused with 400: no text", self.rules)
            room = (await self.repo.decide(reservation.chat.room_id, refused)).room
            assert room is not None
            assert room.chat is not None
            if waits:
                self.after((room.chat.ready_at - self.clock.now()).total_seconds())

    async def release(self, reason: str) -> None:
        """One pass whose chats come back into the line."""
        for reservation in await self.reserve():
            room_id = reservation.chat.room_id
            await self.repo.decide(room_id, partial(release, reservation, reason, Rules()))

    async def pass_over(self, *eligible: AgentId) -> None:
        """One pass whose agent the platform does not hold eligible; these are."""
        (reservation,) = await self.reserve()
        decision = partial(pass_over, reservation, eligible, self.rules)
        await self.repo.decide(reservation.chat.room_id, decision)

    async def hand_over(self, agent_id: AgentId, *, actor: str, over: bool = False) -> None:
        """A person gives the room, and the platform confirms."""
        wish = AssignRequest(agent_id=agent_id, actor=actor, over=over)
        roster = await self.roster.roster()
        decided = await self.repo.decide_on_floor(
            ROOM, partial(hand_over, wish, roster, self.capacities, self.rules)
        )
        reservation = decided.answer.reservation
        assert reservation is not None
        await self.repo.decide(ROOM, partial(confirm, reservation, self.rules))

    async def adopted(self, agent_id: AgentId, room_id: RoomId = ROOM) -> None:
        """Somebody else gave the room, and we saw it."""
        listed = Listed(room_id=room_id, agent_id=agent_id, began_at=self.clock.now())
        await self.repo.decide(room_id, partial(adopt, listed, self.rules))

    def after(self, seconds: float) -> None:
        """Time passes."""
        self.clock.advance(seconds)

    async def why(self, room_id: RoomId = ROOM) -> str:
        """What `sebastian why` prints."""
        return "\n".join(explained(await self.explain(room_id)))
