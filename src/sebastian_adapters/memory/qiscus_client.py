"""The Qiscus client in memory: asks a `Platform` directly, without a wire."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any, TypeVar

from attrs import evolve

from sebastian_adapters.memory.platform import (
    FakeAgentView,
    FakePage,
    Platform,
    Refusal,
    RoomFilter,
    RoomView,
)
from sebastian_adapters.memory.platform.values import AGENT
from sebastian_core.domain.errors import PlatformRefused
from sebastian_core.domain.ids import AgentId, ChannelId, RoomId, parse_room_id
from sebastian_core.domain.in_doubt import RoomState
from sebastian_core.domain.platform import (
    Account,
    Answer,
    PlatformRoom,
    PlatformRooms,
    Presences,
    Reading,
    Registration,
)
from sebastian_core.domain.roster import Presence
from sebastian_core.ports.clock import Clock
from sebastian_core.ports.qiscus_client import Pace, QiscusClient

AGENTS_PER_PAGE = 100
ROOMS_PER_PAGE = 50

Hook = Callable[[str], Awaitable[None]]
"""Awaited with the operation's name; what it raises is what the caller gets."""

T = TypeVar("T")
Item = TypeVar("Item")


class InMemoryQiscusClient(QiscusClient):
    """Asks the platform that lives in this process; refuses what it refuses, pages as it pages.

    `before` and `after` stand around every request, with the name of the port's method: what
    `before` raises keeps the request from being applied, what `after` raises is an answer that got
    lost. Both may wait: as over a wire, a request goes on when its caller is gone.
    """

    def __init__(
        self,
        platform: Platform,
        clock: Clock,
        *,
        before: Hook | None = None,
        after: Hook | None = None,
    ) -> None:
        self.platform = platform
        self.before = before
        self.after = after
        self._clock = clock
        self._under_way: set[asyncio.Task[Any]] = set()

    async def agents(self, pace: Pace) -> Reading[Presences]:
        """All agents, page by page, by cursor or by number."""

        def page_at(number: int, cursor: str | None) -> FakePage[FakeAgentView]:
            return self.platform.agents(page=number, cursor_after=cursor, limit=AGENTS_PER_PAGE)

        return await self._listed("agents", pace, page_at, _presence)

    async def eligible_agents(self, room_id: RoomId, sought: AgentId) -> Reading[Presences]:
        """Whom the platform holds eligible by the room's channel, up to the sought agent's page."""

        def page_at(_: int, cursor: str | None) -> FakePage[FakeAgentView]:
            return _unless_refused(
                self.platform.available_agents(room_id, cursor_after=cursor, limit=AGENTS_PER_PAGE)
            )

        def shows_sought(presences: Sequence[Presence | None]) -> bool:
            return any(each is not None and each.agent_id == sought for each in presences)

        return await self._listed("eligible_agents", _at_once, page_at, _presence, shows_sought)

    async def assign(self, room_id: RoomId, agent_id: AgentId) -> Answer:
        """Assign with `max_agent=1`."""

        def assign() -> Answer:
            assigned = _unless_refused(self.platform.assign(room_id, agent_id, max_agent=1))
            return Answer(agent_id=AgentId(assigned.agent.id))

        return await self._call("assign", assign)

    async def room(self, room_id: RoomId) -> Reading[PlatformRoom]:
        """One room, as old as the platform's lag makes it."""

        def read() -> PlatformRoom:
            view = self.platform.room(room_id)
            if view is None:
                return PlatformRoom(room_id=room_id, state=RoomState.GONE)
            room = self._room(view)
            is_silent = room.state is RoomState.SERVED and view.is_waiting is None
            return evolve(room, state=RoomState.WAITING) if is_silent else room

        began_at = self._clock.now()
        return Reading(began_at, await self._call("room", read))

    async def waiting_rooms(self, pace: Pace) -> Reading[PlatformRooms]:
        """The unserved list, without the resolved and served rooms that it also holds."""
        wanted = RoomFilter(status="unresolved", serve_status="unserved")
        reading = await self._listed_rooms("waiting_rooms", wanted, pace)
        waiting = tuple(room for room in reading.seen if room.state is RoomState.WAITING)
        return Reading(reading.began_at, waiting)

    async def rooms_of(self, agent_id: AgentId, pace: Pace) -> Reading[PlatformRooms]:
        """What the platform lists for this agent, whether or not it honours the filter."""
        wanted = RoomFilter(status="unresolved", serve_status="served", user_ids=(agent_id,))
        reading = await self._listed_rooms("rooms_of", wanted, pace)
        unresolved = tuple(room for room in reading.seen if room.state is not RoomState.RESOLVED)
        return Reading(reading.began_at, unresolved)

    async def account(self) -> Account:
        """The platform's account, named only where its profile shows the app."""

        def read() -> Account:
            shows_app = self.platform.switches.profile_shows_app
            return Account(app_code=self.platform.account.app_code if shows_app else None)

        return await self._call("account", read)

    async def register_webhooks(self, allocation_url: str, resolve_url: str) -> list[Registration]:
        """Register both; this platform confirms them always."""
        return [
            await self._registered("allocation", "allocation", allocation_url),
            await self._registered("resolve", "resolved", resolve_url),
        ]

    async def _registered(self, webhook: str, kind: str, url: str) -> Registration:
        def register() -> Registration:
            self.platform.app.set_webhook(kind, url, is_enabled=True)
            return Registration(webhook=webhook, url=url, confirmed=True)

        return await self._call("register_webhooks", register)

    async def _listed_rooms(
        self, operation: str, wanted: RoomFilter, pace: Pace
    ) -> Reading[PlatformRooms]:
        def page_at(_: int, cursor: str | None) -> FakePage[RoomView]:
            return self.platform.rooms(wanted, cursor_after=cursor, limit=ROOMS_PER_PAGE)

        return await self._listed(operation, pace, page_at, lambda view, _: self._room(view))

    async def _listed(
        self,
        operation: str,
        pace: Pace,
        page_at: Callable[[int, str | None], FakePage[Item]],
        read: Callable[[Item, datetime], T | None],
        is_enough: Callable[[Sequence[T | None]], bool] = lambda items: False,
    ) -> Reading[tuple[T, ...]]:
        """Read pages until one is enough; `read` answers None for what is not wanted."""
        moments: list[datetime] = []
        seen: list[T | None] = []
        cursor: str | None = None
        while True:
            await pace()
            moments.append(self._clock.now())
            page = await self._call(operation, partial(page_at, len(moments), cursor))
            shown = [read(item, moments[-1]) for item in page.items]
            seen += shown
            cursor = page.after
            is_last = cursor is None and len(seen) >= (page.total_count or 0)
            if not shown or is_last or is_enough(shown):
                return Reading(moments[0], tuple(each for each in seen if each is not None))

    async def _call(self, operation: str, verb: Callable[[], T]) -> T:
        call = asyncio.create_task(self._between_hooks(operation, verb))
        self._under_way.add(call)
        call.add_done_callback(self._under_way.discard)
        return await asyncio.shield(call)

    async def _between_hooks(self, operation: str, verb: Callable[[], T]) -> T:
        if self.before is not None:
            await self.before(operation)
        answer = verb()
        if self.after is not None:
            await self.after(operation)
        return answer

    def _room(self, view: RoomView) -> PlatformRoom:
        return PlatformRoom(
            room_id=parse_room_id(view.room_id),
            state=_state(view),
            channel_id=ChannelId(view.channel.id),
            source=view.channel.source,
            waits_since=self._moment(view.last_customer_at),
        )

    def _moment(self, seconds: float | None) -> datetime | None:
        return None if seconds is None else self.platform.epoch + timedelta(seconds=int(seconds))


async def _at_once() -> None:
    """The pace of a call that a waiting customer depends on."""


def _unless_refused(answer: T | Refusal) -> T:
    if isinstance(answer, Refusal):
        raise PlatformRefused(answer.status, answer.message)
    return answer


def _presence(agent: FakeAgentView, read_at: datetime) -> Presence | None:
    if agent.type != AGENT:
        return None
    return Presence(
        agent_id=AgentId(agent.id),
        online=agent.is_available and not agent.force_offline,
        read_at=read_at,
        channels=frozenset(ChannelId(channel.id) for channel in agent.channels),
        count=agent.customer_count,
        name=agent.name,
    )


def _state(view: RoomView) -> RoomState:
    if view.is_resolved:
        return RoomState.RESOLVED
    return RoomState.WAITING if view.is_waiting else RoomState.SERVED
