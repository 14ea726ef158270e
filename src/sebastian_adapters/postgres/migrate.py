"""Migrations: numbered files, applied once each, in order, by one process at a time."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib.resources import files

from attrs import frozen

from sebastian_adapters.postgres.errors import translated
from sebastian_adapters.postgres.pools import OLDEST_SERVER, Pool
from sebastian_adapters.postgres.sessions import Connection, connect
from sebastian_core.domain.errors import SchemaMismatch

_FILE = re.compile(r"(\d{4})_(\w+)\.sql")
_OLDEST_CODE = re.compile(r"^-- oldest code: (\d+)$", re.MULTILINE)
CONNECT_SECONDS = 10
_LOCK = 5337264820
_LOCK_TIMEOUT = "5s"
"""A table that somebody else holds (a backup, say) must not queue the webhooks behind us."""

_TABLE = """
    create schema if not exists sebastian;
    create table if not exists sebastian.migration (
        number integer primary key,
        name text not null,
        oldest_code integer not null default 0,
        applied_at timestamptz not null default clock_timestamp()
    );
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


async def migrate(conninfo: str, on_begin: Callable[[str], None] = lambda name: None) -> list[str]:
    """Bring the database's tables up to this version; the names of what was applied.

    `on_begin` is told each name before it is applied, which may take long where there is much.

    May be run again and by several at once: one applies, the others wait and find nothing to do.
    All or nothing: a migration that fails leaves the tables as they were. Raises SchemaMismatch
    where a newer version took away what this one needs, StoreUnavailable where the database cannot
    be reached or somebody holds the tables.
    """
    with translated():
        connection = await connect(conninfo, name="migrate", connect_seconds=CONNECT_SECONDS)
        async with connection, connection.transaction():
            return await _apply(connection, on_begin)


async def check_tables(pool: Pool) -> None:
    """Raise SchemaMismatch, or StoreUnavailable, unless the pool's database has our tables."""
    with translated():
        async with pool.plain_connection() as connection:
            await check_schema(connection)


async def check_schema(connection: Connection) -> None:
    """Raise SchemaMismatch, with what to do, unless this version can work with the tables."""
    with translated():
        missing = await _missing(connection)
    if missing:
        raise SchemaMismatch("the database's tables are missing or old: run `sebastian migrate`")


async def _apply(connection: Connection, on_begin: Callable[[str], None]) -> list[str]:
    if connection.info.server_version < OLDEST_SERVER:
        raise SchemaMismatch("PostgreSQL 13 or newer is needed")
    await connection.execute("select pg_advisory_xact_lock(%s)", (_LOCK,))
    await connection.execute("select set_config('lock_timeout', %s, true)", (_LOCK_TIMEOUT,))
    await connection.execute(_TABLE)
    missing = await _missing(connection)
    for migration in missing:
        on_begin(migration.title)
        await connection.execute(migration.sql.encode())
        await connection.execute(
            "insert into sebastian.migration (number, name, oldest_code) values (%s, %s, %s)",
            (migration.number, migration.name, migration.oldest_code),
        )
    return [each.title for each in missing]


async def _missing(connection: Connection) -> list[Migration]:
    brought, applied = migrations(), await _applied(connection)
    newest = max(each.number for each in brought)
    if max(applied.values(), default=0) > newest:
        raise SchemaMismatch(
            "the database was migrated by a newer version of Sebastian: upgrade this one"
        )
    return [each for each in brought if each.number not in applied]


async def _applied(connection: Connection) -> dict[int, int]:
    """The numbers of what was applied, each with the oldest code that it admits."""
    there = await connection.execute("select to_regclass('sebastian.migration') is not null")
    if await there.fetchone() != (True,):
        return {}
    cursor = await connection.execute("select number, oldest_code from sebastian.migration")
    return dict(await cursor.fetchall())
