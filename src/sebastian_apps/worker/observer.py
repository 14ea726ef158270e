"""What a worker is told by its allocator: it logs and counts it, and keeps its status by it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from sebastian_apps.status.heartbeat import WorkerStatus
from sebastian_core.domain.errors import SebastianError, StoreUnavailable
from sebastian_core.ports.clock import Clock
from sebastian_core.usecases.assign import AssignmentResult
from sebastian_core.usecases.duties import Duty, DutyResult
from sebastian_core.usecases.observer import Observer, quoteless
from sebastian_core.usecases.reconcile import Reconciled
from sebastian_core.usecases.refresh import Refreshed

if TYPE_CHECKING:
    from sebastian_apps.observability.metrics import WorkerMetrics
    from sebastian_apps.policy.load import GuardedPolicy

log = structlog.stdlib.get_logger("sebastian.worker")

_FOUND = {"refresh": "refresh found differences", "reconcile": "reconcile found differences"}


class WorkerObserver(Observer):
    """Logs and counts what the worker's allocator does; `status` says how its duties go."""

    def __init__(
        self,
        clock: Clock,
        metrics: WorkerMetrics | None = None,
        policy: GuardedPolicy | None = None,
    ) -> None:
        self.status = WorkerStatus()
        self.policy = policy
        self._clock = clock
        self._metrics = metrics

    def assignment_ended(self, ended: AssignmentResult) -> None:
        """See Observer.assignment_ended."""
        if self._metrics is not None:
            self._metrics.ended(ended, self._clock.now())

    def plan_refused(self, error: Exception) -> None:
        """See Observer.plan_refused."""
        told = quoteless(error)
        log.error("the policy's plan cannot be used; the shipped policy serves", error=told)
        if self.policy is not None:
            self.policy.refused(error)

    def duty_done(self, duty: Duty, result: DutyResult) -> None:
        """See Observer.duty_done."""
        found = result.found
        if isinstance(found, Refreshed | Reconciled) and any(found.findings.values()):
            log.info(_FOUND[duty.name], **found.findings)
        done = self.status.done(duty.name, result.succeeded_at or self._clock.now(), found)
        if self._metrics is not None:
            self._metrics.duty_ended(duty.name, done.found)

    def duty_failed(
        self, duty: Duty, error: Exception, *, account_is_at_fault: bool | None = None
    ) -> None:
        """See Observer.duty_failed."""
        expected = isinstance(error, SebastianError)
        why = str(error) if expected else "see the log"
        self.status.failed(duty.name, self._clock.now(), why)
        if self._metrics is not None:
            self._metrics.duty_ended(duty.name, None)
        if not expected:
            words = "a duty failed unexpectedly and is tried again"
            log.error(words, duty=duty.name, exc_info=error)
        elif account_is_at_fault is None:
            log.warning("a duty failed and is tried again", duty=duty.name, error=why)
        else:
            at_fault = {"account_is_at_fault": account_is_at_fault}
            log.warning("a duty failed", duty=duty.name, error=why, **at_fault)

    def dispatch_failed(self, error: StoreUnavailable) -> None:
        """See Observer.dispatch_failed."""
        log.warning("dispatch waits for the database", error=str(error))

    def roster_missing(self) -> None:
        """See Observer.roster_missing."""
        log.warning("nothing can be given: the list of agents has not been read yet")

    def bell_answered(self, seconds: float) -> None:
        """See Observer.bell_answered."""
        if self._metrics is not None:
            self._metrics.bell_answered(seconds)

    def platform_is_back(self, hastened: int) -> None:
        """See Observer.platform_is_back."""
        log.info("the platform is back", hastened=hastened)

    def clock_was_set_back(self, rows: int) -> None:
        """See Observer.clock_was_set_back."""
        log.warning("the database's clock was set back", rows_brought_back=rows)
