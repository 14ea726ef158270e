"""How a PostgreSQL server and our tables in it stand, read once for whoever looks for trouble."""

from __future__ import annotations

from functools import partial
from uuid import uuid4

from attrs import frozen

from sebastian_adapters.postgres.account import account_in
from sebastian_adapters.postgres.errors import translated
from sebastian_adapters.postgres.migrate import (
    applied_migrations,
    check_schema,
    migrations,
)
from sebastian_adapters.postgres.pool import OLDEST_SERVER, Pool, webhook_pool
from sebastian_adapters.postgres.room_repo import PostgresRoomRepo
from sebastian_adapters.postgres.sessions import Connection, connect, value
from sebastian_core.domain.ids import RoomId
from sebastian_core.domain.rules import Rules
from sebastian_core.domain.webhooks import Arrival, admit

CONNECT_SECONDS = 4


@frozen(kw_only=True)
class DatabaseHealth:
    """What the server tells. `pools_transactions`: a proxy hands our session to several backends.

    `migrations_missing` counts those of this version that were not applied, `is_newer` tells that
    one was applied which keeps this version out. What needs tables is None without them.
    `account` is whose tables these are, None before the first start.
    """

    version: int
    encoding: str
    is_standby: bool
    pools_transactions: bool
    migrations_missing: int
    is_newer: bool
    account: str | None = None

    @property
    def is_too_old(self) -> bool:
        """Whether the server is older than what we work with."""
        return self.version < OLDEST_SERVER


async def read_database(conninfo: str) -> DatabaseHealth:
    """Ask the server, a few seconds at most; raises StoreUnavailable."""
    with translated():
        async with await _connect(conninfo) as first, await _connect(conninfo) as second:
            return await _read(first, second)


async def try_arrival(pool: Pool) -> None:
    """Record a customer's arrival and take it back; raises what a webhook would meet.

    Each is of a room of its own: two that are tried at once would wait for each other.
    """
    arrival = Arrival(room_id=RoomId(f"sebastian-trial-{uuid4().hex[:12]}"))
    await PostgresRoomRepo(pool).rehearse(arrival.room_id, partial(admit, arrival, Rules()))


async def try_webhook(conninfo: str) -> None:
    """The same on connections of its own, as a webhook service has them."""
    pool = webhook_pool(conninfo, max_size=1)
    await pool.open()
    try:
        await try_arrival(pool)
    finally:
        await pool.close()


async def check_database(conninfo: str) -> None:
    """Raise StoreUnavailable, or SchemaMismatch, unless our tables are there; quicker than a pool.

    A pool keeps trying; a command that somebody waits for says at once what is wrong.
    """
    with translated():
        async with await _connect(conninfo) as connection:
            await check_schema(connection)


async def _connect(conninfo: str) -> Connection:
    return await connect(conninfo, name="doctor", connect_seconds=CONNECT_SECONDS)


async def _read(first: Connection, second: Connection) -> DatabaseHealth:
    pools_transactions = await _pools_transactions(first, second)
    applied = await applied_migrations(first)
    brought = {each.number for each in migrations()}
    has_tables = brought <= applied.keys()
    return DatabaseHealth(
        version=first.info.server_version,
        encoding=str(first.info.parameter_status("server_encoding")),
        is_standby=bool(await value(first, "select pg_is_in_recovery()")),
        pools_transactions=pools_transactions,
        migrations_missing=len(brought - applied.keys()),
        is_newer=max(applied.values(), default=0) > max(brought),
        account=await account_in(first) if has_tables else None,
    )


async def _pools_transactions(first: Connection, second: Connection) -> bool:
    """Whether our first session meets several backends, also while the second keeps one busy.

    A proxy that hands out the backend that was free longest shows itself before, one that hands
    out the last one used shows itself meanwhile.
    """
    backends = {await _backend(first) for _ in range(3)}
    async with second.transaction():
        await _backend(second)
        while_busy = {await _backend(first) for _ in range(2)}
    return len(backends | while_busy) > 1


async def _backend(connection: Connection) -> object:
    return await value(connection, "select pg_backend_pid()")
