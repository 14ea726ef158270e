"""Numbers out of runs: medians, percentiles, and rounds that alternate the rivals."""

from __future__ import annotations

import statistics
from collections.abc import Awaitable, Callable, Mapping, Sequence

import psutil
from attrs import frozen

Contender = Callable[[], Awaitable[float]]


@frozen(kw_only=True)
class Percentiles:
    """How long something took, in seconds."""

    count: int
    p50: float
    p99: float
    mean: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Percentiles:
        """Of one or more durations."""
        ordered = sorted(seconds)
        return cls(
            count=len(ordered),
            p50=percentile(ordered, 0.5),
            p99=percentile(ordered, 0.99),
            mean=statistics.fmean(ordered),
        )


def percentile(ordered: Sequence[float], share: float) -> float:
    """The value that this share of the ordered values does not exceed."""
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]


async def alternating(contenders: Mapping[str, Contender], rounds: int) -> dict[str, list[float]]:
    """What each contender reached in each round; every round goes through all of them."""
    reached: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, run in contenders.items():
            reached[name].append(await run())
    return reached


def median(values: Sequence[float]) -> float:
    """The middle value."""
    return statistics.median(values)


def cpu_seconds(pid: int) -> float:
    """How much processor time a process and its children have used so far."""
    process = psutil.Process(pid)
    return sum(_own_cpu_seconds(each) for each in (process, *process.children(recursive=True)))


def resident_mebibytes(pid: int) -> float:
    """How much memory the process itself holds."""
    return float(psutil.Process(pid).memory_info().rss) / 2**20


def _own_cpu_seconds(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system + times.children_user + times.children_system)
