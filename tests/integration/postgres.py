"""Databases with our tables, and room repos on them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any
from uuid import uuid4

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from sebastian_adapters.postgres.migrate import migrate
from sebastian_adapters.postgres.pool import Pool, worker_pool
from sebastian_adapters.postgres.room_repo import PostgresRoomRepo
from tests.servers import PostgresServer, fresh_database

_TABLES = """
    select string_agg(format('%I.%I', schemaname, tablename), ', ') from pg_tables
    where schemaname = 'sebastian' and tablename <> 'migration'
"""


@contextmanager
def migrated_database(server: PostgresServer) -> Iterator[str]:
    """The URL of a database of its own with this version's tables."""
    with fresh_database(server) as url:
        asyncio.run(migrate(url))
        yield url


def emptied(url: str) -> str:
    """The same database with nothing in it: quicker than a new one."""
    with psycopg.connect(url, client_encoding="utf8") as connection:
        row = connection.execute(_TABLES).fetchone()
        assert row is not None
        connection.execute(f"truncate {row[0]} restart identity".encode())
    return url


@contextmanager
def roles(server: PostgresServer, number: int) -> Iterator[list[str]]:
    """The names of so many database roles that may log in and nothing else."""
    names = [f"sebastian_test_{uuid4().hex[:12]}" for _ in range(number)]
    for name in names:
        execute(server.url, f"create role {name} login")
    try:
        yield names
    finally:
        for name in names:
            execute(server.url, f"drop role {name}")


def as_role(url: str, role: str) -> str:
    """The same database as this role reaches it."""
    return make_conninfo(url, user=role)


def execute(url: str, statements: str) -> None:
    """Let the database do what the test wants."""
    with psycopg.connect(url, autocommit=True, client_encoding="utf8") as connection:
        connection.execute(statements.encode())


@contextmanager
def read_only_for_new_sessions(url: str) -> Iterator[None]:
    """Whoever connects meanwhile may not write; whoever is connected stays as they are."""
    name = conninfo_to_dict(url)["dbname"]
    setting = "default_transaction_read_only"
    execute(url, f"alter database {name} set {setting} = on")
    try:
        yield
    finally:
        takes_writes = make_conninfo(url, options=f"-c {setting}=off")
        execute(takes_writes, f"alter database {name} reset {setting}")


@asynccontextmanager
async def room_repo(
    url: str, make_pool: Callable[[str], Pool] = worker_pool
) -> AsyncIterator[PostgresRoomRepo]:
    """A room repo as one process has it."""
    async with opened(make_pool(url)) as pool:
        yield PostgresRoomRepo(pool)


@asynccontextmanager
async def opened(pool: Pool) -> AsyncIterator[Pool]:
    """The pool while it is open."""
    await pool.open()
    try:
        yield pool
    finally:
        await pool.close()


def rows(url: str, query: str, *asked: object) -> list[tuple[Any, ...]]:
    """What the database answers to a question of the test's own."""
    with psycopg.connect(url, autocommit=True, client_encoding="utf8") as connection:
        return connection.execute(query.encode(), asked).fetchall()
