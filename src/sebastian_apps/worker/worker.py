"""One worker: an allocator that runs as a service, and tells of itself."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import timedelta

import structlog

from sebastian_apps.worker.observer import WorkerObserver
from sebastian_core.allocator import Allocator
from sebastian_core.domain.errors import SebastianError
from sebastian_core.usecases.duties import Duty

REPORT = timedelta(seconds=2)
GOODBYE_SECONDS = 0.5

log = structlog.stdlib.get_logger("sebastian.worker")


class Worker:
    """Runs an allocator until it is stopped. Any number of workers may run; one of them leads.

    `opened` is set once its stores are open.
    """

    def __init__(
        self, allocator: Allocator, observer: WorkerObserver, report: timedelta = REPORT
    ) -> None:
        self.allocator = allocator
        self.opened = asyncio.Event()
        self._observer = observer
        allocator.add(Duty("report", report, self._report, leader_only=False, at_start=True))

    def stop(self) -> None:
        """Take nothing more; `run` returns once what is under way has ended."""
        self.allocator.stop()

    async def run(self) -> None:
        """Work until stopped. Raises what opening the ports raises, or what ended the loop."""
        async with self.allocator.opened():
            self.opened.set()
            log.info("worker started", worker=self.allocator.name)
            left = await self.allocator.run()
            log.info("worker stopped", worker=self.allocator.name, calls_left=left)
            await self._say_goodbye()

    async def _report(self) -> None:
        allocator, status, policy = self.allocator, self._observer.status, self._observer.policy
        now = allocator.clock.now()
        status.started_at = status.started_at or now
        for duty in allocator.duties:
            status.expects(duty.name, duty.every, leader_only=duty.leader_only)
        status.leads(now, leads=allocator.leads)
        status.sees(allocator.breaker.standing, now)
        status.in_flight = allocator.breaker.permits.in_flight
        status.honours_user_ids = allocator.refresh.honours_user_ids
        status.policy = policy.state() if policy is not None else {}
        await allocator.leadership.report(allocator.name, status.document())

    async def _say_goodbye(self) -> None:
        """Let nobody miss this worker; a database that is away must not hold it up."""
        with suppress(SebastianError, TimeoutError):
            async with asyncio.timeout(GOODBYE_SECONDS):
                await self.allocator.leadership.report(self.allocator.name, {"stopped": True})
