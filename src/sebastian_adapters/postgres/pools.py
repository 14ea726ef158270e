"""Connections to PostgreSQL, with the limits that each kind of caller lives by."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from functools import cached_property
from typing import Any, Generic, TypeAlias, TypeVar

from attrs import define, field, frozen
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from sebastian_adapters.postgres.arrays import array
from sebastian_adapters.postgres.errors import CONTENDED, STORE, translated
from sebastian_adapters.postgres.exchanging import ExchangingConnection, Statement
from sebastian_adapters.postgres.rows import Row
from sebastian_adapters.postgres.sessions import ENCODING, SESSION, Connection
from sebastian_core.domain.errors import SchemaMismatch, StoreUnavailable

T = TypeVar("T")
Work: TypeAlias = "Callable[[Transaction], Awaitable[T]]"

OLDEST_SERVER = 130000
_CONTENDED_ATTEMPTS = 5
_TRY_SECONDS = 0.25
"""How soon we try to connect again: whoever waits asks the pool anew, and that makes it try."""

_SECOND = timedelta(seconds=1)
_MILLISECOND = timedelta(milliseconds=1)


@frozen(kw_only=True)
class Limits:
    """How long a transaction may wait for a lock, run one statement, idle, and last in all.

    `silence` is for how long a server's kernel may leave what we sent without a receipt: after
    that the network or the host is gone, and so is the connection.
    """

    lock: timedelta
    statement: timedelta
    idle_in_transaction: timedelta = 2 * _SECOND
    whole: timedelta
    silence: timedelta

    @cached_property
    def settings(self) -> dict[str, str]:
        """The server's settings for it, in milliseconds as text."""
        return {
            "lock_timeout": _milliseconds(self.lock),
            "statement_timeout": _milliseconds(self.statement),
            "idle_in_transaction_session_timeout": _milliseconds(self.idle_in_transaction),
        }

    @property
    def in_force(self) -> dict[str, str]:
        """Everything about a transaction of ours that the server must keep to."""
        held = {"transaction_isolation": "read committed", "synchronous_commit": "on"}
        return self.settings | held


WORKER = Limits(lock=5 * _SECOND, statement=10 * _SECOND, whole=12 * _SECOND, silence=5 * _SECOND)
"""Patient: a stopped holder of the lock is thrown out by its server after two seconds."""

WEBHOOK = Limits(
    lock=800 * _MILLISECOND,
    statement=800 * _MILLISECOND,
    idle_in_transaction=500 * _MILLISECOND,
    whole=900 * _MILLISECOND,
    silence=2 * _SECOND,
)
"""A webhook must have its 503 within a second.

One that was stopped, or cut off, with a room in its hands is thrown out before another one of that
room has waited too long. (With two seconds a cut host cost the other one a second of 503s.)
"""

_PLANS_AS_NEEDED = {"plan_cache_mode": "auto"}
_PLANS_KEPT = {"plan_cache_mode": "force_generic_plan"}

_BEGIN, _COMMIT, _ROLLBACK = Statement("begin"), Statement("commit"), Statement("rollback")


@define
class Transaction:
    """One READ COMMITTED transaction on one connection.

    Between two calls the server knows it to be idle, so that its limit on that protects the others
    from a process that was stopped in between.
    """

    _connection: ExchangingConnection
    _limits: Limits
    _is_open: bool = field(default=False, init=False)
    _plans: Mapping[str, str] = field(default=_PLANS_AS_NEEDED, init=False)

    def keep_plans(self) -> None:
        """Let the server plan its statements once for any values; only before the first `send`.

        For statements that find a few rows by an index whatever is asked: planning them takes a
        fifth of what a small group costs the server. A plan made for a table that was just vacuumed
        empty may read an index whole; it lives until the server analyses the table, a minute or so
        after it fills.
        """
        self._plans = _PLANS_KEPT

    async def send(self, *statements: Statement, commit: bool = False) -> list[list[Row]]:
        """The rows of each statement: all are sent in one go, each sees what came before it.

        With `commit` they are the last ones; should one of them fail, nothing is committed.
        """
        before = [] if self._is_open else self._beginning()
        after = [_COMMIT] if commit else []
        rows = await self._connection.exchange([*before, *statements, *after])
        self._is_open = not commit
        return rows[len(before) : len(before) + len(statements)]

    async def rollback(self) -> None:
        """End it, with nothing to make durable."""
        await self._connection.exchange([_ROLLBACK])
        self._is_open = False

    async def end(self) -> None:
        """Commit, unless it has ended."""
        if self._is_open:
            await self.send(commit=True)

    def _beginning(self) -> list[Statement]:
        return [_BEGIN, Statement("limits", {**self._limits.settings, **self._plans})]


@define
class Pool:
    """A pool of connections, closed until it is opened; it heals by itself after an outage.

    Work is handed in as a function of a transaction.
    """

    connections: AsyncConnectionPool[ExchangingConnection]
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
        wanted = self.limits.in_force
        asked = {"names": array(["server_version_num", *wanted])}
        (rows,) = await self.run(lambda transaction: transaction.send(Statement("settings", asked)))
        found: dict[str, str] = dict(rows)
        if int(found["server_version_num"]) < OLDEST_SERVER:
            raise SchemaMismatch("PostgreSQL 13 or newer is needed")
        wrong = {name: found[name] for name in wanted if found[name] != wanted[name]}
        if wrong:
            raise SchemaMismatch(f"the server does not keep these settings of ours: {wrong}")

    @asynccontextmanager
    async def plain_connection(self) -> AsyncIterator[Connection]:
        """A connection that is not in pipeline mode, for statements that are not ours to sync."""
        async with self.connections.connection() as connection:
            connection.leave()
            yield connection

    async def run(self, work: Work[T]) -> T:
        """What the work answers, committed; StoreUnavailable when the time is over.

        The work may be called again: after a deadlock, and on a fresh connection when one was lost,
        be it at the commit, so that it must recognise what it has already done.
        """
        task = asyncio.create_task(self._repeated(work))
        self._running.add(task)
        task.add_done_callback(self._forget)
        limit = self.limits.whole.total_seconds()
        try:
            done, _ = await asyncio.wait({task}, timeout=limit)
        except asyncio.CancelledError:
            task.cancel()
            raise
        if not done:
            task.cancel()
            raise StoreUnavailable(STORE, f"no answer within {limit:g} s")
        return task.result()

    async def _repeated(self, work: Work[T]) -> T:
        contended = lost = 0
        while True:
            attempt = _Attempt(self, work)
            with translated():
                try:
                    return await attempt.carry_out()
                except PoolTimeout:
                    continue
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
    """One transaction on one connection, committed unless the work has ended it."""

    _pool: Pool
    _work: Work[T]
    _connection: ExchangingConnection | None = field(default=None, init=False)

    async def carry_out(self) -> T:
        connections = self._pool.connections
        self._connection = connection = await connections.getconn()
        try:
            transaction = Transaction(connection, self._pool.limits)
            answer = await self._work(transaction)
            await transaction.end()
        except BaseException:
            connection.leave()
            raise
        finally:
            await connections.putconn(connection)
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
    connections: AsyncConnectionPool[ExchangingConnection] = AsyncConnectionPool(
        conninfo,
        connection_class=ExchangingConnection,
        kwargs={
            "autocommit": True,
            "client_encoding": ENCODING,
            "connect_timeout": 3,
            "application_name": f"sebastian-{name}",
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "tcp_user_timeout": _milliseconds(limits.silence),
        },
        min_size=1,
        max_size=max_size,
        open=False,
        configure=_configure,
        name=f"sebastian-{name}",
        timeout=_TRY_SECONDS,
        reconnect_timeout=_TRY_SECONDS,
    )
    return Pool(connections, limits)


async def _configure(connection: ExchangingConnection) -> None:
    await connection.execute(SESSION)


def _milliseconds(duration: timedelta) -> str:
    return str(round(duration / _MILLISECOND))
