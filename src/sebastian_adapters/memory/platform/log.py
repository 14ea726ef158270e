"""What truly happened, in order: what every test and simulation compares with."""

from collections import deque
from collections.abc import Callable, Iterator
from typing import Literal

from attrs import frozen

EventKind = Literal[
    "agent_added",
    "agent_deleted",
    "online",
    "offline",
    "opened",
    "message",
    "bot_message",
    "assigned",
    "assigned_again",
    "assigned_resolved",
    "removed",
    "resolved",
    "refused",
]
Actor = Literal["customer", "api", "person", "agent", "platform"]


@frozen
class Event:
    """One change of the platform's state, or one call that changed nothing but was answered.

    `at` is the platform's clock. `assigned_again` and `assigned_resolved` were answered 200
    without an effect; `refused` was answered 4xx.
    """

    at: float
    kind: EventKind
    room_id: str | None = None
    agent_id: int | None = None
    service_id: int | None = None
    by: Actor = "platform"


class EventLog:
    """Events in the order in which they happened, numbered from 0; observers hear each at once.

    With a `limit` only the newest are kept, and their numbers stay what they were.
    """

    def __init__(self, limit: int | None = None) -> None:
        self._events: deque[Event] = deque(maxlen=limit)
        self._count = 0
        self._observers: list[Callable[[Event], None]] = []

    def __len__(self) -> int:
        """The number of events ever written, forgotten ones included."""
        return self._count

    def __iter__(self) -> Iterator[Event]:
        return iter(self._events)

    def append(self, event: Event) -> None:
        self._events.append(event)
        self._count += 1
        for observer in tuple(self._observers):
            observer(event)

    def since(self, number: int, limit: int | None = None) -> list[tuple[int, Event]]:
        """The kept events from that number on, each with its number."""
        first = self._count - len(self._events)
        start = max(number, first)
        stop = self._count if limit is None else min(self._count, start + limit)
        if start >= stop:
            return []
        newest = list(self._events) if start == first else self._tail(self._count - start)
        return list(enumerate(newest[: stop - start], start))

    def observe(self, observer: Callable[[Event], None]) -> Callable[[], None]:
        """Call the observer with each event from now on; the answer ends that."""
        self._observers.append(observer)
        return lambda: self._observers.remove(observer)

    def _tail(self, length: int) -> list[Event]:
        newest = reversed(self._events)
        return [next(newest) for _ in range(length)][::-1]
