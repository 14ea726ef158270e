"""What is done again and again, as values: schedule, heartbeat and lateness follow from them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from attrs import frozen


@frozen
class Duty:
    """Something that is done again and again, in every process or only in the one that leads.

    `every` is the pause between the end of one run and the begin of the next; `while_busy` is a
    shorter one, for as long as runs find something (answer what is true). What `run` raises is told
    and tried again after the pause. With `at_start` the first run comes at once, and nothing is
    given to agents before it has ended (30 s at most). `is_missing` says whether what the duty
    keeps is not there at all: at the start every process does it then, whoever leads.
    """

    name: str
    every: timedelta
    run: Callable[[], Awaitable[object]]
    leader_only: bool = True
    at_start: bool = False
    while_busy: timedelta | None = None
    is_missing: Callable[[], Awaitable[bool]] | None = None


@frozen(kw_only=True)
class DutyResult:
    """What became of a duty in this process.

    `found` is what its last good run answered, at `succeeded_at`. If a run failed since then,
    `failed_at` and `error` tell when and why in words; else they are None.
    """

    succeeded_at: datetime | None = None
    found: object = None
    failed_at: datetime | None = None
    error: str | None = None
