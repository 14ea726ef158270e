"""Plays a floor: customers come, wait, write again, come back; agents serve and leave."""

import asyncio
import math
import random
from collections.abc import Callable
from typing import ParamSpec

from attrs import field, frozen

from sebastian_adapters.memory.platform import Event, Platform, Resolved
from sebastian_apps.fake_qiscus.config import FloorConfig
from sebastian_apps.fake_qiscus.webhooks import WebhookPoster

Arguments = ParamSpec("Arguments")
_AT_ONCE_SHARE = 0.5
_SOONEST_RETURN_SECONDS = 0.01


@frozen
class FloorProgress:
    """How far the floor has come."""

    arrived: int
    waiting: int
    serving: int
    resolved: int
    by_hand: int
    is_done: bool


@frozen
class Customer:
    """What one request for service will be like, drawn before it is made."""

    service_seconds: float
    returns_at_once_after: float | None
    by_hand_after: float | None
    rng: random.Random = field(eq=False, repr=False)
    """The draws while this customer is served; each customer has draws of their own."""

    @classmethod
    def draw(cls, config: FloorConfig, number: int) -> "Customer":
        """The customer of that number; the seed decides, and nothing else."""
        rng = random.Random(f"{config.seed} customer {number}")
        seconds = config.service_seconds
        is_spread = config.service_spread == "exponential" and seconds > 0
        by_hand = rng.random() < config.by_hand_share
        at_once = rng.random() < _AT_ONCE_SHARE
        by_hand_after = rng.uniform(0.0, config.by_hand_seconds)
        returns = rng.random() < config.quick_return_share
        returns_after = rng.uniform(_SOONEST_RETURN_SECONDS, config.quick_return_seconds)
        return cls(
            service_seconds=rng.expovariate(1 / seconds) if is_spread else seconds,
            returns_at_once_after=returns_after if returns else None,
            by_hand_after=(0.0 if at_once else by_hand_after) if by_hand else None,
            rng=rng,
        )


class FloorScript:
    """Drives one platform from the loop it runs on; every draw comes from the seed.

    The arrivals and what each customer needs depend on the seed alone, so that two runs meet the
    same customers whatever the allocator does. `run` ends when all of them were resolved.
    """

    def __init__(self, platform: Platform, webhooks: WebhookPoster, config: FloorConfig) -> None:
        self._platform = platform
        self._webhooks = webhooks
        self._config = config
        self._arrivals = random.Random(f"{config.seed} arrivals")
        self._presence = random.Random(f"{config.seed} presence")
        self._customers: dict[int, Customer] = {}
        self._serving: dict[int, asyncio.TimerHandle] = {}
        self._timers: set[asyncio.TimerHandle] = set()
        self._resting: list[str] = []
        self._arrived = self._resolved = self._by_hand = 0
        self._done = asyncio.Event()

    async def run(self) -> None:
        """Open the floor, let the customers come, and wait for the last one to be resolved."""
        stop_observing = self._platform.log.observe(self._on_event)
        try:
            self._open_floor()
            await self._let_customers_come()
            self._check_done()
            await self._done.wait()
        finally:
            stop_observing()
            self._cancel_timers()

    @property
    def progress(self) -> FloorProgress:
        under_way = len(self._customers)
        return FloorProgress(
            arrived=self._arrived,
            waiting=under_way - len(self._serving),
            serving=len(self._serving),
            resolved=self._resolved,
            by_hand=self._by_hand,
            is_done=self._done.is_set(),
        )

    def _open_floor(self) -> None:
        for _ in range(self._config.agents - len(self._platform.agent_ids())):
            self._platform.add_agent()
        if self._config.online_seconds:
            for agent_id in self._platform.agent_ids():
                self._plan_leave(agent_id)

    async def _let_customers_come(self) -> None:
        loop = asyncio.get_running_loop()
        began_at = due_at = loop.time()
        while self._expects_more():
            due_at += self._next_gap(due_at - began_at)
            await asyncio.sleep(max(due_at - loop.time(), 0))
            if self._expects_more():
                self._arrive(self._choose_room())

    def _expects_more(self) -> bool:
        return not self._config.chats or self._arrived < self._config.chats

    def _next_gap(self, elapsed: float) -> float:
        rate = self._config.rate_per_second
        if self._config.arrivals == "uniform":
            return 1 / rate
        if self._config.arrivals == "day":
            rate *= _rush(elapsed / self._config.day_seconds)
        return self._arrivals.expovariate(rate)

    def _choose_room(self) -> str:
        comes_back = self._arrivals.random() < self._config.returning_share
        place = self._arrivals.random()
        if comes_back and self._resting:
            return _swap_pop(self._resting, int(place * len(self._resting)))
        return self._platform.new_room_id()

    def _arrive(self, room_id: str) -> None:
        customer = Customer.draw(self._config, self._arrived)
        self._arrived += 1
        self._write(room_id)
        service_id = self._platform.open_service_id(room_id)
        if service_id is None:
            return
        self._customers[service_id] = customer
        self._plan_next_message(room_id, service_id, customer)
        if customer.by_hand_after == 0.0:
            self._take_by_hand(room_id, service_id)
        elif customer.by_hand_after:
            self._later(customer.by_hand_after, self._take_by_hand, room_id, service_id)

    def _write(self, room_id: str) -> None:
        webhook = self._platform.customer_message(room_id)
        if webhook:
            service_id = self._platform.open_service_id(room_id)
            self._webhooks.post("allocation", webhook, room_id, service_id)

    def _plan_next_message(self, room_id: str, service_id: int, customer: Customer) -> None:
        if self._config.message_every_seconds:
            gap = customer.rng.expovariate(1 / self._config.message_every_seconds)
            self._later(gap, self._write_again, room_id, service_id, customer)

    def _write_again(self, room_id: str, service_id: int, customer: Customer) -> None:
        if self._still_waits(room_id, service_id):
            self._write(room_id)
            self._plan_next_message(room_id, service_id, customer)

    def _take_by_hand(self, room_id: str, service_id: int) -> None:
        online = self._platform.online_agents()
        if online and self._still_waits(room_id, service_id):
            self._by_hand += 1
            agent_id = online[int(self._customers[service_id].rng.random() * len(online))]
            self._platform.assign_by_hand(room_id, agent_id)

    def _still_waits(self, room_id: str, service_id: int) -> bool:
        is_same = self._platform.open_service_id(room_id) == service_id
        return is_same and not self._platform.agents_in(room_id)

    def _on_event(self, event: Event) -> None:
        service_id, room_id = event.service_id, event.room_id
        if service_id is None or room_id is None or service_id not in self._customers:
            return
        if event.kind == "assigned" and service_id not in self._serving:
            seconds = self._customers[service_id].service_seconds
            timer = self._later(seconds, self._finish_service, room_id, service_id)
            self._serving[service_id] = timer
        elif event.kind == "removed" and not self._platform.agents_in(room_id):
            self._forget(self._serving.pop(service_id, None))
        elif event.kind == "resolved":
            self._on_resolved(room_id, service_id)

    def _finish_service(self, room_id: str, service_id: int) -> None:
        agents = self._platform.agents_in(room_id)
        if self._platform.open_service_id(room_id) != service_id or not agents:
            return
        resolved = self._platform.mark_as_resolved(room_id, by=agents[-1], actor="agent")
        if isinstance(resolved, Resolved):
            self._webhooks.post("resolved", resolved.webhook, room_id, service_id)

    def _on_resolved(self, room_id: str, service_id: int) -> None:
        self._forget(self._serving.pop(service_id, None))
        customer = self._customers.pop(service_id)
        self._resolved += 1
        if customer.returns_at_once_after is not None and self._expects_more():
            self._later(customer.returns_at_once_after, self._return_at_once, room_id)
        else:
            self._resting.append(room_id)
        self._check_done()

    def _return_at_once(self, room_id: str) -> None:
        if self._expects_more():
            self._arrive(room_id)

    def _check_done(self) -> None:
        if not self._customers and not self._expects_more():
            self._done.set()

    def _plan_leave(self, agent_id: int) -> None:
        seconds = self._presence.expovariate(1 / self._config.online_seconds)
        self._later(seconds, self._leave, agent_id)

    def _leave(self, agent_id: int) -> None:
        if self._platform.agent(agent_id) is not None:
            self._platform.set_online(agent_id, online=False)
            seconds = self._presence.expovariate(1 / self._config.offline_seconds)
            self._later(seconds, self._come_back, agent_id)

    def _come_back(self, agent_id: int) -> None:
        if self._platform.agent(agent_id) is not None:
            self._platform.set_online(agent_id, online=True)
            self._plan_leave(agent_id)

    def _later(
        self,
        seconds: float,
        act: Callable[Arguments, None],
        *args: Arguments.args,
        **kwargs: Arguments.kwargs,
    ) -> asyncio.TimerHandle:
        def fire() -> None:
            self._timers.discard(timer)
            act(*args, **kwargs)

        timer = asyncio.get_running_loop().call_later(seconds, fire)
        self._timers.add(timer)
        return timer

    def _forget(self, timer: asyncio.TimerHandle | None) -> None:
        if timer:
            timer.cancel()
            self._timers.discard(timer)

    def _cancel_timers(self) -> None:
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()


def _rush(day: float) -> float:
    """How busy that moment of the day is, between a fifth and nine fifths of the mean."""
    return 1 - 0.8 * math.cos(2 * math.pi * day)


def _swap_pop(rooms: list[str], place: int) -> str:
    """Take one out without moving the others."""
    rooms[place], rooms[-1] = rooms[-1], rooms[place]
    return rooms.pop()
