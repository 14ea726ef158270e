"""The world outside: customers, agents, people in the dashboard, and the platform's webhooks."""

from __future__ import annotations

import asyncio
import random
from typing import Any, Literal

from attrs import evolve

from sebastian_adapters.memory.platform import Body, Event, Platform, Resolved
from sebastian_core.domain.ids import RoomId
from tests.oracle import Delivered
from tests.simulation.plan import CHANNELS, AgentPlan, Customer, Visit
from tests.simulation.process import OUTSIDE
from tests.simulation.services import WebhookService
from tests.simulation.stores import Stores

MESSAGES_AT_MOST = 8


class World:
    """Plays the scenario's people. Whatever they do is in the platform's log and in the trace."""

    def __init__(self, stores: Stores, webhooks: list[WebhookService]) -> None:
        self._stores = stores
        self._platform: Platform = stores.platform
        self._webhooks = webhooks
        self.agents: list[int] = []
        self.deliveries: list[Delivered] = []
        self._awake: dict[str, asyncio.Event] = {}
        self._posting = 0
        self._staying: set[str] = set()
        self._playing: dict[str, asyncio.Task[Any]] = {}
        self.is_calm = False

    def open(self) -> None:
        """Let the agents in and the customers come."""
        self._platform.log.observe(self._on_event)
        for plan in self._stores.scenario.agents:
            channels = tuple(CHANNELS[each] for each in plan.channels)
            agent_id = self._platform.add_agent(channels=channels)
            self.agents.append(agent_id)
            OUTSIDE.start(self._come_and_go(agent_id, plan))
        for customer in self._stores.scenario.customers:
            room_id = RoomId(str(1000 + customer.number))
            if customer.poison is not None:
                self._stores.poisoned[room_id] = customer.poison
            self._playing[room_id] = OUTSIDE.spawn(self._live(str(room_id), customer))

    @property
    def is_done(self) -> bool:
        """Whether every customer came as often as planned, was resolved, and all is delivered."""
        return not self._posting and all(
            task.done() or room_id in self._staying for room_id, task in self._playing.items()
        )

    def calm_down(self) -> None:
        """Everybody comes back to work, and nothing more goes wrong."""
        self.is_calm = True
        self._stores.poisoned.clear()
        for agent_id in self._platform.agent_ids():
            self._platform.set_online(agent_id, online=True)

    def surprises(self) -> list[str]:
        """What went wrong in the world itself: a mistake of the simulation."""
        done = (task for task in self._playing.values() if task.done() and not task.cancelled())
        return [f"the world: {error!r}" for error in (task.exception() for task in done) if error]

    async def _come_and_go(self, agent_id: int, plan: AgentPlan) -> None:
        loop = asyncio.get_running_loop()
        for at, online in plan.changes:
            await asyncio.sleep(max(0.0, at - loop.time()))
            if self._platform.agent(agent_id) is not None and not self.is_calm:
                self._platform.set_online(agent_id, online=online)
        if plan.deleted_at is not None:
            await asyncio.sleep(max(0.0, plan.deleted_at - loop.time()))
            self._platform.delete_agent(agent_id)

    def _on_event(self, event: Event) -> None:
        agent = "" if event.agent_id is None else f" agent {event.agent_id}"
        service = "" if event.service_id is None else f" service {event.service_id}"
        room = "" if event.room_id is None else f" room {event.room_id}"
        self._stores.trace.tell("platform", f"{event.kind}{room}{service}{agent} by {event.by}")
        if event.room_id in self._awake:
            self._awake[event.room_id].set()

    async def _live(self, room_id: str, customer: Customer) -> None:
        rng = random.Random(f"{self._stores.scenario.seed} {room_id}")
        self._awake[room_id] = asyncio.Event()
        for visit in customer.visits:
            await asyncio.sleep(visit.after)
            await self._visit(room_id, customer, visit, rng)

    async def _visit(
        self, room_id: str, customer: Customer, visit: Visit, rng: random.Random
    ) -> None:
        self._write(room_id, customer, rng)
        service_id = self._platform.open_service_id(room_id)
        hands = OUTSIDE.spawn(self._meddle(room_id, service_id, visit, rng))
        gaps = iter(visit.message_gaps)
        while self._is_open(room_id, service_id):
            if self._platform.agents_in(room_id):
                await self._be_served(room_id, service_id, customer, visit, rng)
            else:
                await self._wait(room_id, next(gaps, None))
                if self._is_open(room_id, service_id) and not self._platform.agents_in(room_id):
                    self._write(room_id, customer, rng)
        hands.cancel()

    async def _wait(self, room_id: str, gap: float | None) -> None:
        """Until something happens in the room that ends the waiting, or the customer writes."""
        awake = self._awake[room_id]
        while True:
            awake.clear()
            try:
                async with asyncio.timeout(gap):
                    await awake.wait()
            except TimeoutError:
                return
            if self._platform.agents_in(room_id) or self._platform.is_resolved(room_id):
                return

    async def _be_served(
        self,
        room_id: str,
        service_id: int | None,
        customer: Customer,
        visit: Visit,
        rng: random.Random,
    ) -> None:
        if visit.stays and self._stores.scenario.capacity > 1:
            await self._stay(room_id)
            return
        await asyncio.sleep(visit.service_seconds * (0.5 if visit.chatters else 1.0))
        if visit.chatters and self._is_open(room_id, service_id):
            self._write(room_id, customer, rng)
            await asyncio.sleep(visit.service_seconds * 0.5)
        agents = self._platform.agents_in(room_id)
        if agents and self._is_open(room_id, service_id):
            by = None if visit.resolved_by_admin else agents[-1]
            self._resolve(room_id, by, rng)

    async def _stay(self, room_id: str) -> None:
        """Be served until the run ends; somebody who is put back into the line writes again."""
        self._staying.add(room_id)
        while self._platform.agents_in(room_id):
            self._awake[room_id].clear()
            await self._awake[room_id].wait()
        self._staying.discard(room_id)

    def _is_open(self, room_id: str, service_id: int | None) -> bool:
        return service_id is not None and self._platform.open_service_id(room_id) == service_id

    def _write(self, room_id: str, customer: Customer, rng: random.Random) -> None:
        channel = CHANNELS[customer.channel]
        webhook = self._platform.customer_message(room_id, channel=channel)
        if webhook is not None:
            service_id = self._platform.open_service_id(room_id)
            self._post("allocation", webhook, room_id, service_id, rng)

    def _resolve(self, room_id: str, by: int | None, rng: random.Random) -> None:
        actor: Literal["agent", "person"] = "person" if by is None else "agent"
        resolved = self._platform.mark_as_resolved(room_id, by=by, actor=actor)
        if isinstance(resolved, Resolved):
            self._post("resolved", resolved.webhook, room_id, resolved.service_id, rng)

    async def _meddle(
        self, room_id: str, service_id: int | None, visit: Visit, rng: random.Random
    ) -> None:
        """What people do to this service in the dashboard."""
        acts = [
            (visit.by_hand_after, self._take_by_hand),
            (visit.moved_after, self._move),
            (visit.removed_after, self._remove),
            (visit.joined_after, self._join),
            (visit.resolved_waiting_after, self._resolve_waiting),
        ]
        passed = 0.0
        for after, act in sorted(
            ((after, act) for after, act in acts if after is not None), key=lambda pair: pair[0]
        ):
            await asyncio.sleep(after - passed)
            passed = after
            if self._is_open(room_id, service_id) and not self.is_calm:
                act(room_id, rng)

    def _take_by_hand(self, room_id: str, rng: random.Random) -> None:
        if not self._platform.agents_in(room_id):
            self._platform.assign_by_hand(room_id, rng.choice(self._platform.agent_ids()))

    def _move(self, room_id: str, rng: random.Random) -> None:
        agents = self._platform.agents_in(room_id)
        others = [each for each in self._platform.agent_ids() if each not in agents]
        if agents and others:
            self._platform.move(room_id, agents[-1], rng.choice(others))

    def _join(self, room_id: str, rng: random.Random) -> None:
        """A second agent comes into the room, beside the one who serves it."""
        agents = self._platform.agents_in(room_id)
        others = [each for each in self._platform.agent_ids() if each not in agents]
        if agents and others:
            self._platform.assign_by_hand(room_id, rng.choice(others))

    def resolve_dropped(self, room_id: str) -> None:
        """Whoever takes a chat out of the line resolves its room as well."""
        rng = random.Random(f"{self._stores.scenario.seed} dropped {room_id}")
        self._resolve_waiting(room_id, rng)

    def _remove(self, room_id: str, rng: random.Random) -> None:
        for agent_id in self._platform.agents_in(room_id):
            self._platform.remove_agent(room_id, agent_id, by="person")

    def _resolve_waiting(self, room_id: str, rng: random.Random) -> None:
        if not self._platform.agents_in(room_id):
            self._resolve(room_id, None, rng)

    def _post(
        self,
        kind: Literal["allocation", "resolved"],
        body: Body,
        room_id: str,
        service_id: int | None,
        rng: random.Random,
    ) -> None:
        fired_at = asyncio.get_running_loop().time()
        fate = 1.0 if self.is_calm else rng.random()
        delay = rng.choice((rng.uniform(0.0, 0.01), rng.uniform(0.01, 0.3)))
        delivery = Delivered(kind=kind, room_id=room_id, service_id=service_id, fired_at=fired_at)
        if fate < 0.05:
            self._note_fault(f"{kind} webhook lost", room_id)
            self.deliveries.append(_lost(delivery))
            return
        delays = [delay]
        if fate < 0.12:
            self._note_fault(f"{kind} webhook doubled", room_id)
            delays.append(rng.choice((delay, rng.uniform(0.0, 4.0))))
        elif fate < 0.18:
            self._note_fault(f"{kind} webhook late", room_id)
            delays = [rng.uniform(0.3, 4.0)]
        for copy, each in enumerate(delays):
            self._posting += 1
            OUTSIDE.start(self._deliver(each, body, _copied(delivery, copy), rng.choice((0, 1))))

    def _note_fault(self, what: str, room_id: str) -> None:
        self._stores.trace.others[what] += 1
        self._stores.trace.tell("world", f"fault: {what} room {room_id}")

    async def _deliver(self, delay: float, body: Body, delivery: Delivered, to: int) -> None:
        try:
            await asyncio.sleep(delay)
            loop = asyncio.get_running_loop()
            sent_at = loop.time()
            status = await self._webhooks[to].receive(delivery.kind, body)
            self.deliveries.append(_answered(delivery, sent_at, loop.time(), status))
        finally:
            self._posting -= 1


def _lost(delivery: Delivered) -> Delivered:
    return evolve(delivery, is_lost=True)


def _copied(delivery: Delivered, copy: int) -> Delivered:
    return evolve(delivery, copy=copy)


def _answered(delivery: Delivered, sent_at: float, at: float, status: int | None) -> Delivered:
    answered_at = None if status is None else at
    return evolve(delivery, sent_at=sent_at, answered_at=answered_at, status=status)
