"""Leave to start platform calls: an in-flight window, a rate, and what stands against both.

Pure state on a monotonic clock that the caller reads; seconds throughout.
"""

from __future__ import annotations

from enum import StrEnum

from attrs import define, field, frozen

LEAST_WAIT_SECONDS = 0.001
"""Nobody is asked to wait for less: the clock might not show it, and the wait would never end."""


@frozen(kw_only=True)
class Limits:
    """How much one process may ask of the platform.

    `rate` is calls per second with bursts of `burst` (the contract knows no public limit: these are
    ours), `in_flight` how many assignments may be under way at once. While chats are
    being given, or wait for permits, the duties keep to `duty_share` of the rate.
    """

    rate: float = 20.0
    burst: int = 20
    in_flight: int = 64
    duty_share: float = 1 / 3
    probe_seconds: float = 1.0
    probe_limit_seconds: float = 5.0
    credentials_probe_seconds: float = 60.0
    retry_after_limit_seconds: float = 120.0


class CircuitState(StrEnum):
    """How the account stands with the platform, as this process knows it."""

    CLOSED = "up"
    OPEN = "down"
    CREDENTIALS_REFUSED = "credentials refused"


def _visible(seconds: float) -> float:
    """0.0 where nothing is left to wait for, else a wait that a clock can show."""
    return max(seconds, LEAST_WAIT_SECONDS) if seconds > 0 else 0.0


@define
class TokenBucket:
    """A token bucket; may be overdrawn by calls that turned out to be needed."""

    rate: float
    size: float
    tokens: float = field(init=False)
    filled_at: float | None = None

    @tokens.default
    def _full(self) -> float:
        return self.size

    def available(self, now: float) -> float:
        """How many tokens there are now."""
        if self.filled_at is not None:
            self.tokens = min(self.size, self.tokens + (now - self.filled_at) * self.rate)
        self.filled_at = now
        return self.tokens

    def seconds_until(self, tokens: float, now: float) -> float:
        """How long until so many tokens are there; 0.0 if they are, else what a clock can show."""
        missing = tokens - self.available(now)
        return _visible(missing / self.rate)

    def charge(self, tokens: float) -> None:
        """Take tokens, there or not."""
        self.tokens -= tokens


class RateLimit:
    """Counts what is under way and says what may start."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.standing = CircuitState.CLOSED
        self.since: float | None = None
        self.busy = False
        self.duties_waiting = 0
        self._calls = TokenBucket(limits.rate, max(float(limits.burst), 2.0))
        self._duties = TokenBucket(
            limits.rate * limits.duty_share, max(1.0, limits.burst * limits.duty_share)
        )
        self._in_flight = 0
        self._held_until = 0.0
        self._probe_at = 0.0
        self._probe_pause = limits.probe_seconds

    @property
    def in_flight(self) -> int:
        """How many assignments are under way."""
        return self._in_flight

    def may_call(self, now: float) -> bool:
        """Whether anything may be sent at all."""
        return self.standing is CircuitState.CLOSED and now >= self._held_until

    def take(self, wanted: int, calls_each: int, now: float) -> int:
        """Take permits for so many assignments of so many calls each; how many were to be had."""
        if not self.may_call(now):
            return 0
        spare = self._calls.available(now) - self._kept_for_duties(calls_each, now)
        granted = min(wanted, self.limits.in_flight - self._in_flight, int(spare // calls_each))
        granted = max(granted, 0)
        self._in_flight += granted
        self._calls.charge(granted * calls_each)
        return granted

    def give_back(self, permits: int, calls_each: int) -> None:
        """Return permits for which nothing was sent."""
        self._in_flight -= permits
        self._calls.charge(-permits * calls_each)

    def end(self) -> None:
        """An assignment ended: its place in the window is free again."""
        self._in_flight -= 1

    def charge(self, calls: int = 1) -> None:
        """Count calls that an assignment turned out to need beyond its permits."""
        self._calls.charge(calls)

    def take_for_duty(self, now: float) -> float:
        """Take a permit for one call of a duty; 0.0 if it may start, else seconds to wait."""
        if not self.may_call(now):
            return max(self._held_until - now, 0.05)
        wait = self._calls.seconds_until(1.0, now)
        if self.busy:
            wait = max(wait, self._duties.seconds_until(1.0, now))
        if wait > 0:
            return wait
        self._calls.charge(1)
        self._charge_duty(now)
        return 0.0

    def seconds_until_allowed(self, calls_each: int, now: float) -> float:
        """How long until the rate or a 429 allows another assignment.

        Infinite where no time brings it: the account is down, or the window is full.
        """
        if self.standing is not CircuitState.CLOSED or self._in_flight >= self.limits.in_flight:
            return float("inf")
        return max(_visible(self._held_until - now), self._calls.seconds_until(calls_each, now))

    def hold(self, seconds: float | None, now: float) -> None:
        """A 429: nothing starts for so long."""
        pause = min(seconds or 1.0, self.limits.retry_after_limit_seconds)
        self._held_until = max(self._held_until, now + pause)

    def open(self, standing: CircuitState, now: float) -> None:
        """The account is down or refused: nothing starts until a probe is answered."""
        if self.standing is CircuitState.CLOSED:
            self.since = now
            self._probe_pause = self.limits.probe_seconds
        self.standing = standing
        self._plan_probe(now)

    def restore(self) -> None:
        """A probe was answered: all goes on."""
        self.standing = CircuitState.CLOSED
        self.since = None

    def probe_is_due(self, now: float) -> bool:
        """Whether it is time to ask whether the account is back."""
        return self.standing is not CircuitState.CLOSED and now >= self._probe_at

    def _plan_probe(self, now: float) -> None:
        if self.standing is CircuitState.CREDENTIALS_REFUSED:
            self._probe_at = now + self.limits.credentials_probe_seconds
            return
        self._probe_at = now + self._probe_pause
        self._probe_pause = min(self._probe_pause * 2, self.limits.probe_limit_seconds)

    def _charge_duty(self, now: float) -> None:
        """What the duties take while nobody else wants it is not held against them later."""
        share = self._duties.available(now)
        self._duties.charge(1 if self.busy else min(1.0, max(0.0, share)))

    def _kept_for_duties(self, calls_each: int, now: float) -> float:
        """What is left to the duties that wait, but never so much that nobody can be assigned."""
        share = max(0.0, self._duties.available(now))
        return min(float(self.duties_waiting), share, self._calls.size - calls_each)
