"""Migrations: numbered files, applied once each, in order, by one process at a time."""

from __future__ import annotations

import re
from importlib.resources import files

import psycopg
from attrs import frozen

from sebastian_adapters.postgres.errors import translated
from sebastian_adapters.postgres.pools import OLDEST_SERVER, Connection, Pool
from sebastian_core.domain.errors import SchemaMismatch

_FILE = re.compile(r"(\d{4})_(\w+)\.sql")
_LOCK = 5337264820
_TABLE = """
    create schema if not exists sebastian;
    create table if not exists sebastian.migration (
        number integer primary key,
        name text not null,
        applied_at timestamptz not null default clock_timestamp()
    );
"""


@frozen
class Migration:
    """One numbered file."""

    number: int
    name: str
    sql: str


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


async def migrate(conninfo: str) -> list[str]:
    """Bring the database's tables up to this version; the names of what was applied.

    May be run again and by several at once: one applies, the others wait and find nothing to do.
    All or nothing: a migration that fails leaves the tables as they were. Raises SchemaMismatch
    where a newer version was here, StoreUnavailable where the database cannot be reached.
    """
    with translated():
        connection = await psycopg.AsyncConnection.connect(conninfo, connect_timeout=10)
        async with connection, connection.transaction():
            return await _apply(connection)


async def check_tables(pool: Pool) -> None:
    """Raise SchemaMismatch, or StoreUnavailable, unless the pool's database has our tables."""
    with translated():
        async with pool.connections.connection() as connection:
            await check_schema(connection)


async def check_schema(connection: Connection) -> None:
    """Raise SchemaMismatch, with what to do, unless the tables are this version's."""
    with translated():
        applied = await _applied(connection)
    if _missing(applied):
        raise SchemaMismatch("the database's tables are missing or old: run `sebastian migrate`")


async def _apply(connection: Connection) -> list[str]:
    if connection.info.server_version < OLDEST_SERVER:
        raise SchemaMismatch("PostgreSQL 13 or newer is needed")
    await connection.execute("select pg_advisory_xact_lock(%s)", (_LOCK,))
    await connection.execute(_TABLE)
    applied = await _applied(connection)
    missing = _missing(applied)
    for migration in missing:
        await connection.execute(migration.sql.encode())
        await connection.execute(
            "insert into sebastian.migration (number, name) values (%s, %s)",
            (migration.number, migration.name),
        )
    return [f"{each.number:04} {each.name}" for each in missing]


async def _applied(connection: Connection) -> set[int]:
    there = await connection.execute("select to_regclass('sebastian.migration') is not null")
    if await there.fetchone() != (True,):
        return set()
    cursor = await connection.execute("select number from sebastian.migration")
    return {number for (number,) in await cursor.fetchall()}


def _missing(applied: set[int]) -> list[Migration]:
    brought = migrations()
    if applied - {each.number for each in brought}:
        raise SchemaMismatch(
            "the database was migrated by a newer version of Sebastian: upgrade this one"
        )
    return [each for each in brought if each.number not in applied]
