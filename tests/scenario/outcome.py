"""What a run came to, and how it is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path

from attrs import frozen

from sebastian_adapters.memory.platform import Truth
from sebastian_core.domain.rules import Rules
from tests.oracle import Judging, Promise, Record, Verdict, judge
from tests.oracle.perfect import customers_of, mean, percentile, perfect_waits, presence_of
from tests.oracle.record import Capacities
from tests.scenario.metrics import Compared
from tests.scenario.scenarios import Scenario


@frozen(kw_only=True)
class Outcome:
    """One run, judged and measured."""

    scenario: Scenario
    record: Record
    verdict: Verdict
    chats: int
    by_us: int
    by_hand: int
    waits: Sequence[float]
    perfect: Sequence[float]
    perfect_blind: Sequence[float]
    """Perfect, but unaware of what is given by hand: those chats fill no slots."""
    cpu_seconds: Mapping[str, float]
    elapsed_seconds: float
    metrics: Sequence[Compared] = ()
    """What the processes told Prometheus, beside what it was."""
    stalls: Sequence[tuple[float, float]] = ()
    """When the machine stood still: no chat is expected to be given then."""
    kept: Path | None = None
    """Where logs, databases and the verdict stay."""

    @property
    def behind_perfect_seconds(self) -> float:
        """How far the mean wait lies above that of a perfect allocator."""
        return mean(self.waits) - mean(self.perfect)

    @property
    def too_slow(self) -> list[str]:
        """Which of the figures that depend on the machine's speed are not what is demanded."""
        wanted = self.scenario
        checks = {
            "the mean wait is too long": wanted.wait_within_seconds is not None
            and self.behind_perfect_seconds > wanted.wait_within_seconds,
            "calls crossed": wanted.calls_may_not_cross and bool(self.verdict.crossed),
            "too many chats were given to somebody who left": wanted.left_at_most is not None
            and len(self.verdict.left_during_call) > wanted.left_at_most,
        }
        return [what for what, is_so in checks.items() if is_so]

    @property
    def metrics_that_differ(self) -> list[str]:
        """A sentence for each metric that does not tell what the record and the platform say."""
        return [str(each) for each in self.metrics if not each.agrees]

    def table(self) -> str:
        """The figures, a line each."""
        rows = [
            (f"Scenario {self.scenario.name}", self.scenario.what),
            ("chats", f"{self.chats} ({self.by_us} given by us, {self.by_hand} by hand)"),
            ("mean wait", f"{_ms(mean(self.waits))}"),
            ("perfect mean wait", self._perfect()),
            ("difference", f"{_ms(self.behind_perfect_seconds)}{self._demanded()}"),
            (
                "wait p50 / p99",
                f"{_ms(percentile(self.waits, 0.5))} / {_ms(percentile(self.waits, 0.99))}",
            ),
            ("violations", self._violations()),
            ("calls that crossed", f"{len(self.verdict.crossed)}"),
            ("given to somebody offline", self._offline()),
            ("metrics agree", self._metrics()),
            ("CPU seconds", self._cpu()),
            ("took", f"{self.elapsed_seconds:.1f} s{self._stood_still()}"),
            *([("kept in", str(self.kept))] if self.kept else []),
        ]
        width = max(len(name) for name, _ in rows)
        return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)

    def _stood_still(self) -> str:
        still = sum(until - since for since, until in self.stalls)
        return f", the machine stood still for {still:.1f} s of them" if still else ""

    def _perfect(self) -> str:
        blind = f"{_ms(mean(self.perfect_blind))} where chats given by hand fill no slots"
        return f"{_ms(mean(self.perfect))} ({blind})"

    def _demanded(self) -> str:
        limit = self.scenario.wait_within_seconds
        return "" if limit is None else f" (demanded: within {_ms(limit)})"

    def _violations(self) -> str:
        counts = self.verdict.counts
        return ", ".join(f"{promise.name} {counts[promise]}" for promise in Promise)

    def _offline(self) -> str:
        allowed = len(self.verdict.left_during_call)
        since = "the last call" if self.scenario.verify else "presence.max_age"
        return f"{len(self.verdict.offline_gifts)} ({allowed} of them left within {since})"

    def _metrics(self) -> str:
        differ = self.metrics_that_differ
        return "; ".join(differ) if differ else f"yes, {len(self.metrics)} numbers compared"

    def _cpu(self) -> str:
        told = [f"{name} {seconds:.1f}" for name, seconds in self.cpu_seconds.items()]
        return ", ".join(told)


def judging_of(scenario: Scenario, stalls: Sequence[tuple[float, float]] = ()) -> Judging:
    """The rules that a scenario is judged by; `stalls` are when the machine stood still."""
    return Judging(
        capacities=Capacities(default=scenario.floor.capacity),
        rules=Rules(settle=timedelta(seconds=scenario.settle_seconds)),
        presence_interval_seconds=scenario.presence_interval_seconds,
        verify=scenario.verify,
        call_seconds=scenario.call_seconds,
        outages=stalls,
    )


def outcome_of(
    scenario: Scenario,
    record: Record,
    cpu_seconds: Mapping[str, float],
    elapsed_seconds: float,
    metrics: Sequence[Compared] = (),
    stalls: Sequence[tuple[float, float]] = (),
) -> Outcome:
    """Judge and measure one run."""
    judging = judging_of(scenario, stalls)
    customers = customers_of(record, Truth.of(record.events))
    presence = presence_of(record)
    by_hand = sum(customer.by_hand_at is not None for customer in customers)
    served = [each.waited_seconds for each in customers if each.waited_seconds is not None]
    return Outcome(
        scenario=scenario,
        record=record,
        verdict=judge(record, judging),
        chats=len(customers),
        by_us=len(served) - by_hand,
        by_hand=by_hand,
        waits=served,
        perfect=perfect_waits(customers, presence, judging.capacities),
        perfect_blind=perfect_waits(
            customers, presence, judging.capacities, hands_fill_slots=False
        ),
        cpu_seconds=cpu_seconds,
        elapsed_seconds=elapsed_seconds,
        metrics=metrics,
        stalls=stalls,
    )


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"
