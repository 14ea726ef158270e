"""The durations and limits that decide when evidence counts and how long we wait."""

from __future__ import annotations

from datetime import timedelta

from attrs import frozen


@frozen(kw_only=True)
class Rules:
    """The numbers behind the decisions; one set per deployment.

    `settle` is how far the platform may lag behind the truth. `reservation` is how long a slot is
    held for an assign call, `call` how long that call may take with everything around it. A refused
    chat is tried again after `refusal_delay`, doubled each time up to `refusal_delay_limit`.
    `exclusion` is how long an agent who was not eligible for a room stays passed over there,
    doubled likewise. A room that cannot be read is read again after `settle_retry` at the earliest
    and `settle_retry_limit` at the latest.
    """

    settle: timedelta = timedelta(seconds=5)
    reservation: timedelta = timedelta(seconds=10)
    call: timedelta = timedelta(seconds=6)
    refusal_delay: timedelta = timedelta(seconds=2)
    refusal_delay_limit: timedelta = timedelta(minutes=5)
    exclusion: timedelta = timedelta(seconds=30)
    exclusion_limit: timedelta = timedelta(minutes=10)
    settle_retry: timedelta = timedelta(seconds=2)
    settle_retry_limit: timedelta = timedelta(minutes=1)
    alert_refusals: int = 5

    @property
    def call_shows(self) -> timedelta:
        """How long after its reservation a call shows in every reading, whatever it did.

        A call begins `reservation - call` after the reservation at the latest, or never.
        """
        return self.reservation - self.call + self.settle

    def delay_after(self, refusals: int) -> timedelta:
        """How long a chat rests after its n-th refusal (n from 1)."""
        return doubled(self.refusal_delay, refusals - 1, self.refusal_delay_limit)

    def exclusion_after(self, passes: int) -> timedelta:
        """How long agents stay passed over after the n-th time (n from 1)."""
        return doubled(self.exclusion, passes - 1, self.exclusion_limit)


def doubled(first: timedelta, times: int, limit: timedelta) -> timedelta:
    """The first duration doubled so many times, but never more than the limit."""
    return min(first * (1 << min(times, 32)), limit)
