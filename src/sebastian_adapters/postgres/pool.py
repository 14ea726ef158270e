"""Connections to PostgreSQL, with the limits that each kind of caller lives by."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from functools import cached_property
from typing import Any, Generic, TypeAlias, TypeVar

from attrs import define, field, frozen
from psycopg.errors import ReadOnlySqlTransaction
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from sebastian_adapters.postgres.arrays import array
from sebastian_adapters.postgres.errors import CONTENDED, STORE, translated
from sebastian_adapters.postgres.pipeline import NamedQuery, PipelineConnection
from sebastian_adapters.postgres.rows import Row
from sebastian_adapters.postgres.sessions import (
    ENCODING,
    READ_ONLY,
    SESSION,
    check_writes,
    hanging_up_in_time,
)
from sebastian_core.domain.errors import ForeignAccount, SchemaMismatch, StoreUnavailable

T = TypeVar("T")
Work: TypeAlias = "Callable[[Transaction], Awaitable[T]]"

OLDEST_SERVER = 130000
_CONTENDED_ATTEMPTS = 5
_TRY_SECONDS = 0.25
"""How soon we try to connect again: whoever waits asks the pool anew, and that makes it try."""

_SECOND = timedelta(seconds=1)
_MILLISECOND = timedelta(milliseconds=1)


@frozen(kw_only=True)
class PoolLimits:
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


WORKER = PoolLimits(
    lock=5 * _SECOND, statement=10 * _SECOND, whole=12 * _SECOND, silence=5 * _SECOND
)
"""Patient: a stopped holder of the lock is thrown out by its server after two seconds."""

WEBHOOK = PoolLimits(
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

_BEGIN, _COMMIT, _ROLLBACK = NamedQuery("begin"), NamedQuery("commit"), NamedQuery("rollback")
_ACCOUNT = NamedQuery("account")


@define
class Transaction:
    """One READ COMMITTED transaction on one connection.

    Between two calls the server knows it to be idle, so that its limit on that protects the others
    from a process that was stopped in between.
    """

    _connection: PipelineConnection
    _pool: Pool
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

    async def send(self, *statements: NamedQuery, commit: bool = False) -> list[list[Row]]:
        """The rows of each statement: all are sent in one go, each sees what came before it.

        With `commit` they are the last ones; should one of them fail, nothing is committed. The
        first answer of all tells whose tables these are: raises ForeignAccount, before the commit.
        """
        before = [] if self._is_open else self._beginning()
        asks_whose = _ACCOUNT in before
        after = [_COMMIT] if commit and not asks_whose else []
        rows = await self._connection.exchange([*before, *statements, *after])
        self._is_open = not after
        if asks_whose:
            self._pool.check_account(rows[len(before) - 1])
            if commit:
                await self.end()
        return rows[len(before) : len(before) + len(statements)]

    async def rollback(self) -> None:
        """End it, with nothing to make durable."""
        await self._connection.exchange([_ROLLBACK])
        self._is_open = False

    async def end(self) -> None:
        """Commit, unless it has ended."""
        if self._is_open:
            await self.send(commit=True)

    def _beginning(self) -> list[NamedQuery]:
        limits = NamedQuery("limits", {**self._pool.limits.settings, **self._plans})
        return [_BEGIN, limits] if self._pool.app_id is None else [_BEGIN, limits, _ACCOUNT]


@define
class Pool:
    """A pool of connections, closed until it is opened; it heals by itself after an outage.

    Work is handed in as a function of a transaction. With an `app_id` all of it is refused, before
    anything is decided, in a database whose tables belong to another account of Qiscus.

    What ends one session, or leaves it of no use, is taken to hold for all of its time: the pool
    begins anew. After a write that a server refused because it is read-only, a new connection is
    asked whether it may write before anybody gets it: behind one address the primary may have
    changed.
    """

    limits: PoolLimits
    _conninfo: str = field(repr=False)
    _name: str
    _max_size: int
    app_id: str | None = None
    connections: AsyncConnectionPool[PipelineConnection] = field(init=False)
    _generation: int = field(default=0, init=False)
    _must_write: bool = field(default=False, init=False)
    _is_refused: bool = field(default=False, init=False)
    _running: set[asyncio.Task[Any]] = field(factory=set, init=False)

    @connections.default
    def _closed(self) -> AsyncConnectionPool[PipelineConnection]:
        return AsyncConnectionPool(
            self._conninfo,
            connection_class=PipelineConnection,
            kwargs={
                "autocommit": True,
                "client_encoding": ENCODING,
                "connect_timeout": 3,
                "application_name": self._name,
                "keepalives_idle": 10,
                "keepalives_interval": 5,
                "keepalives_count": 3,
                "tcp_user_timeout": _milliseconds(self.limits.silence),
            },
            min_size=1,
            max_size=self._max_size,
            open=False,
            configure=self._configure,
            name=self._name,
            timeout=_TRY_SECONDS,
            reconnect_timeout=_TRY_SECONDS,
        )

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
        (rows,) = await self.run(
            lambda transaction: transaction.send(NamedQuery("settings", asked))
        )
        found: dict[str, str] = dict(rows)
        if int(found["server_version_num"]) < OLDEST_SERVER:
            raise SchemaMismatch("PostgreSQL 13 or newer is needed")
        wrong = {name: found[name] for name in wanted if found[name] != wanted[name]}
        if wrong:
            raise SchemaMismatch(f"the server does not keep these settings of ours: {wrong}")

    def check_account(self, rows: Sequence[Row]) -> None:
        """Raise ForeignAccount if the rows of `account` name another one than ours."""
        for (owner,) in rows:
            if self.app_id is not None and owner != self.app_id:
                raise ForeignAccount(owner, self.app_id)

    async def run(self, work: Work[T]) -> T:
        """What the work answers, committed; StoreUnavailable when the time is over.

        The work may be called again: after a deadlock, and on a fresh connection when one was lost,
        be it at the commit, so that it must recognise what it has already done. (Lost is also one
        that the server has refused to write on: there nothing was done.)
        """
        task = asyncio.create_task(self._repeated(work))
        self._running.add(task)
        task.add_done_callback(self._forget)
        try:
            done, _ = await asyncio.wait({task}, timeout=self.limits.whole.total_seconds())
        except asyncio.CancelledError:
            task.cancel()
            raise
        if not done:
            task.cancel()
            raise StoreUnavailable(STORE, self._silence)
        return task.result()

    async def send(self, *statements: NamedQuery) -> list[list[Row]]:
        """The rows of each of the statements, which make one transaction; see `run`."""
        return await self.run(lambda transaction: transaction.send(*statements, commit=True))

    async def rows(self, name: str, **asked: Any) -> list[Row]:
        """The rows of the one statement of that name, by itself; see `run`."""
        (rows,) = await self.send(NamedQuery(name, asked))
        return rows

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

    async def begin_anew(self, lost: PipelineConnection, error: BaseException) -> None:
        """Let go of the connections that are as old as this lost one, those in use when they end.

        Once for all of them: several may find out at the same time.
        """
        self._must_write = self._must_write or isinstance(error, ReadOnlySqlTransaction)
        if lost.generation == self._generation:
            self._generation += 1
            await self.connections.drain()

    async def _configure(self, connection: PipelineConnection) -> None:
        connection.generation = self._generation
        with hanging_up_in_time(connection):
            await self._prepare(connection)

    async def _prepare(self, connection: PipelineConnection) -> None:
        await connection.execute(SESSION)
        if not self._must_write:
            return
        try:
            await check_writes(connection)
        except ReadOnlySqlTransaction:
            self._is_refused = True
            await connection.close()
            raise
        self._is_refused = False

    @property
    def _silence(self) -> str:
        """Why nothing could be had in time."""
        limit = f"no answer within {self.limits.whole.total_seconds():g} s"
        return f"{limit}: {READ_ONLY}" if self._is_refused else limit

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        with suppress(asyncio.CancelledError):
            task.exception()


@define
class _Attempt(Generic[T]):
    """One transaction on one connection, committed unless the work has ended it."""

    _pool: Pool
    _work: Work[T]
    _connection: PipelineConnection | None = field(default=None, init=False)

    async def carry_out(self) -> T:
        connections = self._pool.connections
        self._connection = connection = await connections.getconn()
        try:
            transaction = Transaction(connection, self._pool)
            answer = await self._work(transaction)
            await transaction.end()
        except BaseException as error:
            connection.leave()
            if connection.is_lost:
                await self._pool.begin_anew(connection, error)
            raise
        finally:
            await connections.putconn(connection)
        return answer

    @property
    def lost(self) -> bool:
        """Whether the connection was lost under it."""
        return self._connection is not None and self._connection.is_lost


def worker_pool(conninfo: str, app_id: str | None = None, *, max_size: int = 8) -> Pool:
    """Connections for the worker and the CLI."""
    return Pool(WORKER, conninfo, "sebastian-worker", max_size, app_id)


def webhook_pool(conninfo: str, app_id: str | None = None, *, max_size: int = 4) -> Pool:
    """Connections for the webhook, impatient in everything."""
    return Pool(WEBHOOK, conninfo, "sebastian-webhook", max_size, app_id)


def _milliseconds(duration: timedelta) -> str:
    return str(round(duration / _MILLISECOND))
