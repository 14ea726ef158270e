"""What a run of chaos came to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from attrs import field, frozen

from sebastian_core.domain.chat import ChatState, Move
from tests.chaos.shape import Shape
from tests.oracle import Capacities, Judging, Promise, Record, Verdict, judge
from tests.oracle.perfect import percentile

PROMISED = (
    Promise.P1,
    Promise.P2,
    Promise.P3,
    Promise.P4,
    Promise.P5,
    Promise.P8,
    Promise.P9,
)
"""P6 and P7 depend on calls and stores that are under attack here; they are told, not demanded."""

IDLE_SECONDS = 10.0
KILL_SPAN_SECONDS = 30.0


@frozen(kw_only=True)
class AfterKill:
    """From the kill of one worker: the next assignment, and the end of the last open one."""

    next_assigned_seconds: float | None
    settled_seconds: Sequence[float]
    """Of every chat that was reserved at the kill, and not surely of another worker."""


@frozen(kw_only=True)
class Outcome:
    """One run, judged and measured."""

    shape: Shape
    record: Record
    verdict: Verdict
    faults: Mapping[str, int]
    starts: Mapping[str, int]
    after_kills: Sequence[AfterKill]
    unrest: str = ""
    broken: Sequence[str] = field(factory=tuple)
    """What went wrong with the chaos itself."""
    kept: Path | None = None
    """Where logs, databases and the verdict stay."""

    @property
    def violations(self) -> list[str]:
        """The broken ones of the promises that are demanded here."""
        return [str(each) for promise in PROMISED for each in self.verdict.of(promise)]

    @property
    def is_clean(self) -> bool:
        """Whether the promises were kept and the floor came to rest."""
        return not (self.violations or self.unrest or self.broken)

    def told(self) -> str:
        """The figures, a line each."""
        webhooks = Counter(
            "lost" if each.is_lost else str(each.status or "unanswered")
            for each in self.record.deliveries
        )
        moves = Counter(str(row.move) for row in self.record.history)
        counts = self.verdict.counts
        rows = [
            f"seed             {self.shape.seed}",
            f"faults           {sum(self.faults.values())}: {_listed(self.faults)}",
            f"starts           {_listed(self.starts)}",
            f"webhooks         {len(self.record.deliveries)}: {_listed(webhooks)}",
            f"chats            {len(self.record.chats)}; moves: {_listed(moves)}",
            "violations       " + ", ".join(f"{each.name} {counts[each]}" for each in Promise),
            *self._after_kills(),
            *([f"not at rest      {self.unrest}"] if self.unrest else []),
            *(f"broken           {each}" for each in self.broken),
            *([f"kept in          {self.kept}"] if self.kept else []),
        ]
        return "\n".join(rows)

    def _after_kills(self) -> list[str]:
        if not self.after_kills:
            return []
        known = [each.next_assigned_seconds for each in self.after_kills]
        following = [each for each in known if each is not None]
        settled = [each for kill in self.after_kills for each in kill.settled_seconds]
        limit = self.shape.reservation_seconds + self.shape.settle_seconds + 2.0
        p50, p99, last = (
            percentile(following, 0.5),
            percentile(following, 0.99),
            max(settled, default=0),
        )
        return [
            f"after {len(known)} kills    next assignment p50 {p50:.3f} s, p99 {p99:.3f} s",
            f"left behind      {len(settled)} chats at a kill, the last settled in {last:.1f} s",
            f"                 (demanded: within {limit:g} s)",
        ]


def judged(shape: Shape, record: Record, outages: Sequence[tuple[float, float]]) -> Verdict:
    """The oracle's verdict under the durations of the shape."""
    judging = Judging(
        capacities=Capacities(default=shape.capacity),
        rules=shape.rules,
        presence_interval_seconds=shape.presence_seconds,
        idle_seconds=IDLE_SECONDS,
        call_seconds=shape.call_seconds,
        outages=outages,
    )
    return judge(record, judging)


def after_kill(record: Record, at: float) -> AfterKill:
    """What the history tells of the time after a kill."""
    confirmed = [row.at for row in record.history if row.move is Move.CONFIRM and row.at > at]
    before = {row.chat_id: row for row in record.history if row.at <= at}
    held = [chat_id for chat_id, row in before.items() if row.after is ChatState.RESERVED]
    ends = {
        chat_id: min(
            (
                row.at
                for row in record.history
                if row.chat_id == chat_id and row.at > at and row.after is not ChatState.RESERVED
            ),
            default=at + KILL_SPAN_SECONDS,
        )
        for chat_id in held
    }
    return AfterKill(
        next_assigned_seconds=min(confirmed) - at if confirmed else None,
        settled_seconds=[end - at for end in ends.values()],
    )


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
