"""The loop: looks at the line when the bell rings and at every tick, and does the duties."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any

from attrs import evolve, frozen

from sebastian_core.domain.errors import (
    ForeignAccount,
    PlatformRefused,
    PlatformUnavailable,
    SebastianError,
    StoreUnavailable,
)
from sebastian_core.domain.rules import doubled
from sebastian_core.ports.clock import Clock
from sebastian_core.ports.job_queue import JobQueue
from sebastian_core.usecases.assign import AssignmentResult
from sebastian_core.usecases.circuit_breaker import CircuitBreaker
from sebastian_core.usecases.dispatch import Dispatch
from sebastian_core.usecases.duties import Duty, DutyResult
from sebastian_core.usecases.lead import Lead
from sebastian_core.usecases.observer import Observer

AT_START_SECONDS = 30.0
"""For so long the first pass waits for the duties that are done at the start."""

LAST_PASS_SECONDS = 2.0
FINISH_SECONDS = 6.0
PERMIT_PAUSE_SECONDS = 0.01
BUSY = timedelta(seconds=10)
"""A duty that found something counts as busy for so long."""

ROSTER_SECONDS = 0.05
"""How long a roster will do for passes that follow each other by the hundred a second.

The last one of them reads it anew: a bell may have rung for it meanwhile.
"""


@frozen(kw_only=True)
class Polling:
    """How often the line is looked at while no bell rings.

    Every `poll_interval`. After a pass that gave something the next one comes after
    `hot_poll_interval`; each further one that gives nothing waits twice as long as the one before,
    at most `hot_poll_limit`. That ends `hot_poll_for` after the last pass that gave something.
    """

    poll_interval: timedelta = timedelta(seconds=2)
    hot_poll_for: timedelta = timedelta(seconds=1)
    hot_poll_interval: timedelta = timedelta(milliseconds=1)
    hot_poll_limit: timedelta = timedelta(milliseconds=4)


class Interrupted(RuntimeError):
    """Something in the loop was cancelled, and nobody had asked for it."""


class Run:
    """Runs until it is stopped. Any number of processes may run; one of them leads.

    The doorbell makes dispatch fast, the tick makes it certain: if the bell is away nothing but the
    delay changes. `results` tells what became of each duty, by name.
    """

    def __init__(
        self,
        lead: Lead,
        dispatch: Dispatch,
        breaker: CircuitBreaker,
        job_queue: JobQueue,
        clock: Clock,
        observer: Observer,
        polling: Polling,
    ) -> None:
        self._lead = lead
        self._dispatch = dispatch
        self._breaker = breaker
        self._job_queue = job_queue
        self._clock = clock
        self._observer = observer
        self._polling = polling
        self.results: dict[str, DutyResult] = {}
        self._stopping = asyncio.Event()
        self._look = asyncio.Event()
        self._bell_heard_at: float | None = None

    def stop(self) -> None:
        """Take nothing more; the loop ends once what is under way has ended."""
        self._stopping.set()
        self._look.set()

    def look(self) -> None:
        """Look at the line now; what rings only in this process needs no bell."""
        self._look.set()

    def assignment_ended(self, ended: AssignmentResult) -> None:
        """Look again if the chat may be given again, or its permit is wanted."""
        if ended.is_back_in_line or self._dispatch.seconds_until_permit() is not None:
            self._look.set()

    async def __call__(self, first: Duty, others: Sequence[Duty]) -> int:
        """Work until stopped; how many calls were still under way when it ended.

        Nothing else begins before the `first` duty has run once: it decides who leads. Raises what
        ended a loop, ForeignAccount above all.
        """
        if await self._started(first):
            await self._work([first, *others])
        return await self._dispatch.finish(FINISH_SECONDS)

    async def step(self, duties: Iterable[Duty]) -> int:
        """Do every duty once, then one pass, and see its calls to their end; how many chats."""
        for duty in duties:
            await self._perform_if_ours(duty)
        given = await self._dispatch()
        await self._dispatch.finish(FINISH_SECONDS)
        return given

    async def _started(self, first: Duty) -> bool:
        """Start, unless told to stop meanwhile."""
        starting = asyncio.create_task(self._perform(first))
        stopped = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({starting, stopped}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopped.cancel()
            failure = await _failure_of([starting])
        if failure is not None:
            raise failure
        return not self._stopping.is_set()

    async def _work(self, duties: Sequence[Duty]) -> None:
        at_start = {duty.name: asyncio.Event() for duty in duties[1:] if duty.at_start}
        dispatching = asyncio.create_task(self._keep_dispatching(at_start.values()))
        loops = {dispatching, asyncio.create_task(self._listen())}
        loops |= {asyncio.create_task(self._repeat(each, at_start)) for each in duties}
        stopped = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({*loops, stopped}, return_when=asyncio.FIRST_COMPLETED)
            self.stop()
            await asyncio.wait({dispatching}, timeout=LAST_PASS_SECONDS)
        finally:
            self.stop()
            stopped.cancel()
            failure = await _failure_of(loops)
        if failure is not None:
            raise failure

    async def _listen(self) -> None:
        tick = self._polling.poll_interval.total_seconds()
        while True:
            if await self._job_queue.wait(tick):
                self._bell_heard_at = self._bell_heard_at or self._clock.monotonic()
                self._look.set()

    async def _keep_dispatching(self, first: Iterable[asyncio.Event]) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(AT_START_SECONDS):
                for done in first:
                    await done.wait()
        hot_until, empty_passes = float("-inf"), 0
        while not self._stopping.is_set():
            self._look.clear()
            self._answer_bell()
            is_hot = self._clock.monotonic() < hot_until
            if await self._pass(ROSTER_SECONDS if is_hot else 0.0):
                hot_for = self._polling.hot_poll_for.total_seconds()
                hot_until, empty_passes = self._clock.monotonic() + hot_for, 0
                is_hot = True
            else:
                empty_passes += 1
            with suppress(TimeoutError):  # `wait_for` of 3.11 may lose a cancellation
                async with asyncio.timeout(self._pause(empty_passes, is_hot)):
                    await self._look.wait()

    def _answer_bell(self) -> None:
        """Tell how long the bell waited for this pass, if it rang."""
        heard_at, self._bell_heard_at = self._bell_heard_at, None
        if heard_at is not None:
            self._observer.bell_answered(self._clock.monotonic() - heard_at)

    async def _pass(self, roster_within_seconds: float) -> int:
        try:
            return await self._dispatch(roster_within_seconds)
        except StoreUnavailable as error:
            self._observer.dispatch_failed(error)
            return 0

    def _pause(self, empty_passes: int, is_hot: bool) -> float:
        polling = self._polling
        until_permit = self._dispatch.seconds_until_permit()
        if until_permit is not None:
            wait = max(until_permit, PERMIT_PAUSE_SECONDS)
            return min(wait, polling.poll_interval.total_seconds())
        if not is_hot:
            return polling.poll_interval.total_seconds()
        pause = doubled(polling.hot_poll_interval, empty_passes, polling.hot_poll_limit)
        return pause.total_seconds()

    async def _repeat(self, duty: Duty, at_start: Mapping[str, asyncio.Event]) -> None:
        """Do a duty again and again, for the first time at once if it is one of the start."""
        if duty.name in at_start:
            if duty.is_missing is not None and await duty.is_missing():
                await self._perform(duty)
            else:
                await self._perform_if_ours(duty)
            at_start[duty.name].set()
        busy_until = float("-inf")
        while True:
            is_busy = self._clock.monotonic() < busy_until
            pause = duty.while_busy if is_busy and duty.while_busy else duty.every
            await asyncio.sleep(pause.total_seconds())
            if await self._perform_if_ours(duty):
                busy_until = self._clock.monotonic() + BUSY.total_seconds()

    async def _perform_if_ours(self, duty: Duty) -> object:
        """Do a duty, unless it is the leader's and we do not lead; what it found."""
        if self._lead.is_ours or not duty.leader_only:
            return await self._perform(duty)
        known = self.results.get(duty.name, DutyResult())
        self.results[duty.name] = evolve(known, failed_at=None, error=None)
        return None

    async def _perform(self, duty: Duty) -> object:
        """Do a duty that may fail and is done again later; not in another account's tables."""
        try:
            found = await duty.run()
        except ForeignAccount:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the others go on
            await self._note_failure(duty, error)
            return None
        result = DutyResult(succeeded_at=self._clock.now(), found=found)
        self.results[duty.name] = result
        self._observer.duty_done(duty, result)
        return found

    async def _note_failure(self, duty: Duty, error: Exception) -> None:
        known = self.results.get(duty.name, DutyResult())
        told = str(error) if isinstance(error, SebastianError) else "see the log"
        self.results[duty.name] = evolve(known, failed_at=self._clock.now(), error=told)
        is_account = None
        if isinstance(error, PlatformUnavailable | PlatformRefused):
            is_account = await self._breaker.is_account_fault(error)
        self._observer.duty_failed(duty, error, account_is_at_fault=is_account)


async def _failure_of(tasks: Collection[asyncio.Task[Any]]) -> BaseException | None:
    """Cancel those that still run; why one of them did not end as it should, if one did not."""
    asked = [each for each in tasks if each.cancel()]
    ends = await asyncio.gather(*tasks, return_exceptions=True)
    for task, end in zip(tasks, ends, strict=True):
        if isinstance(end, asyncio.CancelledError):
            if task not in asked:
                return Interrupted("something in the loop was cancelled unasked")
        elif isinstance(end, BaseException):
            return end
    return None
