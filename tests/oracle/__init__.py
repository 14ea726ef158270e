"""The oracle: decides from the platform's log and our history whether the promises were kept.

`judge(record, judging)` answers a verdict. It is pure, so the same checker serves the real
processes, the simulation and whoever wants to look at a run of their own.
"""

from tests.oracle.judge import judge
from tests.oracle.record import (
    Capacities,
    ChatNow,
    Delivered,
    Judging,
    PassRow,
    Record,
    Row,
    Snapshot,
)
from tests.oracle.verdict import OfflineGift, Promise, Verdict, Violation

__all__ = [
    "Capacities",
    "ChatNow",
    "Delivered",
    "Judging",
    "OfflineGift",
    "PassRow",
    "Promise",
    "Record",
    "Row",
    "Snapshot",
    "Verdict",
    "Violation",
    "judge",
]
