"""Databases whose defaults are odd, whose other tenants are hostile, and where we own nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta

import psycopg
import pytest

from sebastian_adapters.postgres.agent_settings import PostgresAgentSettings
from sebastian_adapters.postgres.health import read_database
from sebastian_adapters.postgres.job_queue import PostgresJobQueue
from sebastian_adapters.postgres.leadership import PostgresLeadership
from sebastian_adapters.postgres.migrate import migrate
from sebastian_adapters.postgres.pool import Pool, worker_pool
from sebastian_adapters.postgres.room_repo import PostgresRoomRepo
from sebastian_adapters.testing.builders import ANNE
from sebastian_adapters.testing.contracts.room_repo import RoomRepoContract, arrive, chat_of
from sebastian_core.domain.agent_loads import AgentSetting
from tests.integration.postgres import as_role, emptied, execute, opened, roles, rows
from tests.integration.transaction_pooler import transaction_pooler
from tests.servers import PostgresServer, fresh_database

ODD = {
    "intervalstyle": "iso_8601",
    "datestyle": "SQL, DMY",
    "timezone": "Asia/Kolkata",
    "bytea_output": "escape",
    "extra_float_digits": "-15",
    "client_encoding": "SQL_ASCII",
    "standard_conforming_strings": "off",
    "array_nulls": "off",
    "default_transaction_isolation": "repeatable read",
    "search_path": "public, pg_catalog",
}

# Each fits what a statement of ours asks for better than PostgreSQL's own does.
PLANTED = """
create sequence public.stolen;
create function public.unnest(text[]) returns setof text language plpgsql as $$
begin
    perform nextval('public.stolen');
    return query select * from pg_catalog.unnest($1);
end $$;
create function public.jsonb_build_object(text, bigint) returns jsonb language plpgsql as $$
begin
    perform nextval('public.stolen');
    return pg_catalog.jsonb_build_object($1, $2);
end $$;
create function public.later(timestamptz, timestamptz) returns timestamptz language plpgsql as $$
begin
    perform nextval('public.stolen');
    return $1;
end $$;
create operator public.+ (leftarg = timestamptz, rightarg = timestamptz, function = public.later);
grant usage on sequence public.stolen to public;
grant select on sequence public.stolen to public;
"""
TIMES_RUN = "select case when is_called then last_value else 0 end from public.stolen"


def oddly_set_up(url: str) -> None:
    """Let the database have other defaults, and another tenant."""
    execute(url, PLANTED)
    ((name,),) = rows(url, "select current_database()")
    for setting, value in ODD.items():
        execute(url, f"alter database {name} set {setting} = {as_setting(value)}")


def as_setting(value: str) -> str:
    """The value of a setting as SQL, a list of names as a list."""
    return ", ".join(f"'{each}'" for each in value.split(", "))


def times_run(url: str) -> int:
    """How often anything that was planted has been run."""
    ((times,),) = rows(url, TIMES_RUN)
    return int(times)


@pytest.fixture(scope="module")
def odd_database(postgres_server: PostgresServer) -> Iterator[tuple[str, str]]:
    """One whose defaults were odd from the beginning: for its master, and for a role that serves.

    A third role owns the tables.
    """
    with (
        roles(postgres_server, 2) as (owner, serving),
        fresh_database(postgres_server) as url,
    ):
        oddly_set_up(url)
        execute(url, f"create schema sebastian authorization {owner}")
        asyncio.run(migrate(as_role(url, owner), grant_to=serving))
        yield url, as_role(url, serving)


@pytest.fixture
def url(odd_database: tuple[str, str]) -> str:
    """The same with nothing in it, for the role that serves."""
    master, serving = odd_database
    emptied(master)
    return serving


class TestRoleThatOwnsNothingInAnOddDatabase(RoomRepoContract):
    @pytest.fixture
    async def pool(self, url: str) -> AsyncIterator[Pool]:
        async with opened(worker_pool(url)) as pool:
            yield pool
        assert times_run(url) == 0


async def test_what_another_tenant_planted_is_not_run_behind_a_pooler_either(url: str) -> None:
    async with transaction_pooler(url) as pooled, opened(worker_pool(pooled)) as pool:
        assert await PostgresLeadership(pool).hold_duty("me", timedelta(seconds=6))

    assert times_run(url) == 0


async def test_the_doctor_reads_a_database_with_odd_defaults(url: str) -> None:
    async with opened(worker_pool(url)) as pool:
        await PostgresLeadership(pool).hold_duty("zoë", timedelta(seconds=6))

    assert not (await read_database(url)).migrations_missing
    assert times_run(url) == 0


async def test_the_doorbell_rings_in_a_database_with_odd_defaults(url: str) -> None:
    queue = PostgresJobQueue(url)
    await queue.open()
    await queue.listen()
    try:
        queue.ring()

        assert await queue.wait(10)
    finally:
        await queue.aclose()


@pytest.mark.parametrize(
    "statement",
    [
        "create table sebastian.more (number integer)",
        "drop table sebastian.chat",
        "truncate sebastian.chat",
        "delete from sebastian.migration",
    ],
)
async def test_the_role_that_serves_may_not(url: str, statement: str) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        execute(url, statement)


@pytest.fixture(scope="module", params=["LATIN1", "WIN1251", "SQL_ASCII", "KOI8R"])
def poor_database(
    request: pytest.FixtureRequest, postgres_server: PostgresServer
) -> Iterator[tuple[str, str]]:
    """The encoding and the URL of a database that cannot keep every text."""
    with fresh_database(postgres_server, request.param) as url:
        asyncio.run(migrate(url))
        yield request.param, url


KEPT = {
    "LATIN1": "José ?? ?",
    "WIN1251": "Jos? ?? ?",
    "SQL_ASCII": "José 客服 😀",
    "KOI8R": "Jos? ?? ?",
}


async def test_a_customer_is_admitted_whatever_their_text_is_in(
    poor_database: tuple[str, str],
) -> None:
    encoding, url = poor_database
    text = "José 客服 😀"
    async with opened(worker_pool(emptied(url))) as pool:
        repo, leadership = PostgresRoomRepo(pool), PostgresLeadership(pool)
        agent_settings = PostgresAgentSettings(pool)
        await arrive(repo, source=text, properties={"vip": text})
        await agent_settings.set_agent(ANNE, lambda _: AgentSetting(paused=True), actor=text)
        await leadership.report(text, {"note": text})

        chat = await chat_of(repo)
        (change,) = await agent_settings.setting_changes(5)
        (report,) = await leadership.reports()

    kept = KEPT[encoding]
    assert (chat.source, chat.properties) == (kept, {"vip": kept})
    assert change.actor == kept
    assert (report.name, report.state) == (kept, {"note": kept})


async def test_the_doctor_reads_the_encoding(poor_database: tuple[str, str]) -> None:
    encoding, url = poor_database

    assert (await read_database(url)).encoding == encoding
