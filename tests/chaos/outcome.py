"""What a run of chaos came to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from attrs import field, frozen

from sebastian_core.domain.chat import ChatState, Transition
from tests.canaries import Search
from tests.chaos.shape import Shape
from tests.oracle import Capacities, Judging, Promise, Record, Row, Verdict, judge
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
NEVER = float("inf")
SHOWN_HITS = 20


@frozen(kw_only=True)
class Kill:
    """A worker that was killed, and when."""

    worker: str
    at: float


@frozen(kw_only=True)
class AfterKill:
    """From the kill of one worker: the next assignment of another's chat, and what it left."""

    next_assigned_seconds: float | None
    settled_seconds: Sequence[float]
    """Of every chat that the dead worker had reserved and not yet answered for."""


@frozen(kw_only=True)
class Demand:
    """One figure that a run must show, and whether it does."""

    what: str
    shown: str
    is_met: bool

    def __str__(self) -> str:
        return f"{'met' if self.is_met else 'NOT MET':<8} {self.what}: {self.shown}"


@frozen(kw_only=True)
class Outcome:
    """One run, judged and measured."""

    shape: Shape
    record: Record
    verdict: Verdict
    faults: Mapping[str, int]
    starts: Mapping[str, int]
    after_kills: Sequence[AfterKill]
    chaos: tuple[float, float]
    """From when to when things failed, in Unix seconds."""
    unrest: str = ""
    broken: Sequence[str] = field(factory=tuple)
    """What went wrong with the chaos itself."""
    canaries: Search = field(factory=Search)
    """What was searched for secrets that came out: logs, rows, keys in Redis."""
    kept: Path | None = None
    """Where logs, databases and the verdict stay."""

    @property
    def violations(self) -> list[str]:
        """The broken ones of the promises that are demanded here."""
        return [str(each) for promise in PROMISED for each in self.verdict.of(promise)]

    @property
    def is_clean(self) -> bool:
        """Whether all was shown that must be, and the floor came to rest."""
        met = all(each.is_met for each in self.demands)
        return met and not (self.violations or self.unrest or self.broken)

    @property
    def demands(self) -> list[Demand]:
        """What this run must show."""
        faults, webhooks, broken = sum(self.faults.values()), self._webhooks, len(self.violations)
        wanted = self.shape
        counted = [
            Demand(
                what=f"faults, at least {wanted.faults_demanded}",
                shown=str(faults),
                is_met=faults >= wanted.faults_demanded,
            ),
            Demand(
                what=f"webhooks meanwhile, at least {wanted.webhooks_demanded}",
                shown=str(webhooks),
                is_met=webhooks >= wanted.webhooks_demanded,
            ),
            Demand(what="violations of P1-P5, P8, P9", shown=str(broken), is_met=not broken),
            Demand(
                what="no secret came out",
                shown=self.canaries.summary,
                is_met=not self.canaries.hits,
            ),
        ]
        return [*counted, *self._after_kills()] if self.after_kills else counted

    @property
    def _webhooks(self) -> int:
        """How many reached us, or should have, while things failed."""
        since, until = self.chaos
        return sum(
            not each.is_lost and since <= each.fired_at <= until for each in self.record.deliveries
        )

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
            *(f"demanded         {each}" for each in self.demands),
            *(f"came out         {each}" for each in self.canaries.hits[:SHOWN_HITS]),
            *([f"not at rest      {self.unrest}"] if self.unrest else []),
            *(f"broken           {each}" for each in self.broken),
            *([f"kept in          {self.kept}"] if self.kept else []),
        ]
        return "\n".join(rows)

    def _after_kills(self) -> list[Demand]:
        following = [each.next_assigned_seconds for each in self.after_kills]
        known = [NEVER if each is None else each for each in following]
        settled = [each for kill in self.after_kills for each in kill.settled_seconds]
        p99, last = percentile(known, 0.99), max(settled, default=NEVER)
        within, limit = self.shape.next_demanded_seconds, self.shape.settled_demanded_seconds
        return [
            Demand(
                what=f"after {len(known)} kills, others' next assignment, p99 within {within:g} s",
                shown=f"p50 {percentile(known, 0.5):.3f} s, p99 {p99:.3f} s",
                is_met=p99 <= within,
            ),
            Demand(
                what=f"every chat that a dead worker held settled within {limit:g} s",
                shown=f"{len(settled)} chats, the last after {last:.1f} s",
                is_met=last <= limit,
            ),
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


def after_kill(record: Record, kill: Kill, writers: Mapping[int, str]) -> AfterKill:
    """What the history tells of the time after a kill.

    `writers` tells which process wrote which row: what a worker held is what it had reserved.
    """
    held = {
        chat_id
        for chat_id, row in reserved_at(record, kill.at).items()
        if _reserver(record, row, writers) == kill.worker
    }
    confirmed = [
        row.at
        for row in record.history
        if row.at > kill.at and row.move is Transition.CONFIRM and row.chat_id not in held
    ]
    return AfterKill(
        next_assigned_seconds=min(confirmed) - kill.at if confirmed else None,
        settled_seconds=settled_after(record, kill.at, held),
    )


def reserved_at(record: Record, at: float) -> dict[int, Row]:
    """The chats that were reserved then, each with its last row."""
    last = {row.chat_id: row for row in record.history if row.at <= at}
    return {chat_id: row for chat_id, row in last.items() if row.after is ChatState.RESERVED}


def settled_after(record: Record, at: float, held: Collection[int]) -> list[float]:
    """How long each of these reservations still lasted."""
    ends: dict[int, float] = {}
    for row in record.history:
        if row.at > at and row.chat_id in held and row.after is not ChatState.RESERVED:
            ends.setdefault(row.chat_id, row.at)
    return [ends.get(chat_id, NEVER) - at for chat_id in held]


def _reserver(record: Record, last: Row, writers: Mapping[int, str]) -> str | None:
    """Who reserved a chat whose last row this is."""
    reserving = [
        row.seq
        for row in record.history
        if row.chat_id == last.chat_id and row.move is Transition.RESERVE and row.seq <= last.seq
    ]
    return writers.get(reserving[-1])


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
