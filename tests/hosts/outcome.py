"""What a run on several hosts came to."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from pathlib import Path

from attrs import field, frozen

from sebastian_adapters.memory.platform import Truth
from tests.chaos.outcome import after_kill
from tests.hosts.network import Cut
from tests.hosts.shape import HostsShape
from tests.oracle import Promise, Record, Verdict
from tests.oracle.perfect import customers_of, percentile

STRANDED_SECONDS = 2.0
"""A chat that is reserved for so much longer than a call takes was the cut host's."""


@frozen(kw_only=True)
class CutOff:
    """One host without a network, from when to when."""

    host: str
    how: Cut
    at: float
    healed_at: float
    sessions: int
    """Of this host, that PostgreSQL still held when the cut ended."""


@frozen(kw_only=True)
class Outcome:
    """One run, judged and measured."""

    shape: HostsShape
    record: Record
    verdict: Verdict
    cuts: Sequence[CutOff]
    duties: Sequence[tuple[float, str]]
    logs: Mapping[str, str] = field(repr=False)
    starts: Mapping[str, int]
    unrest: str = ""
    kept: Path | None = None

    @property
    def is_clean(self) -> bool:
        """Whether all promises were kept and the floor came to rest."""
        return self.verdict.is_clean and not self.unrest

    def told(self) -> str:
        """The figures, a line each."""
        counts = self.verdict.counts
        restarted = {name: starts for name, starts in self.starts.items() if starts > 1}
        lines = [
            *self._phases(),
            *(line for cut in self.cuts for line in self._cut_told(cut)),
            f"processes started again  {restarted or 'none'}",
            "violations               "
            + ", ".join(f"{each.name} {counts[each]}" for each in Promise),
            *([f"not at rest              {self.unrest}"] if self.unrest else []),
            *([f"kept in                  {self.kept}"] if self.kept else []),
        ]
        return "\n".join(lines)

    def _phases(self) -> Iterator[str]:
        yield f"{'customers who came':<25}{'chats':>6}{'p50':>9}{'p99':>9}{'longest':>9}  webhooks"
        moments = [0.0, *(at for cut in self.cuts for at in (cut.at, cut.healed_at)), float("inf")]
        names = [f"while {cut.host} was cut off" for cut in self.cuts]
        for number, (since, until) in enumerate(pairwise(moments)):
            calm = "before" if number == 0 else "afterwards"
            yield self._phase(names[number // 2] if number % 2 else calm, since, until)

    def _phase(self, name: str, since: float, until: float) -> str:
        came = customers_of(self.record, Truth.of(self.record.events))
        waits = [
            each.waited_seconds
            for each in came
            if each.waited_seconds is not None and since <= each.arrived_at < until
        ]
        answers = Counter(
            "unanswered" if each.status is None else str(each.status)
            for each in self.record.deliveries
            if since <= each.fired_at < until
        )
        told = ", ".join(f"{count} {answer}" for answer, count in sorted(answers.items()))
        p50, p99, longest = percentile(waits, 0.5), percentile(waits, 0.99), max(waits, default=0.0)
        return f"{name:<25}{len(waits):>6}{p50:>7.2f} s{p99:>7.2f} s{longest:>7.2f} s  {told}"

    def _cut_told(self, cut: CutOff) -> list[str]:
        left = after_kill(self.record, cut.at).settled_seconds
        stranded = [each for each in left if each > STRANDED_SECONDS]
        seconds = f", the last for {max(stranded):.1f} s" if stranded else ""
        back = self._first_assignment(cut.host, cut.healed_at)
        return [
            f"{cut.host} cut off        for {cut.healed_at - cut.at:.1f} s: {cut.how}",
            f"  duties                 {self._duties_told(cut)}",
            f"  longest without a pass {self._longest_gap(cut):.2f} s",
            f"  reservations left      {len(stranded)}{seconds}",
            f"  its PostgreSQL sessions {cut.sessions} still held when the cut ended",
            f"  it gives chats again   {back}",
        ]

    def _duties_told(self, cut: CutOff) -> str:
        before = next((name for at, name in reversed(self.duties) if at <= cut.at), "")
        if not before.startswith(cut.host):
            return f"stayed with {before or 'nobody'}"
        taken = [(at, name) for at, name in self.duties if at > cut.at and name]
        if not taken:
            return f"nobody took them from {before}"
        at, name = taken[0]
        return f"from {before} to {name} within {at - cut.at:.1f} s"

    def _longest_gap(self, cut: CutOff) -> float:
        """Between two passes that gave something, of whomever, while the host was cut off."""
        passes = [each.at for each in self.record.passes if cut.at <= each.at <= cut.healed_at]
        return max(b - a for a, b in pairwise([cut.at, *sorted(passes), cut.healed_at]))

    def _first_assignment(self, host: str, since: float) -> str:
        logs = [log for name, log in self.logs.items() if name.startswith(f"{host} worker")]
        moments = [at for log in logs for at in _assigned_at(log) if at > since]
        return f"{min(moments) - since:.1f} s after its return" if moments else "never"


def _assigned_at(log: str) -> Iterator[float]:
    for line in log.splitlines():
        if line.startswith("{"):
            told = json.loads(line)
            if told.get("event") == "assigned":
                yield datetime.fromisoformat(told["timestamp"]).timestamp()
