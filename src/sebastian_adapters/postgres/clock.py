"""The clock of the database, as this process knows it."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from threading import Lock

from attrs import frozen

from sebastian_adapters.postgres.errors import STORE
from sebastian_adapters.postgres.pipeline import NamedQuery
from sebastian_adapters.postgres.pool import Pool, Transaction
from sebastian_core.domain.errors import StoreUnavailable
from sebastian_core.ports.clock import Clock

PROBES = 5
"""How often one `sync` asks: the quickest answer tells most."""

SET_BACK = timedelta(seconds=1)
"""More than any correction: the server's clock was set back."""

DRIFT = 1e-4
"""How fast two clocks may drift apart, in seconds per second; NTP steers at half of that."""


def boot_seconds() -> float:
    """Seconds on the clock that counts suspended time, where the system has one."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


@frozen
class _Reading:
    """The database's time at one monotonic moment, and how wrong that may be in seconds."""

    seconds: float
    moment: datetime
    error: float

    def at(self, seconds: float) -> datetime:
        return self.moment + timedelta(seconds=seconds - self.seconds)

    def error_at(self, seconds: float) -> float:
        return self.error + DRIFT * max(0.0, seconds - self.seconds)


class PostgresClock(Clock):
    """Estimates the database's time from a monotonic reading; `sync` now and then keeps it right.

    Of what it has read it believes the most exact, as long as the newest does not contradict it:
    after a failover the new server's clock counts. Corrections never let it go back; where the
    server's clock itself was set back by more than a second, it follows. Safe to use from any
    thread.
    """

    def __init__(self, pool: Pool, *, seconds: Callable[[], float] = boot_seconds) -> None:
        self._pool = pool
        self._seconds = seconds
        self._lock = Lock()
        self._best: _Reading | None = None
        self._latest: datetime | None = None

    async def sync(self) -> None:
        """Read the database's clock; raises StoreUnavailable when it cannot be read."""
        readings = await self._pool.run(self._probe)
        self._take_in(min(readings, key=lambda reading: reading.error))

    def now(self) -> datetime:
        """The database's time; raises StoreUnavailable before the first `sync` has succeeded."""
        with self._lock:
            if self._best is None:
                raise StoreUnavailable(STORE, "its clock has not been read yet")
            moment = self._best.at(self._seconds())
            self._latest = moment if self._latest is None else max(self._latest, moment)
            return self._latest

    def monotonic(self) -> float:
        """Seconds since the machine started."""
        return self._seconds()

    async def _probe(self, transaction: Transaction) -> list[_Reading]:
        return [await self._read(transaction) for _ in range(PROBES)]

    async def _read(self, transaction: Transaction) -> _Reading:
        before = self._seconds()
        (((moment,),),) = await transaction.send(NamedQuery("clock"))
        after = self._seconds()
        return _Reading((before + after) / 2, moment, (after - before) / 2)

    def _take_in(self, newest: _Reading) -> None:
        with self._lock:
            if self._best is None or not self._prefers_known(self._best, newest):
                self._best = newest
            now = self._best.at(newest.seconds)
            if self._latest is not None and self._latest - now > SET_BACK:
                self._latest = None

    def _prefers_known(self, known: _Reading, newest: _Reading) -> bool:
        error = known.error_at(newest.seconds)
        apart = abs((known.at(newest.seconds) - newest.moment).total_seconds())
        return error <= newest.error and apart <= error + newest.error
