"""One worker: looks at the line when the bell rings and at every tick, and does the duties."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from contextlib import suppress
from datetime import datetime, timedelta

import structlog
from attrs import asdict

from sebastian_apps.worker.parts import WorkerParts
from sebastian_core.domain.errors import (
    ForeignAccount,
    PlatformRefused,
    PlatformUnavailable,
    SebastianError,
    StoreUnavailable,
)
from sebastian_core.domain.moments import Horizon
from sebastian_core.domain.rules import doubled
from sebastian_core.usecases.assign_chat import Ended
from sebastian_core.usecases.reconcile import Reconciled
from sebastian_core.usecases.refresh_agents import Refreshed

FIRST_RECONCILE_SECONDS = 30.0
LAST_LOOK_SECONDS = 2.0
FINISH_SECONDS = 6.0
PERMIT_PAUSE_SECONDS = 0.01
SETTLE_BUSY_SECONDS = 10.0
GOODBYE_SECONDS = 0.5
ROSTER_SECONDS = 0.05
"""How long a roster will do for looks that follow each other by the hundred a second.

The last one of them reads it anew: a bell may have rung for it meanwhile.
"""

log = structlog.stdlib.get_logger("sebastian.worker")


class Interrupted(RuntimeError):
    """Something in a worker was cancelled, and nobody had asked for it."""


async def _failure_of(tasks: Iterable[asyncio.Task[None]]) -> BaseException | None:
    """Cancel those that still run; why one of them did not end as it should, if one did not."""
    tasks = list(tasks)
    asked = [each for each in tasks if each.cancel()]
    ends = await asyncio.gather(*tasks, return_exceptions=True)
    for task, end in zip(tasks, ends, strict=True):
        if isinstance(end, asyncio.CancelledError):
            if task not in asked:
                return Interrupted("something in the worker was cancelled unasked")
        elif end is not None:
            return end
    return None


class Worker:
    """Runs until it is stopped. Any number of workers may run; one of them does the duties.

    The doorbell makes dispatch fast, the tick makes it certain: with Redis away nothing but the
    delay changes.
    """

    def __init__(self, parts: WorkerParts, name: str) -> None:
        self.parts = parts
        self.name = name
        self._stopping = asyncio.Event()
        self._look = asyncio.Event()
        self._has_duties = False
        self._due = 0
        self._outage_since: datetime | None = None
        self._reconciled = asyncio.Event()
        self._bell_heard_at: float | None = None
        parts.ended.append(self._on_ended)

    def stop(self) -> None:
        """Take nothing more; `run` returns once what is under way has ended."""
        self._stopping.set()
        self._look.set()

    async def run(self) -> None:
        """Work until stopped. Raises what opening the parts raises, or what ended a loop."""
        try:
            await self.parts.open()
            if await self._started():
                await self._work()
            left = await self.parts.dispatch.finish(FINISH_SECONDS)
            log.info("worker stopped", worker=self.name, calls_left=left)
            await self._say_goodbye()
        finally:
            await self.parts.close()

    async def _started(self) -> bool:
        """Start, unless told to stop meanwhile."""
        starting = asyncio.create_task(self._start())
        stopped = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({starting, stopped}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopped.cancel()
            failure = await _failure_of([starting])
        if failure is not None:
            raise failure
        return not self._stopping.is_set()

    async def _start(self) -> None:
        log.info("worker started", worker=self.name)
        await self._take_duties()
        await self._quietly("report", self._report)
        await self._quietly("refresh", self._first_roster)

    async def _first_roster(self) -> None:
        roster = await self.parts.roster.roster()
        now = self.parts.clock.now()
        if roster is None or now - roster.read_at > self.parts.roster_max_age or self._has_duties:
            self._done("refresh", await self.parts.refresh_agents())

    async def _work(self) -> None:
        dispatching = asyncio.create_task(self._dispatch())
        loops = {dispatching, *(asyncio.create_task(loop) for loop in self._loops())}
        stopped = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({*loops, stopped}, return_when=asyncio.FIRST_COMPLETED)
            self.stop()
            await asyncio.wait({dispatching}, timeout=LAST_LOOK_SECONDS)
        finally:
            stopped.cancel()
            failure = await _failure_of(loops)
        if failure is not None:
            raise failure

    def _loops(self) -> list[Coroutine[None, None, None]]:
        parts, every = self.parts, self.parts.intervals
        return [
            self._listen(),
            self._each(every.lease_renewal, "lease", self._take_duties),
            self._each(every.probe, "probe", self._probe),
            self._each(every.clock, "clock", parts.sync_clock),
            self._each(every.report, "report", self._report),
            self._settle(),
            self._duty(every.refresh, "refresh", self._refresh),
            self._reconcile_first_then_each(),
            self._duty(every.exclusions, "exclusions", parts.room_repo.lift_exclusions),
            self._duty(every.prune, "prune", self._prune),
            self._duty(every.bring_back, "moments", self._bring_back),
        ]

    async def _listen(self) -> None:
        tick = self.parts.intervals.tick.total_seconds()
        while True:
            if await self.parts.job_queue.wait(tick):
                self._bell_heard_at = self._bell_heard_at or self.parts.clock.monotonic()
                self._look.set()

    async def _dispatch(self) -> None:
        if self._has_duties:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._reconciled.wait(), FIRST_RECONCILE_SECONDS)
        quick_until, empty_looks = float("-inf"), 0
        while not self._stopping.is_set():
            self._look.clear()
            self._answer_bell()
            is_quick = self.parts.clock.monotonic() < quick_until
            if await self._dispatch_once(ROSTER_SECONDS if is_quick else 0.0):
                linger = self.parts.intervals.linger.total_seconds()
                quick_until, empty_looks = self.parts.clock.monotonic() + linger, 0
                is_quick = True
            else:
                empty_looks += 1
            with suppress(TimeoutError):
                await asyncio.wait_for(self._look.wait(), self._pause(empty_looks, is_quick))

    def _answer_bell(self) -> None:
        """Tell how long the bell waited for this look, if it rang."""
        heard_at, self._bell_heard_at = self._bell_heard_at, None
        if heard_at is not None:
            self.parts.bell_answered(self.parts.clock.monotonic() - heard_at)

    async def _dispatch_once(self, roster_within_seconds: float) -> int:
        try:
            return await self.parts.dispatch(roster_within_seconds)
        except StoreUnavailable as error:
            log.warning("dispatch waits for the database", error=str(error))
            return 0

    def _pause(self, empty_looks: int, is_quick: bool) -> float:
        every = self.parts.intervals
        until_permit = self.parts.dispatch.seconds_until_permit()
        if until_permit is not None:
            return min(max(until_permit, PERMIT_PAUSE_SECONDS), every.tick.total_seconds())
        if not is_quick:
            return every.tick.total_seconds()
        return doubled(every.busy_pause, empty_looks, every.linger_pause).total_seconds()

    def _on_ended(self, ended: Ended) -> None:
        if ended.is_back_in_line or self.parts.dispatch.seconds_until_permit() is not None:
            self._look.set()

    async def _take_duties(self) -> None:
        lease = self.parts.intervals.lease
        try:
            self._has_duties = await self.parts.room_repo.hold_duty(self.name, lease)
        except StoreUnavailable:
            self._has_duties = False
        self.parts.status.leads(self.parts.clock.now(), leads=self._has_duties)

    async def _probe(self) -> None:
        self._outage_since = await self.parts.gate.probe_if_due() or self._outage_since
        if self._outage_since is None:
            return
        self._look.set()
        hastened = await self.parts.room_repo.hasten(self._outage_since)
        self._outage_since = None
        log.info("the platform is back", hastened=hastened)
        self._look.set()

    async def _settle(self) -> None:
        """Settle what is due: often while there is something, else now and then."""
        every = self.parts.intervals
        self.parts.status.expects("settle", every.settle_idle, leader_only=True)
        busy_until = 0.0
        while True:
            is_busy = self.parts.clock.monotonic() < busy_until
            await asyncio.sleep((every.settle if is_busy else every.settle_idle).total_seconds())
            self._due = 0
            if self._has_duties:
                await self._quietly("settle", self._settle_due)
            if self._due:
                busy_until = self.parts.clock.monotonic() + SETTLE_BUSY_SECONDS

    async def _settle_due(self) -> None:
        self._due = await self.parts.settle_chat.due()

    async def _refresh(self) -> Refreshed:
        found = await self.parts.refresh_agents()
        if found.findings:
            log.info("refresh found differences", **dict(found.findings))
        return found

    async def _reconcile_first_then_each(self) -> None:
        if self._has_duties:
            await self._quietly("reconcile", self._reconcile)
        self._reconciled.set()
        await self._duty(self.parts.intervals.reconcile, "reconcile", self._reconcile)

    async def _reconcile(self) -> Reconciled:
        found = await self.parts.reconcile()
        differences = asdict(found, filter=lambda counted, _: counted.name != "listed")
        if any(differences.values()):
            log.info("reconcile found differences", **differences)
        return found

    async def _report(self) -> None:
        parts, status, now = self.parts, self.parts.status, self.parts.clock.now()
        status.started_at = status.started_at or now
        status.sees(parts.gate.standing, now)
        status.in_flight = parts.gate.permits.in_flight
        status.honours_user_ids = parts.refresh_agents.honours_user_ids
        status.policy = parts.policy.state() if parts.policy is not None else {}
        await parts.room_repo.report(self.name, status.document())

    async def _say_goodbye(self) -> None:
        """Let nobody miss this worker; a database that is away must not hold it up."""
        with suppress(SebastianError, TimeoutError):
            async with asyncio.timeout(GOODBYE_SECONDS):
                await self.parts.room_repo.report(self.name, {"stopped": True})

    async def _prune(self) -> None:
        while await self.parts.room_repo.prune(self.parts.history_keep):
            log.debug("pruned a batch of the history")

    async def _bring_back(self) -> None:
        brought_back = await self.parts.room_repo.bring_back(Horizon.of(self.parts.rules))
        if brought_back:
            log.warning("the database's clock was set back", rows_brought_back=brought_back)

    async def _duty(
        self, pause: timedelta, name: str, step: Callable[[], Awaitable[object]]
    ) -> None:
        await self._each(pause, name, step, leader_only=True)

    async def _each(
        self,
        pause: timedelta,
        name: str,
        step: Callable[[], Awaitable[object]],
        *,
        leader_only: bool = False,
    ) -> None:
        self.parts.status.expects(name, pause, leader_only=leader_only)
        while True:
            await asyncio.sleep(pause.total_seconds())
            if self._has_duties or not leader_only:
                await self._quietly(name, step)

    async def _quietly(self, name: str, step: Callable[[], Awaitable[object]]) -> None:
        """Do a step that may fail and is done again later; not in another account's tables."""
        try:
            found = await step()
        except (PlatformUnavailable, PlatformRefused) as error:
            self._failed(name, str(error))
            await self._blame(name, error)
        except ForeignAccount:
            raise
        except SebastianError as error:
            self._failed(name, str(error))
            log.warning("a duty failed and is tried again", duty=name, error=str(error))
        except Exception:
            self._failed(name, "see the log")
            log.exception("a duty failed unexpectedly and is tried again", duty=name)
        else:
            self._done(name, found)

    def _done(self, duty: str, found: object = None) -> None:
        known = self.parts.status.done(duty, self.parts.clock.now(), found)
        for listener in self.parts.duty_ended:
            listener(duty, known.found)

    def _failed(self, duty: str, why: str) -> None:
        self.parts.status.failed(duty, self.parts.clock.now(), why)
        for listener in self.parts.duty_ended:
            listener(duty, None)

    async def _blame(self, name: str, error: PlatformUnavailable | PlatformRefused) -> None:
        is_account = await self.parts.gate.blames_account(error)
        log.warning("a duty failed", duty=name, error=str(error), account_is_at_fault=is_account)
