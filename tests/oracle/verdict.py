"""What the oracle says: each violation in one sentence with its evidence, and a few numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from enum import StrEnum

from attrs import field, frozen

from sebastian_adapters.memory.platform import Event
from tests.oracle.record import Delivered, Record, Row


class Promise(StrEnum):
    """The promises that the oracle decides (DESIGN, section 5)."""

    P1 = "P1 durable"
    P2 = "P2 nothing lost"
    P3 = "P3 one agent"
    P4 = "P4 capacity"
    P5 = "P5 first come, first served"
    P6 = "P6 online"
    P7 = "P7 work conserving"
    P8 = "P8 nobody blocks the line"
    P9 = "P9 explained"


@frozen(kw_only=True)
class Violation:
    """One broken promise: a sentence that names room, chat and moments, and what proves it."""

    promise: Promise
    sentence: str
    room_id: str | None = None
    chat_id: int | None = None
    at: float | None = None
    evidence: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "\n".join([f"{self.promise}: {self.sentence}", *(f"    {e}" for e in self.evidence)])


@frozen(kw_only=True)
class OfflineGift:
    """A chat that was given to somebody who was offline at that moment."""

    room_id: str
    agent_id: int
    at: float
    offline_seconds: float | None
    """How long they had been; None: they never were online."""


@frozen(kw_only=True)
class Overtaking:
    """Somebody was served noticeably later than somebody who came noticeably after them.

    `is_inversion` tells that the slots were given in the wrong order too, which P5 forbids. Where
    they were given in the right order, two calls that were under way at once crossed.
    """

    is_inversion: bool
    violation: Violation


@frozen(kw_only=True)
class Verdict:
    """All violations, and what no promise forbids but is worth telling.

    `left_during_call` are the gifts to people who left during the last call (P6 allows them);
    `crossed` are calls that reached the platform in another order than their slots were given.
    """

    violations: Sequence[Violation]
    crossed: Sequence[Violation] = ()
    left_during_call: Sequence[OfflineGift] = ()
    offline_gifts: Sequence[OfflineGift] = ()
    counts: Counter[Promise] = field(init=False)

    @counts.default
    def _count(self) -> Counter[Promise]:
        return Counter(each.promise for each in self.violations)

    def of(self, promise: Promise) -> list[Violation]:
        """The violations of one promise."""
        return [each for each in self.violations if each.promise is promise]

    @property
    def is_clean(self) -> bool:
        """Whether every promise was kept."""
        return not self.violations

    def told(self, limit: int = 20) -> str:
        """The first violations as text, for a failing test."""
        shown = [str(each) for each in self.violations[:limit]]
        more = len(self.violations) - len(shown)
        return "\n".join([*shown, f"… and {more} more"] if more > 0 else shown)


@frozen
class Teller:
    """Words for moments and rows, counted from the beginning of the record."""

    record: Record

    def moment(self, at: float) -> str:
        """A moment, in seconds since the run began."""
        return f"{at - self.record.began_at:.3f} s"

    def rows_of(self, *chat_ids: int) -> tuple[str, ...]:
        """The history of these chats, a line each row."""
        return tuple(self.row(row) for row in self.record.history if row.chat_id in chat_ids)

    def room(self, room_id: str) -> tuple[str, ...]:
        """Everything that is known of a room, ours and the platform's, in time order."""
        record = self.record
        told = [(each.at, self.row(each)) for each in record.history if each.room_id == room_id]
        told += [(each.at, self.event(each)) for each in record.events if each.room_id == room_id]
        told += [
            (each.answered_at or each.fired_at, self.delivery(each))
            for each in record.deliveries
            if each.room_id == room_id
        ]
        return tuple(line for _, line in sorted(told, key=lambda pair: pair[0]))

    def event(self, event: Event) -> str:
        """One event at the platform."""
        agent = f" agent {event.agent_id}" if event.agent_id is not None else ""
        return (
            f"{self.moment(event.at)} platform: {event.kind}{agent} by {event.by}, "
            f"service {event.service_id}"
        )

    def delivery(self, each: Delivered) -> str:
        """One copy of one webhook."""
        fate = "lost" if each.is_lost else f"answered {each.status}"
        return (
            f"{self.moment(each.answered_at or each.fired_at)} webhook: {each.kind} copy "
            f"{each.copy}, service {each.service_id}, fired {self.moment(each.fired_at)}, {fate}"
        )

    def row(self, row: Row) -> str:
        """One history row."""
        agent = f" agent {row.agent_id}" if row.agent_id is not None else ""
        return (
            f"{self.moment(row.at)} chat {row.chat_id} v{row.version} room {row.room_id}: "
            f"{row.move} {row.before or '-'} → {row.after}{agent} ({row.reason})"
        )


def sorted_violations(found: Iterable[Violation]) -> tuple[Violation, ...]:
    """In the order of the promises, then of time."""
    return tuple(sorted(found, key=lambda each: (each.promise, each.at or 0.0)))
