"""Who is told what an allocator does."""

from __future__ import annotations

import logging
import traceback
from collections import deque

from sebastian_core.domain.errors import PlanRefused, SebastianError, StoreUnavailable
from sebastian_core.usecases.assign import AssignmentResult
from sebastian_core.usecases.duties import Duty, DutyResult

log = logging.getLogger("sebastian")


class Observer:
    """Told what an allocator does; this one logs what somebody should know, to `sebastian`.

    Override what should be counted, shown or logged in another way. The methods are called from the
    event loop: they must be quick and must not raise.
    """

    def assignment_ended(self, ended: AssignmentResult) -> None:
        """A reservation came to its end, well or not."""

    def plan_refused(self, error: Exception) -> None:
        """The policy raised, or broke a rule; the shipped one served in its place."""
        log.error("the policy's plan cannot be used; LeastLoaded serves: %s", quoteless(error))

    def roster_missing(self) -> None:
        """The line was looked at, but nobody has read the agents yet. Told once."""
        log.warning("nothing can be given: the list of agents has not been read yet")

    def duty_done(self, duty: Duty, result: DutyResult) -> None:
        """A duty came to its end well, and what it found."""

    def duty_failed(
        self, duty: Duty, error: Exception, *, account_is_at_fault: bool | None = None
    ) -> None:
        """A duty failed and is tried again.

        Whether the platform fails for the whole account, not only for this call, is told where the
        platform was asked.
        """
        if isinstance(error, SebastianError):
            log.warning("the duty %s failed and is tried again: %s", duty.name, error)
        else:
            log.error("the duty %s failed and is tried again", duty.name, exc_info=error)

    def dispatch_failed(self, error: StoreUnavailable) -> None:
        """The line could not be read; it is looked at again at the next tick."""
        log.warning("dispatch waits for the database: %s", error)

    def bell_answered(self, seconds: float) -> None:
        """The line is looked at because the bell rang, so long after it was heard."""

    def platform_is_back(self, hastened: int) -> None:
        """An outage is over; so many chats that it had delayed are ready at once."""

    def clock_was_set_back(self, rows: int) -> None:
        """The database's clock was set back; so many moments were brought back with it."""
        log.warning("the database's clock was set back: %d rows were brought back", rows)


def quoteless(error: Exception) -> str:
    """What may be told of a policy's error: words of others may hold what customers wrote."""
    if isinstance(error, PlanRefused):
        return str(error)
    name = type(error).__name__
    where = deque(traceback.walk_tb(error.__traceback__), maxlen=1)
    for frame, line in where:
        return f"{name} in {frame.f_code.co_filename}, line {line}"
    return name
