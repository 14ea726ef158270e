"""Migrations: numbered files, applied once each, in order, by one process at a time."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from importlib.resources import files

from attrs import frozen
from psycopg import sql
from psycopg.errors import LockNotAvailable

from sebastian_adapters.postgres.errors import STORE, translated
from sebastian_adapters.postgres.pipeline import NamedQuery
from sebastian_adapters.postgres.pool import OLDEST_SERVER, Pool
from sebastian_adapters.postgres.sessions import Connection, connect, value
from sebastian_core.domain.errors import SchemaMismatch, StoreUnavailable

_FILE = re.compile(r"(\d{4})_(\w+)\.sql")
_OLDEST_CODE = re.compile(r"^-- oldest code: (\d+)$", re.MULTILINE)
CONNECT_SECONDS = 10
_LOCK = 5337264820
_LOCK_TIMEOUT = "5s"
"""A table that somebody else holds (a backup, say) must not queue the webhooks behind us."""

WAIT_SECONDS = 60.0
"""How long we wait for another `migrate`: longer than a vanished host keeps its lock."""

# Only what is missing is created: to ask for more would need rights that the job does not need.
_SCHEMA = "create schema sebastian"
_TABLE = """
    create table sebastian.migration (
        number integer primary key,
        name text not null,
        oldest_code integer not null default 0,
        applied_at timestamptz not null default clock_timestamp()
    )
"""

_HAS_TABLE = "select to_regclass('sebastian.migration') is not null"

_OWNER = "select pg_get_userbyid(relowner) from pg_class where oid = %s::regclass"

# What later migrations add is granted with it; only the owner says which were applied, and
# renames the account.
_GRANTS = """
    grant usage on schema sebastian to {role};
    grant select, insert, update, delete on all tables in schema sebastian to {role};
    grant usage on all sequences in schema sebastian to {role};
    revoke insert, update, delete on sebastian.migration from {role};
    revoke update, delete on sebastian.account from {role};
    alter default privileges in schema sebastian
        grant select, insert, update, delete on tables to {role};
    alter default privileges in schema sebastian grant usage on sequences to {role}
"""


@frozen
class Migration:
    """One numbered file.

    Migrations only add, so that the version before runs on beside the new tables. One that takes
    away what older code needs says so in a line `-- oldest code: 7`: code whose newest migration is
    older than that is kept out.
    """

    number: int
    name: str
    sql: str

    @property
    def title(self) -> str:
        """Number and name, as people see it."""
        return f"{self.number:04} {self.name}"

    @property
    def oldest_code(self) -> int:
        """The newest migration that code must know at least to run beside this one."""
        said = _OLDEST_CODE.search(self.sql)
        return int(said[1]) if said else 0


def migrations() -> list[Migration]:
    """All migrations that this version brings, in their order."""
    folder = files("sebastian_adapters.postgres") / "migrations"
    found = [(_FILE.fullmatch(each.name), each) for each in folder.iterdir()]
    brought = [
        Migration(int(match[1]), match[2], file.read_text("utf-8"))
        for match, file in found
        if match
    ]
    return sorted(brought, key=lambda migration: migration.number)


async def migrate(
    conninfo: str,
    tell: Callable[[str], None] = lambda what: None,
    *,
    grant_to: str | None = None,
    wait_seconds: float = WAIT_SECONDS,
) -> list[str]:
    """Bring the database's tables up to this version; the names of what was applied.

    `tell` is told what is about to be done that may take long. `grant_to` names a role that gets
    all rights that the services need, and no more.

    May be run again and by several at once: one applies, the others wait and find nothing to do.
    All or nothing: a migration that fails leaves the tables as they were. Raises SchemaMismatch
    where a newer version took away what this one needs or a right is missing, StoreUnavailable
    where the database cannot be reached, somebody holds the tables, or another `migrate` is not
    done within `wait_seconds`.
    """
    with translated():
        connection = await connect(conninfo, name="migrate", connect_seconds=CONNECT_SECONDS)
        async with connection, connection.transaction():
            await _take_turn(connection, tell, wait_seconds)
            applied = await _apply(connection, tell)
            if grant_to is not None:
                await _grant(connection, grant_to)
            return applied


async def check_tables(pool: Pool) -> None:
    """Raise SchemaMismatch, or StoreUnavailable, unless the pool's database has our tables."""
    (applied,) = await pool.run(lambda transaction: transaction.send(NamedQuery("migrations")))
    _check(dict(applied))


async def check_schema(connection: Connection) -> None:
    """Raise SchemaMismatch, with what to do, unless this version can work with the tables."""
    with translated():
        _check(await applied_migrations(connection))


def _check(applied: Mapping[int, int]) -> None:
    if _missing(applied):
        raise SchemaMismatch("the database's tables are missing or old: run `sebastian migrate`")


async def _take_turn(
    connection: Connection, tell: Callable[[str], None], wait_seconds: float
) -> None:
    """Take the lock of the migrations; raises StoreUnavailable where somebody keeps it."""
    if await value(connection, "select pg_try_advisory_xact_lock(%s)", _LOCK):
        return
    tell(f"Waiting for another sebastian migrate, {wait_seconds:g} s at most")
    await connection.execute(
        "select set_config('lock_timeout', %s, true)", (f"{wait_seconds * 1000:.0f}ms",)
    )
    try:
        await connection.execute("select pg_advisory_xact_lock(%s)", (_LOCK,))
    except LockNotAvailable as error:
        held = f"another session holds the lock of the migrations (advisory lock {_LOCK})"
        raise StoreUnavailable(STORE, f"{held}: end it, or try again later") from error


async def _apply(connection: Connection, tell: Callable[[str], None]) -> list[str]:
    if connection.info.server_version < OLDEST_SERVER:
        raise SchemaMismatch("PostgreSQL 13 or newer is needed")
    await connection.execute("select set_config('lock_timeout', %s, true)", (_LOCK_TIMEOUT,))
    if not await value(connection, "select to_regnamespace('sebastian') is not null"):
        await connection.execute(_SCHEMA)
    if not await value(connection, _HAS_TABLE):
        await connection.execute(_TABLE)
    missing = _missing(await applied_migrations(connection))
    for migration in missing:
        tell(f"Applying {migration.title}")
        await connection.execute(migration.sql.encode())
        await connection.execute(
            "insert into sebastian.migration (number, name, oldest_code) values (%s, %s, %s)",
            (migration.number, migration.name, migration.oldest_code),
        )
    return [each.title for each in missing]


async def _grant(connection: Connection, role: str) -> None:
    """Give the role what the services need; the owner has it, and must not lose the rest."""
    if await value(connection, _OWNER, "sebastian.migration") != role:
        await connection.execute(sql.SQL(_GRANTS).format(role=sql.Identifier(role)))


def _missing(applied: Mapping[int, int]) -> list[Migration]:
    brought = migrations()
    newest = max(each.number for each in brought)
    if max(applied.values(), default=0) > newest:
        raise SchemaMismatch(
            "the database was migrated by a newer version of Sebastian: upgrade this one"
        )
    return [each for each in brought if each.number not in applied]


async def applied_migrations(connection: Connection) -> dict[int, int]:
    """The numbers of what was applied, each with the oldest code that it admits."""
    if not await value(connection, _HAS_TABLE):
        return {}
    cursor = await connection.execute("select number, oldest_code from sebastian.migration")
    return dict(await cursor.fetchall())
