"""What an allocator without any delay would have reached on the same arrivals."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import count
from typing import Protocol

from attrs import define, field, frozen

from sebastian_adapters.memory.platform import Truth
from tests.oracle.record import Capacities, Record


@frozen(kw_only=True)
class Customer:
    """One request for service: when it came, how long it takes, and whether a person took it."""

    arrived_at: float
    service_seconds: float
    by_hand_at: float | None = None
    by_hand_agent: int | None = None
    waited_seconds: float | None = None
    """How long it really waited; None where nobody ever served it."""


class _Act(Protocol):
    def __call__(self) -> None: ...


def customers_of(record: Record, truth: Truth) -> list[Customer]:
    """The customers of a run, as the platform's log tells of them, in the order of their coming."""
    found = []
    for service in truth.services.values():
        first = service.servings[0] if service.servings else None
        served = (service.resolved_at or record.ended_at) - first.from_at if first else 0.0
        by_hand = first is not None and first.by == "person"
        found.append(
            Customer(
                arrived_at=service.opened_at,
                service_seconds=served,
                by_hand_at=first.from_at if first and by_hand else None,
                by_hand_agent=first.agent_id if first and by_hand else None,
                waited_seconds=first.from_at - service.opened_at if first else None,
            )
        )
    return sorted(found, key=lambda customer: customer.arrived_at)


def presence_of(record: Record) -> list[tuple[float, int, bool]]:
    """Who came and went: moment, agent, online or not."""
    return [
        (event.at, event.agent_id, event.kind == "online")
        for event in record.events
        if event.agent_id is not None and event.kind in ("online", "offline", "agent_deleted")
    ]


def perfect_waits(
    customers: Sequence[Customer],
    presence: Iterable[tuple[float, int, bool]],
    capacities: Capacities,
    *,
    hands_fill_slots: bool = True,
) -> list[float]:
    """How long each customer waits where every free slot is filled at once, first come first.

    What people do stays as it was: whoever was taken by hand is taken at that moment by that agent,
    full or not, if they still wait; agents come and go as they did. `hands_fill_slots` off leaves
    what was taken by hand out of the agents' loads, as if nobody ever noticed it.
    """
    return _Floor(capacities, hands_fill_slots).play(customers, presence)


def mean(waits: Sequence[float]) -> float:
    """The mean; 0 of nothing."""
    return sum(waits) / len(waits) if waits else 0.0


def percentile(waits: Sequence[float], share: float) -> float:
    """The wait that this share of the customers did not exceed; 0 of nothing."""
    ordered = sorted(waits)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else 0.0


@define
class _Floor:
    """Agents and a line, moved on from one moment to the next."""

    capacities: Capacities
    hands_fill_slots: bool
    _moments: list[tuple[float, int, _Act]] = field(factory=list, init=False)
    _order: count[int] = field(factory=count, init=False)
    _line: deque[int] = field(factory=deque, init=False)
    _waits: dict[int, float] = field(factory=dict, init=False)
    _online: set[int] = field(factory=set, init=False)
    _loads: dict[int, int] = field(factory=dict, init=False)
    _now: float = field(default=0.0, init=False)
    _customers: Sequence[Customer] = field(default=(), init=False)

    def play(
        self, customers: Sequence[Customer], presence: Iterable[tuple[float, int, bool]]
    ) -> list[float]:
        self._customers = customers
        for at, agent_id, online in presence:
            self._at(at, lambda a=agent_id, o=online: self._show(a, o))
        for number, customer in enumerate(customers):
            self._at(customer.arrived_at, self._arrival(number))
            if customer.by_hand_at is not None:
                self._at(customer.by_hand_at, self._taking(number))
        while self._moments:
            self._now, _, act = heapq.heappop(self._moments)
            act()
            self._fill()
        return [self._waits[number] for number in sorted(self._waits)]

    def _at(self, at: float, act: _Act) -> None:
        heapq.heappush(self._moments, (at, next(self._order), act))

    def _show(self, agent_id: int, online: bool) -> None:
        if online:
            self._online.add(agent_id)
        else:
            self._online.discard(agent_id)

    def _arrival(self, number: int) -> Callable[[], None]:
        return lambda: self._line.append(number)

    def _taking(self, number: int) -> Callable[[], None]:
        def take() -> None:
            agent_id = self._customers[number].by_hand_agent
            if number in self._line and agent_id is not None:
                self._line.remove(number)
                self._give(number, agent_id if self.hands_fill_slots else None)

        return take

    def _fill(self) -> None:
        while self._line and (agent_id := self._freest()) is not None:
            self._give(self._line.popleft(), agent_id)

    def _freest(self) -> int | None:
        free = [
            (self._loads.get(agent_id, 0), agent_id)
            for agent_id in self._online
            if self._loads.get(agent_id, 0) < self.capacities.at(agent_id, self._now)
        ]
        return min(free)[1] if free else None

    def _give(self, number: int, agent_id: int | None) -> None:
        customer = self._customers[number]
        self._waits[number] = self._now - customer.arrived_at
        if agent_id is None:
            return
        self._loads[agent_id] = self._loads.get(agent_id, 0) + 1
        self._at(self._now + customer.service_seconds, lambda: self._free(agent_id))

    def _free(self, agent_id: int) -> None:
        self._loads[agent_id] -= 1
