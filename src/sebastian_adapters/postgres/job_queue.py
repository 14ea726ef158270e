"""The job queue on PostgreSQL's LISTEN and NOTIFY: quick, and free while idle."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Self

import psycopg
from psycopg import AsyncConnection, sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.errors import ReadOnlySqlTransaction
from psycopg.pq import TransactionStatus

from sebastian_adapters.postgres.errors import summary
from sebastian_adapters.postgres.sessions import (
    ENCODING,
    READ_ONLY,
    SESSION,
    SILENCE_SECONDS,
    check_writes,
    hang_up,
    hanging_up_in_time,
)
from sebastian_core.ports.job_queue import JobQueue

CHANNEL = "sebastian_doorbell"
FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 2.0

_NOTIFY = "select pg_notify({}, '') where current_setting('transaction_read_only') = 'off'"
"""No row, and no ring, at a server that takes no writes."""

_KEEPALIVES = {
    "connect_timeout": "2",
    "keepalives": "1",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
}
"""A listener sends nothing: without these it would never notice that the server is gone.

What the deployment's own connection string says comes first.
"""

_logger = logging.getLogger(__name__)


class PostgresJobQueue(JobQueue):
    """Rings with NOTIFY and listens with LISTEN, on one connection each beside the pools.

    Nothing is started when it is built. `open` lets it ring from the event loop that calls it (and
    from any thread), `listen` lets it be heard there, `aclose` ends both; all may be called twice.
    One ring is heard by every process that listens. Both ways reconnect by themselves: a ring that
    could not be sent goes out when that worked again, and a listener that was cut off rings itself,
    because it may have been deaf for a ring. `sent` and `failed` count what became of the sending.

    A server that takes no writes is left: behind its address another one may be the primary now,
    and whoever rings there is not heard here.

    Not for a PgBouncer in transaction pooling, which loses LISTEN. `rest_seconds` is how long
    rings are gathered into one NOTIFY after a NOTIFY, `look_seconds` how often the listener asks
    its server whether it takes writes.
    """

    def __init__(
        self,
        conninfo: str,
        *,
        channel: str = CHANNEL,
        rest_seconds: float = 0.005,
        look_seconds: float = 10.0,
    ) -> None:
        self._conninfo = make_conninfo("", **{**_KEEPALIVES, **conninfo_to_dict(conninfo)})
        self._listen = sql.SQL("listen {}").format(sql.Identifier(channel))
        self._notify = sql.SQL(_NOTIFY).format(sql.Literal(channel))
        self._rest_seconds = rest_seconds
        self._look_seconds = look_seconds
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ringing: asyncio.Task[None] | None = None
        self._listening: asyncio.Task[None] | None = None
        self._rung = asyncio.Event()
        self._heard = asyncio.Event()
        self._line: AsyncConnection | None = None
        self.sent = 0
        self.failed = 0

    async def open(self) -> None:
        """Start the task that sends; connects when first rung."""
        if self._ringing is None:
            self._loop = asyncio.get_running_loop()
            self._ringing = asyncio.create_task(self._send_for_ever(), name=f"{CHANNEL}: send")

    async def listen(self) -> None:
        """Start the task that listens.

        Returns when it does so; or while it still tries, when the database does not answer soon.
        """
        if self._listening is not None:
            return
        ready = asyncio.Event()
        self._listening = asyncio.create_task(
            self._listen_for_ever(ready), name=f"{CHANNEL}: listen"
        )
        with suppress(TimeoutError):
            async with asyncio.timeout(SILENCE_SECONDS):
                await ready.wait()

    async def aclose(self) -> None:
        """End the tasks and their connections; a ring that was not sent yet is lost."""
        tasks = [task for task in (self._ringing, self._listening) if task is not None]
        self._ringing = self._listening = self._loop = None
        if self._line is not None and _is_busy(self._line):
            hang_up(self._line)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def ring(self) -> None:
        """Leave a note for the task that sends; before `open` nobody takes it."""
        loop = self._loop
        if loop is not None:
            with suppress(RuntimeError):  # the loop was closed: nobody sends there any more
                loop.call_soon_threadsafe(self._rung.set)

    async def wait(self, timeout_seconds: float) -> bool:
        """Wait for a notification; whoever waits listens."""
        if self._ringing is not None:
            await self.listen()
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._heard.wait()
        except TimeoutError:
            return False
        self._heard.clear()
        return True

    async def _send_for_ever(self) -> None:
        pauses = _Pauses("the doorbell cannot be sent")
        while True:
            await self._rung.wait()
            try:
                await self._send_while_connected(pauses)
            except (psycopg.Error, OSError) as error:
                self.failed += 1
                self._rung.set()
                await pauses.after(error)

    async def _send_while_connected(self, pauses: _Pauses) -> None:
        async with self._connection() as self._line:
            while True:
                await self._rung.wait()
                self._rung.clear()
                with hanging_up_in_time(self._line):
                    notified = await self._line.execute(self._notify)
                if not notified.rowcount:
                    raise ReadOnlySqlTransaction(READ_ONLY)
                self.sent += 1
                pauses.over()
                await asyncio.sleep(self._rest_seconds)

    async def _listen_for_ever(self, ready: asyncio.Event) -> None:
        pauses = _Pauses("the doorbell cannot be heard")
        while True:
            try:
                await self._hear_while_connected(ready, pauses)
            except (psycopg.Error, OSError) as error:
                await pauses.after(error)

    async def _hear_while_connected(self, ready: asyncio.Event, pauses: _Pauses) -> None:
        async with self._connection() as connection:
            with hanging_up_in_time(connection):
                await connection.execute(self._listen)
            if ready.is_set():
                self._heard.set()
            ready.set()
            pauses.over()
            while True:
                async for _ in connection.notifies(timeout=self._look_seconds):
                    self._heard.set()
                with hanging_up_in_time(connection):
                    await check_writes(connection)

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[AsyncConnection]:
        connection = await AsyncConnection.connect(
            self._conninfo, autocommit=True, client_encoding=ENCODING
        )
        try:
            with hanging_up_in_time(connection):
                await connection.execute(SESSION)
            yield connection
        finally:
            await connection.close()


def _is_busy(connection: AsyncConnection) -> bool:
    return connection.info.transaction_status == TransactionStatus.ACTIVE


class _Pauses:
    """How long to rest after each failure of an outage: ever longer, told once."""

    def __init__(self, problem: str) -> None:
        self._problem = problem
        self._seconds = 0.0

    async def after(self, error: Exception) -> None:
        """Rest after this failure."""
        if not self._seconds:
            _logger.warning("%s: %s", self._problem, summary(error))
        self._seconds = min(max(self._seconds * 2, FIRST_PAUSE_SECONDS), LONGEST_PAUSE_SECONDS)
        await asyncio.sleep(self._seconds)

    def over(self) -> None:
        """The outage is over."""
        self._seconds = 0.0
