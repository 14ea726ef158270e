"""Computed from the log: who served whom when, who was online, and the best possible mean wait."""

import heapq
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Generic, TypeVar

from attrs import define, field, frozen

from sebastian_adapters.memory.platform.log import Actor, Event

State = TypeVar("State")


@frozen
class Serving:
    """One agent in one room, from a moment until another (None: still)."""

    agent_id: int
    by: Actor
    from_at: float
    until_at: float | None = None


@define
class ServiceTruth:
    """One request for service, from its first message to its end."""

    room_id: str
    service_id: int
    opened_at: float
    message_at: list[float] = field(factory=list)
    servings: list[Serving] = field(factory=list)
    resolved_at: float | None = None
    resolved_by: Actor | None = None

    @property
    def assigned_at(self) -> float | None:
        """When somebody first served it; None while nobody has."""
        return self.servings[0].from_at if self.servings else None

    def end_serving(self, agent_id: int | None, at: float) -> None:
        """From that moment on nobody, or no longer that agent, serves it."""
        self.servings = [
            Serving(each.agent_id, each.by, each.from_at, at)
            if each.until_at is None and agent_id in {None, each.agent_id}
            else each
            for each in self.servings
        ]


class _Steps(Generic[State]):
    """A value over time: asked for a moment, it answers what held then, that moment included."""

    def __init__(self, start: State) -> None:
        self._at: list[float] = []
        self._values = [start]

    def set(self, at: float, value: State) -> None:
        self._at.append(at)
        self._values.append(value)

    def at(self, at: float) -> State:
        return self._values[bisect_right(self._at, at)]

    @property
    def last(self) -> State:
        return self._values[-1]


def _lists() -> defaultdict[str, list[ServiceTruth]]:
    return defaultdict(list)


def _loads() -> defaultdict[int, _Steps[int]]:
    return defaultdict(lambda: _Steps(0))


def _presences() -> defaultdict[int, _Steps[bool]]:
    return defaultdict(lambda: _Steps(False))


@define
class Truth:
    """The whole history that a log tells; the log must be complete (not limited).

    A question about a moment is answered with all events of that moment applied.
    """

    services: dict[int, ServiceTruth] = field(factory=dict)
    refused: list[Event] = field(factory=list)
    ineffective: list[Event] = field(factory=list)
    """Assignments that were answered 200 and changed nothing."""
    _of_room: defaultdict[str, list[ServiceTruth]] = field(factory=_lists, init=False)
    _load: defaultdict[int, _Steps[int]] = field(factory=_loads, init=False)
    _online: defaultdict[int, _Steps[bool]] = field(factory=_presences, init=False)

    @classmethod
    def of(cls, events: Iterable[Event]) -> "Truth":
        truth = cls()
        for event in events:
            truth.add(event)
        return truth

    def load_at(self, agent_id: int, at: float) -> int:
        """How many unresolved rooms that agent was in."""
        return self._load[agent_id].at(at)

    def is_online_at(self, agent_id: int, at: float) -> bool:
        return self._online[agent_id].at(at)

    def servers_at(self, room_id: str, at: float) -> tuple[int, ...]:
        """The agents who were in the room."""
        return tuple(
            each.agent_id
            for service in self._of_room[room_id]
            for each in service.servings
            if each.from_at <= at and (each.until_at is None or at < each.until_at)
        )

    def waiting_at(self, at: float) -> list[ServiceTruth]:
        """The services that nobody had served yet, first come first."""
        return [
            service
            for service in self.services.values()
            if service.opened_at <= at
            and (service.assigned_at is None or service.assigned_at > at)
            and (service.resolved_at is None or service.resolved_at > at)
        ]

    def mean_wait_seconds(self) -> float:
        """From the first message to the first agent, over all services that got one."""
        waits = [
            service.assigned_at - service.opened_at
            for service in self.services.values()
            if service.assigned_at is not None
        ]
        return sum(waits) / len(waits) if waits else 0.0

    def add(self, event: Event) -> None:
        """Take in the next event."""
        absorb: dict[str, Callable[[Event], None]] = {
            "online": self._on_presence,
            "offline": self._on_presence,
            "agent_deleted": self._on_presence,
            "opened": self._on_opened,
            "message": self._on_message,
            "assigned": self._on_assigned,
            "removed": self._on_removed,
            "resolved": self._on_resolved,
            "refused": self.refused.append,
            "assigned_again": self.ineffective.append,
            "assigned_resolved": self.ineffective.append,
        }
        absorb.get(event.kind, _nothing)(event)

    def _on_presence(self, event: Event) -> None:
        self._online[_known(event.agent_id)].set(event.at, event.kind == "online")

    def _on_opened(self, event: Event) -> None:
        service_id, room_id = _known(event.service_id), _known(event.room_id)
        self.services[service_id] = service = ServiceTruth(room_id, service_id, event.at)
        self._of_room[room_id].append(service)

    def _on_message(self, event: Event) -> None:
        self.services[_known(event.service_id)].message_at.append(event.at)

    def _on_assigned(self, event: Event) -> None:
        agent_id = _known(event.agent_id)
        serving = Serving(agent_id, event.by, event.at)
        self.services[_known(event.service_id)].servings.append(serving)
        self._shift(agent_id, event.at, 1)

    def _on_removed(self, event: Event) -> None:
        agent_id = _known(event.agent_id)
        self.services[_known(event.service_id)].end_serving(agent_id, event.at)
        self._shift(agent_id, event.at, -1)

    def _on_resolved(self, event: Event) -> None:
        service = self.services[_known(event.service_id)]
        for serving in service.servings:
            if serving.until_at is None:
                self._shift(serving.agent_id, event.at, -1)
        service.end_serving(None, event.at)
        service.resolved_at, service.resolved_by = event.at, event.by

    def _shift(self, agent_id: int, at: float, by: int) -> None:
        load = self._load[agent_id]
        load.set(at, load.last + by)


def perfect_mean_wait_seconds(chats: Sequence[tuple[float, float]], slots: int) -> float:
    """The mean wait that an allocator without any delay reaches, first come, first served.

    A chat is its arrival and how long its service takes, both in seconds; every slot takes every
    chat. This is the limit that a real run is measured against.
    """
    free_at = [0.0] * slots
    waited = 0.0
    for arrived_at, service_seconds in sorted(chats):
        start = max(arrived_at, heapq.heappop(free_at))
        waited += start - arrived_at
        heapq.heappush(free_at, start + service_seconds)
    return waited / len(chats) if chats else 0.0


Known = TypeVar("Known")


def _known(value: Known | None) -> Known:
    if value is None:
        raise ValueError("the log lacks what this kind of event always carries")
    return value


def _nothing(event: Event) -> None:
    """An event that says nothing about services, loads or presence."""
