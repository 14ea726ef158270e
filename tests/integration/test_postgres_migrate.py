from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg
import pytest
from click.testing import CliRunner

from sebastian_adapters.postgres.migrate import (
    Migration,
    check_schema,
    check_tables,
    migrate,
    migrations,
)
from sebastian_adapters.postgres.pool import Pool, worker_pool
from sebastian_apps.cli.main import main
from sebastian_core.domain.errors import SchemaMismatch, StoreUnavailable
from tests.integration import postgres
from tests.integration.postgres import as_role, roles, rows
from tests.servers import PostgresServer

REPEATABLE_READ = b"""
do $$ begin
    execute format(
        'alter database %I set default_transaction_isolation = ''repeatable read''',
        current_database()
    );
end $$
"""
STATES = """
select state from pg_stat_activity
where datname = current_database() and application_name = 'sebastian-worker'
"""
NAMES = [f"{each.number:04} {each.name}" for each in migrations()]


async def check(url: str) -> None:
    async with await psycopg.AsyncConnection.connect(url) as connection:
        await check_schema(connection)


async def execute(url: str, statement: bytes) -> None:
    async with await psycopg.AsyncConnection.connect(url) as connection:
        await connection.execute(statement)


@asynccontextmanager
async def used(url: str) -> AsyncIterator[Pool]:
    """A pool of one connection, on which a transaction of ours has been."""
    pool = worker_pool(url, max_size=1)
    await pool.open()
    try:
        await pool.check()
        yield pool
    finally:
        await pool.close()


async def test_applies_every_file_in_order_and_then_nothing(postgres_url: str) -> None:
    first = await migrate(postgres_url)
    second = await migrate(postgres_url)

    assert (first, second) == (NAMES, [])
    await check(postgres_url)


async def test_of_several_at_once_one_applies_and_nobody_fails(postgres_url: str) -> None:
    applied = await asyncio.gather(*(migrate(postgres_url) for _ in range(8)))

    assert sorted(applied) == [[]] * 7 + [NAMES]


async def test_leaves_another_chat_table_alone(postgres_url: str) -> None:
    await execute(postgres_url, b"create table chat (room_id text); insert into chat values ('1')")

    await migrate(postgres_url)

    await execute(postgres_url, b"select room_id from public.chat")


async def test_missing_tables_are_told_with_what_to_do(postgres_url: str) -> None:
    with pytest.raises(SchemaMismatch, match="sebastian migrate"):
        await check(postgres_url)


async def test_the_version_before_runs_on_beside_new_tables(postgres_url: str) -> None:
    await migrate(postgres_url)
    await execute(postgres_url, b"insert into sebastian.migration values (9999, 'from the future')")

    await check(postgres_url)
    assert await migrate(postgres_url) == []


async def test_tables_that_lack_what_this_version_needs_keep_it_out(postgres_url: str) -> None:
    await migrate(postgres_url)
    await execute(
        postgres_url, b"insert into sebastian.migration values (9999, 'from the future', 9999)"
    )

    with pytest.raises(SchemaMismatch, match="newer version"):
        await check(postgres_url)
    with pytest.raises(SchemaMismatch, match="newer version"):
        await migrate(postgres_url)


def test_a_file_says_which_code_it_keeps_out() -> None:
    assert Migration(8, "drop", "-- oldest code: 7\nalter table").oldest_code == 7
    assert Migration(8, "add", "alter table").oldest_code == 0


async def test_a_migration_that_fails_leaves_nothing_behind(postgres_url: str) -> None:
    await execute(postgres_url, b"create schema sebastian; create table sebastian.duty (name text)")

    with pytest.raises(SchemaMismatch, match="already exists"):
        await migrate(postgres_url)

    with pytest.raises(SchemaMismatch):
        await check(postgres_url)


async def test_no_database_is_told_as_unavailable() -> None:
    with pytest.raises(StoreUnavailable):
        await migrate("postgresql:///nowhere?host=/nonexistent")


def test_every_file_has_a_number_of_its_own() -> None:
    numbers = [each.number for each in migrations()]

    assert numbers == sorted(set(numbers))


async def test_the_check_leaves_no_transaction_open_on_a_connection_that_was_used_before(
    postgres_url: str,
) -> None:
    await migrate(postgres_url)
    async with used(postgres_url) as pool:
        await check_tables(pool)

        assert rows(postgres_url, STATES) == [("idle",)]


async def test_a_database_with_another_isolation_by_default_serves_behind_the_check(
    postgres_url: str,
) -> None:
    await migrate(postgres_url)
    await execute(postgres_url, REPEATABLE_READ)
    async with used(postgres_url) as pool:
        await check_tables(pool)

        await pool.check()


async def test_a_schema_that_was_made_for_the_role_is_all_that_it_needs(
    postgres_server: PostgresServer, postgres_url: str
) -> None:
    with roles(postgres_server, 1) as (owner,):
        postgres.execute(postgres_url, f"create schema sebastian authorization {owner}")

        applied = await migrate(as_role(postgres_url, owner))

        assert applied == NAMES
        postgres.execute(postgres_url, "drop schema sebastian cascade")


async def test_a_role_that_may_create_nothing_finds_that_nothing_is_to_be_done(
    postgres_server: PostgresServer, postgres_url: str
) -> None:
    with roles(postgres_server, 1) as (role,):
        await migrate(postgres_url, grant_to=role)

        assert await migrate(as_role(postgres_url, role)) == []

        postgres.execute(postgres_url, f"drop owned by {role}")


async def test_a_role_without_rights_is_told_whose_help_it_needs(
    postgres_server: PostgresServer, postgres_url: str
) -> None:
    with (
        roles(postgres_server, 1) as (role,),
        pytest.raises(SchemaMismatch, match=r"db\.migrate_connection_string"),
    ):
        await migrate(as_role(postgres_url, role))


async def test_a_role_that_is_not_there_gets_nothing(postgres_url: str) -> None:
    with pytest.raises(SchemaMismatch, match="does not exist"):
        await migrate(postgres_url, grant_to="nobody-of-that-name")


async def test_the_owner_keeps_its_rights_also_where_it_is_named_as_the_role_that_serves(
    postgres_server: PostgresServer, postgres_url: str
) -> None:
    with roles(postgres_server, 1) as (owner,):
        postgres.execute(postgres_url, f"create schema sebastian authorization {owner}")

        await migrate(as_role(postgres_url, owner), grant_to=owner)

        postgres.execute(
            as_role(postgres_url, owner),
            "delete from sebastian.account; delete from sebastian.migration where number = 8;"
            "drop table sebastian.ended_login",
        )
        assert await migrate(as_role(postgres_url, owner), grant_to=owner) == ["0008 ended_logins"]
        postgres.execute(postgres_url, "drop schema sebastian cascade")


async def test_what_a_later_migration_adds_is_granted_as_well(
    postgres_server: PostgresServer, postgres_url: str
) -> None:
    with roles(postgres_server, 1) as (role,):
        await migrate(postgres_url, grant_to=role)
        postgres.execute(postgres_url, "create table sebastian.later (number integer)")

        postgres.execute(as_role(postgres_url, role), "insert into sebastian.later values (1)")

        postgres.execute(postgres_url, f"drop owned by {role}")


async def test_a_migrate_that_hangs_elsewhere_is_waited_for_not_for_ever_and_told(
    postgres_url: str,
) -> None:
    told: list[str] = []
    async with await psycopg.AsyncConnection.connect(postgres_url) as other:
        await other.execute("select pg_advisory_lock(5337264820)")

        with pytest.raises(StoreUnavailable, match="advisory lock 5337264820"):
            await migrate(postgres_url, told.append, wait_seconds=0.2)

    assert told == ["Waiting for another sebastian migrate, 0.2 s at most"]


def test_the_command_migrates_as_the_owner_and_grants_to_the_role_that_serves(
    postgres_server: PostgresServer, postgres_url: str
) -> None:
    with roles(postgres_server, 2) as (owner, serving):
        postgres.execute(postgres_url, f"create schema sebastian authorization {owner}")
        environ = {
            "QT_DB_CONNECTION_STRING": as_role(postgres_url, serving),
            "QT_DB_MIGRATE_CONNECTION_STRING": as_role(postgres_url, owner),
        }

        done = CliRunner().invoke(main, ["migrate", "--grant-to", serving], env=environ)

        assert done.exit_code == 0, done.output
        assert f"{serving} has the rights that the services need" in done.output
        assert rows(as_role(postgres_url, serving), "select count(*) from sebastian.chat") == [(0,)]
        postgres.execute(postgres_url, "drop schema sebastian cascade")
