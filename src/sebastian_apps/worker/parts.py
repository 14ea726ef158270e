"""What a worker is made of; whoever builds one decides whether the parts are real or in memory."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Any

from attrs import field, frozen

from sebastian_apps.own_policy import GuardedPolicy
from sebastian_apps.status.heartbeat import WorkerStatus
from sebastian_core.domain.rules import Rules
from sebastian_core.ports.clock import Clock
from sebastian_core.ports.job_queue import JobQueue
from sebastian_core.ports.room_repo import RoomRepo
from sebastian_core.usecases.assign_chat import Ended
from sebastian_core.usecases.dispatch import Dispatch
from sebastian_core.usecases.known_roster import KnownRoster
from sebastian_core.usecases.platform_gate import PlatformGate
from sebastian_core.usecases.reconcile import Reconcile
from sebastian_core.usecases.refresh_agents import RefreshAgents
from sebastian_core.usecases.settle_chat import SettleChat

Step = Callable[[], Awaitable[None]]
DutyListener = Callable[[str, Mapping[str, Any] | None], None]


@frozen(kw_only=True)
class Intervals:
    """How often a worker does what.

    After a look that found something the next comes after `busy_pause`; each further one that finds
    nothing waits twice as long as the one before, at most `linger_pause`. A `linger` after the last
    that found something there are only the `tick` and the bell.
    """

    tick: timedelta = timedelta(seconds=2)
    linger: timedelta = timedelta(seconds=1)
    linger_pause: timedelta = timedelta(milliseconds=4)
    busy_pause: timedelta = timedelta(milliseconds=1)
    settle: timedelta = timedelta(milliseconds=100)
    settle_idle: timedelta = timedelta(milliseconds=500)
    probe: timedelta = timedelta(milliseconds=500)
    refresh: timedelta = timedelta(seconds=10)
    reconcile: timedelta = timedelta(seconds=60)
    exclusions: timedelta = timedelta(seconds=10)
    prune: timedelta = timedelta(minutes=10)
    bring_back: timedelta = timedelta(seconds=30)
    clock: timedelta = timedelta(seconds=30)
    report: timedelta = timedelta(seconds=2)
    lease: timedelta = timedelta(seconds=6)
    lease_renewal: timedelta = timedelta(seconds=2)


@frozen(kw_only=True)
class WorkerParts:
    """The use cases and ports of one worker process.

    `open` and `close` bracket its life, `sync_clock` refreshes the estimate of the database's time.
    `ended` collects who is to be told of every assignment that ended, `duty_ended` who is told what
    each run of a duty found, or None if it failed. `status` is what the worker reports of itself;
    `bell_answered` is told how long the bell waited for a look at the line.
    """

    room_repo: RoomRepo
    job_queue: JobQueue
    clock: Clock
    roster: KnownRoster
    gate: PlatformGate
    dispatch: Dispatch
    settle_chat: SettleChat
    refresh_agents: RefreshAgents
    reconcile: Reconcile
    open: Step
    close: Step
    sync_clock: Step
    ended: list[Callable[[Ended], None]]
    bell_answered: Callable[[float], None] = field(default=lambda seconds: None)
    intervals: Intervals = field(factory=Intervals)
    rules: Rules = field(factory=Rules)
    history_keep: timedelta = timedelta(days=90)
    roster_max_age: timedelta = timedelta(seconds=30)
    policy: GuardedPolicy | None = None
    status: WorkerStatus = field(factory=WorkerStatus)
    duty_ended: list[DutyListener] = field(factory=list)
