"""The clock of PostgreSQL, estimated from a monotonic reading."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

from sebastian_adapters.postgres.pools import Connection, Pool
from sebastian_adapters.postgres.queries import query
from sebastian_core.ports.clock import Clock

LOOKS = 3


def boot_seconds() -> float:
    """Seconds on the clock that counts suspended time, where the system has one."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class PostgresClock(Clock):
    """Tells the database's time within half a round trip of the last `sync`.

    Before the first `sync` it goes by the machine's wall clock, which no promise rests on.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._zero = datetime.now(UTC) - timedelta(seconds=boot_seconds())
        self._latest = datetime.min.replace(tzinfo=UTC)

    def now(self) -> datetime:
        """The database's time, as of the last `sync`; never going back."""
        self._latest = max(self._latest, self._zero + timedelta(seconds=boot_seconds()))
        return self._latest

    def monotonic(self) -> float:
        """Seconds since the machine booted, suspended time included."""
        return boot_seconds()

    async def sync(self) -> None:
        """Ask the database for the time; the quickest of a few answers is believed."""
        looks = [await self._pool.run(_look) for _ in range(LOOKS)]
        _, self._zero = min(looks)


async def _look(connection: Connection) -> tuple[float, datetime]:
    """How long the answer took, and where the database's time would put zero seconds."""
    before = boot_seconds()
    cursor = await connection.execute(query("clock"))
    row = await cursor.fetchone()
    after = boot_seconds()
    told: datetime = row[0] if row else datetime.now(UTC)
    return after - before, told - timedelta(seconds=(before + after) / 2)
