"""The breaker before the platform: who may call, and whether account or chat is at fault."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

from sebastian_core.domain.errors import Fault, PlatformRefused, PlatformUnavailable
from sebastian_core.domain.rate_limit import CircuitState, Limits, RateLimit
from sebastian_core.ports.clock import Clock
from sebastian_core.ports.qiscus_client import QiscusClient

CROWDED_SECONDS = 1.0
"""How long nothing starts after a call for which this process had no connection to spare."""

UNNOTICED = timedelta(seconds=30)
"""For how long an outage may have shown before it was noticed."""

_WHY_OPEN = {
    CircuitState.OPEN: "it did not answer last time, and is asked again within seconds",
    CircuitState.CREDENTIALS_REFUSED: "it refuses qiscus.app_id and qiscus.secret_key",
}


class CircuitBreaker:
    """Gives permits, listens to every failure, and judges the account by a neutral read.

    A chat never speaks for the account: 5xx, timeouts, 401 and 403 are followed by one reading of
    the profile, shared by all who failed meanwhile.
    """

    def __init__(self, client: QiscusClient, clock: Clock, limits: Limits | None = None) -> None:
        self._client = client
        self._clock = clock
        self.permits = RateLimit(limits or Limits())
        self._judging = asyncio.Lock()
        self._judged_from = float("-inf")
        self._down_since: datetime | None = None
        self._over: datetime | None = None

    @property
    def standing(self) -> CircuitState:
        """How the account stands, as this process knows it."""
        return self.permits.standing

    def may_call(self) -> bool:
        """Whether anything may be sent now."""
        return self.permits.may_call(self._clock.monotonic())

    def take(self, wanted: int, calls_each: int) -> int:
        """Take permits for so many assignments; how many were to be had."""
        return self.permits.take(wanted, calls_each, self._clock.monotonic())

    def seconds_until_allowed(self, calls_each: int) -> float:
        """How long until the rate or a 429 allows another assignment."""
        return self.permits.seconds_until_allowed(calls_each, self._clock.monotonic())

    async def acquire(self) -> None:
        """Wait for leave to make one call of a duty.

        Raises PlatformUnavailable while the account is down or refuses us: duties go home then.
        """
        self.permits.duties_waiting += 1
        try:
            while wait := self.permits.take_for_duty(self._clock.monotonic()):
                if self.standing is not CircuitState.CLOSED:
                    raise PlatformUnavailable(Fault.CONNECT, _WHY_OPEN[self.standing])
                await asyncio.sleep(min(wait, 1.0))
        finally:
            self.permits.duties_waiting -= 1

    def note(self, error: PlatformUnavailable) -> None:
        """Draw the consequences that need no second look: a 429 holds, a failed connect opens.

        What we lack ourselves holds for a moment, and says nothing about the account.
        """
        if error.fault is Fault.THROTTLED:
            self.permits.hold(error.retry_after_seconds, self._clock.monotonic())
        elif error.fault is Fault.CROWDED:
            self.permits.hold(CROWDED_SECONDS, self._clock.monotonic())
        elif error.fault is Fault.CONNECT and self.standing is CircuitState.CLOSED:
            self._open(CircuitState.OPEN)

    async def probe(self) -> CircuitState:
        """Ask the platform about the account, once for all who failed before the question began."""
        failed_at = self._clock.monotonic()
        async with self._judging:
            if self._judged_from < failed_at:
                await self._ask()
        return self.standing

    async def is_account_fault(self, error: PlatformUnavailable | PlatformRefused) -> bool:
        """Whether a failure is the account's (or the platform's as a whole), not the chat's."""
        if isinstance(error, PlatformRefused):
            return error.about_credentials and await self.probe() is not CircuitState.CLOSED
        self.note(error)
        if error.surely_not_applied:
            return True
        return await self.probe() is not CircuitState.CLOSED

    async def probe_if_due(self) -> datetime | None:
        """Ask again after an outage when it is time.

        When the account just came back, the moment from which the outage may have shown.
        """
        if self.permits.probe_is_due(self._clock.monotonic()):
            await self.probe()
        over, self._over = self._over, None
        return over

    async def _ask(self) -> None:
        began = self._clock.monotonic()
        self.permits.charge()
        standing = await self._answer()
        self._judged_from = began
        if standing is not CircuitState.CLOSED:
            self._open(standing)
        elif self.standing is not CircuitState.CLOSED:
            self._over, self._down_since = self._down_since, None
            self.permits.restore()

    def _open(self, standing: CircuitState) -> None:
        if self._down_since is None:
            self._down_since = self._clock.now() - UNNOTICED
        self.permits.open(standing, self._clock.monotonic())

    async def _answer(self) -> CircuitState:
        try:
            await self._client.account()
        except PlatformUnavailable as error:
            if error.fault is Fault.THROTTLED:
                self.note(error)
                return CircuitState.CLOSED
            if error.fault is Fault.CROWDED:
                self.note(error)
                return self.standing
            return CircuitState.OPEN
        except PlatformRefused as error:
            return (
                CircuitState.CREDENTIALS_REFUSED if error.about_credentials else CircuitState.CLOSED
            )
        return CircuitState.CLOSED
