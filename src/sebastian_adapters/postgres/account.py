"""Whose tables these are.

The first process that starts with an app id writes it down. From then on each transaction reads it
before it decides anything (`Transaction.send`), so nothing is ever concluded from what another
account's platform says of our rooms.
"""

from __future__ import annotations

from attrs import frozen

from sebastian_adapters.postgres.errors import translated
from sebastian_adapters.postgres.migrate import check_schema
from sebastian_adapters.postgres.pipeline import NamedQuery
from sebastian_adapters.postgres.pool import Pool, Transaction
from sebastian_adapters.postgres.sessions import Connection, connect, value

CONNECT_SECONDS = 4
_LIVE = "select count(*) from sebastian.chat where state <> 'closed'"
_RENAME = """
    update sebastian.account set app_id = %s, set_by = %s, set_at = clock_timestamp()
    where app_id = %s
    returning true
"""


@frozen
class AccountReading:
    """Whose tables these are, None before the first start, and how many chats are live in them."""

    app_id: str | None
    live: int


async def claim_account(pool: Pool) -> None:
    """Write the pool's app id into tables that have none; of two at once one wins.

    Raises ForeignAccount where another one stands. A pool without an app id claims nothing.
    """
    if pool.app_id is None:
        return
    claim = NamedQuery("claim_account", {"app_id": pool.app_id})

    async def work(transaction: Transaction) -> None:
        _, found = await transaction.send(claim, NamedQuery("account"), commit=True)
        pool.check_account(found)

    await pool.run(work)


async def read_account(conninfo: str) -> AccountReading:
    """Ask the database; raises SchemaMismatch without our tables, StoreUnavailable."""
    with translated():
        async with await connect(
            conninfo, name="account", connect_seconds=CONNECT_SECONDS
        ) as connection:
            await check_schema(connection)
            return AccountReading(await account_in(connection), await value(connection, _LIVE))


async def account_in(connection: Connection) -> str | None:
    """Whose tables these are, None before the first start."""
    app_id: str | None = await value(connection, "select app_id from sebastian.account")
    return app_id


async def rename_account(conninfo: str, before: str, after: str, actor: str) -> bool:
    """Let the tables belong to another app id; False if they did not belong to the one before."""
    with translated():
        async with await connect(
            conninfo, name="account", connect_seconds=CONNECT_SECONDS
        ) as connection:
            return bool(await value(connection, _RENAME, after, actor, before))
