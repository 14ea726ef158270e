"""Connections to PostgreSQL, with the limits that each kind of caller lives by."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any, Generic, TypeAlias, TypeVar

from attrs import define, field, frozen
from psycopg import AsyncConnection, IsolationLevel
from psycopg_pool import AsyncConnectionPool

from sebastian_adapters.postgres.errors import CONTENDED, STORE, translated
from sebastian_adapters.postgres.queries import query
from sebastian_core.domain.errors import SchemaMismatch, StoreUnavailable

T = TypeVar("T")
Connection: TypeAlias = AsyncConnection[tuple[Any, ...]]
Work: TypeAlias = Callable[[Connection], Awaitable[T]]

OLDEST_SERVER = 130000
_CONTENDED_ATTEMPTS = 5
_SECOND = timedelta(seconds=1)
_MILLISECOND = timedelta(milliseconds=1)


@frozen(kw_only=True)
class Limits:
    """How long a transaction may wait for a lock, run one statement, idle, and last in all."""

    lock: timedelta
    statement: timedelta
    idle_in_transaction: timedelta = 2 * _SECOND
    whole: timedelta

    @property
    def settings(self) -> dict[str, str]:
        """The server's settings for it, in milliseconds as text."""
        return {
            "lock_timeout": _milliseconds(self.lock),
            "statement_timeout": _milliseconds(self.statement),
            "idle_in_transaction": _milliseconds(self.idle_in_transaction),
        }


WORKER = Limits(lock=5 * _SECOND, statement=10 * _SECOND, whole=12 * _SECOND)
"""Patient: a stopped holder of the lock is thrown out by its server after two seconds."""

WEBHOOK = Limits(lock=800 * _MILLISECOND, statement=800 * _MILLISECOND, whole=900 * _MILLISECOND)
"""A webhook must have its 503 within a second."""


@define
class Pool:
    """A pool of connections, closed until it is opened; it heals by itself after an outage.

    Work is handed in as a function of a connection in a READ COMMITTED transaction in pipeline
    mode: what it executes is sent at once, and what it fetches is waited for.
    """

    connections: AsyncConnectionPool[Connection]
    limits: Limits
    _running: set[asyncio.Task[Any]] = field(factory=set, init=False)

    async def open(self) -> None:
        """Begin to connect, without waiting for it: the database may come later."""
        await self.connections.open(wait=False)

    async def close(self) -> None:
        """Let go of all connections."""
        await self.connections.close()

    async def check(self) -> None:
        """Raise SchemaMismatch unless the server keeps to what the promises rest on."""
        in_force = await self.run(_limits_in_force)
        if int(in_force["server_version_num"]) < OLDEST_SERVER:
            raise SchemaMismatch("PostgreSQL 13 or newer is needed")
        wanted = {
            "transaction_isolation": "read committed",
            "synchronous_commit": "on",
            "lock_timeout": self.limits.settings["lock_timeout"],
            "statement_timeout": self.limits.settings["statement_timeout"],
            "idle_in_transaction_session_timeout": self.limits.settings["idle_in_transaction"],
        }
        wrong = {name: in_force[name] for name in wanted if in_force[name] != wanted[name]}
        if wrong:
            raise SchemaMismatch(f"the server does not keep these settings of ours: {wrong}")

    async def run(self, work: Work[T], *, within: timedelta | None = None) -> T:
        """What the work answers, committed; StoreUnavailable when the time is over.

        The work may be called again: after a deadlock, and on a fresh connection when one was lost,
        be it at the commit, so that it must recognise what it has already done.
        """
        task = asyncio.create_task(self._repeated(work))
        self._running.add(task)
        task.add_done_callback(self._forget)
        limit = within or self.limits.whole
        try:
            done, _ = await asyncio.wait({task}, timeout=limit.total_seconds())
        except asyncio.CancelledError:
            task.cancel()
            raise
        if not done:
            task.cancel()
            raise StoreUnavailable(STORE, f"no answer within {limit.total_seconds():g} s")
        return task.result()

    async def _repeated(self, work: Work[T]) -> T:
        contended = lost = 0
        while True:
            attempt = _Attempt(self, work)
            with translated():
                try:
                    return await attempt.carry_out()
                except CONTENDED:
                    contended += 1
                    if contended >= _CONTENDED_ATTEMPTS:
                        raise
                except Exception:
                    lost += 1
                    if not attempt.lost or lost > self.connections.max_size + 1:
                        raise

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        with suppress(asyncio.CancelledError):
            task.exception()


@define
class _Attempt(Generic[T]):
    """One transaction on one connection."""

    _pool: Pool
    _work: Work[T]
    _connection: Connection | None = field(default=None, init=False)

    async def carry_out(self) -> T:
        async with self._pool.connections.connection() as connection:
            self._connection = connection
            async with connection.pipeline():
                await connection.execute(query("limits"), self._pool.limits.settings)
                answer = await self._work(connection)
                await connection.commit()
            return answer

    @property
    def lost(self) -> bool:
        """Whether the connection broke under it."""
        return self._connection is not None and self._connection.broken


def worker_pool(conninfo: str, *, max_size: int = 8) -> Pool:
    """Connections for the worker and the CLI."""
    return _pool(conninfo, WORKER, name="worker", max_size=max_size)


def webhook_pool(conninfo: str, *, max_size: int = 4) -> Pool:
    """Connections for the webhook, impatient in everything."""
    return _pool(conninfo, WEBHOOK, name="webhook", max_size=max_size)


def _pool(conninfo: str, limits: Limits, *, name: str, max_size: int) -> Pool:
    connections: AsyncConnectionPool[Connection] = AsyncConnectionPool(
        conninfo,
        kwargs={"connect_timeout": 3, "application_name": f"sebastian-{name}"},
        min_size=1,
        max_size=max_size,
        open=False,
        configure=_configure,
        name=f"sebastian-{name}",
        timeout=limits.lock.total_seconds(),
        reconnect_timeout=2.0,
    )
    return Pool(connections, limits)


async def _configure(connection: Connection) -> None:
    await connection.set_isolation_level(IsolationLevel.READ_COMMITTED)
    await connection.execute("set time zone 'UTC'")
    await connection.commit()


async def _limits_in_force(connection: Connection) -> dict[str, str]:
    names = [
        "transaction_isolation",
        "synchronous_commit",
        "lock_timeout",
        "statement_timeout",
        "idle_in_transaction_session_timeout",
        "server_version_num",
    ]
    cursor = await connection.execute(query("limits_in_force"), {"names": names})
    return dict(await cursor.fetchall())


def _milliseconds(duration: timedelta) -> str:
    return str(round(duration / _MILLISECOND))
