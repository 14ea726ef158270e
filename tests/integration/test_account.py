"""A schema belongs to one account of Qiscus."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from redis import Redis

from sebastian_adapters.postgres.account import claim_account, rename_account
from sebastian_adapters.postgres.leadership import PostgresLeadership
from sebastian_adapters.postgres.migrate import migrate
from sebastian_adapters.postgres.pool import Pool, worker_pool
from sebastian_adapters.postgres.room_repo import PostgresRoomRepo
from sebastian_adapters.testing.builders import some_rules
from sebastian_adapters.testing.contracts.room_repo import arrive, chat_of
from sebastian_adapters.testing.waiting import until
from sebastian_core.domain.chat import ChatState
from sebastian_core.domain.errors import ForeignAccount
from sebastian_core.domain.ids import RoomId
from sebastian_core.domain.in_doubt import Evidence, RoomState, settle
from tests.integration.cli_world import World, a_world
from tests.integration.postgres import execute, rows
from tests.servers import RedisSpace

PATIENCE_SECONDS = 60
OURS, THEIRS = "ours-1", "theirs-2"
OWNER = "select app_id, set_by from sebastian.account"


@asynccontextmanager
async def pool_of(url: str, app_id: str | None) -> AsyncIterator[Pool]:
    """Connections of a process of this account."""
    pool = worker_pool(url, app_id)
    await pool.open()
    try:
        yield pool
    finally:
        await pool.close()


@pytest.fixture
async def world(tmp_path: Path, postgres_url: str, redis_url: str) -> AsyncIterator[World]:
    """A deployment that is fine."""
    async with a_world(tmp_path, postgres_url, redis_url) as world:
        yield world


async def ended(world: World, service: str, *arguments: str) -> tuple[int | None, str]:
    """How a service ends that ends by itself, and all that it said."""
    command = (sys.executable, "-m", f"sebastian_apps.entry.{service}", "-c", str(world.config))
    process = await asyncio.create_subprocess_exec(*command, *arguments, stdout=PIPE, stderr=STDOUT)
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            said, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    return process.returncode, said.decode()


async def test_the_first_that_starts_writes_its_account_down(url: str) -> None:
    async with pool_of(url, OURS) as pool:
        await claim_account(pool)
        await claim_account(pool)

    assert rows(url, OWNER) == [(OURS, "")]


async def test_of_two_first_starts_at_once_one_wins_and_the_others_are_refused(url: str) -> None:
    async with pool_of(url, OURS) as ours, pool_of(url, THEIRS) as theirs:
        ends = await asyncio.gather(
            *(claim_account(pool) for pool in [ours, theirs] * 5), return_exceptions=True
        )

    ((owner, _),) = rows(url, OWNER)
    refused = [end for end in ends if isinstance(end, ForeignAccount)]
    assert owner in (OURS, THEIRS)
    assert len(refused) == 5
    assert ends.count(None) == 5


async def test_nothing_is_decided_about_the_rooms_of_another_account(url: str) -> None:
    async with pool_of(url, OURS) as ours, pool_of(url, THEIRS) as theirs:
        await claim_account(ours)

        with pytest.raises(ForeignAccount, match="sebastian account rename"):
            await arrive(PostgresRoomRepo(theirs))

        assert rows(url, "select count(*) from sebastian.room") == [(0,)]


async def test_nothing_is_written_into_the_tables_of_another_account(url: str) -> None:
    async with pool_of(url, OURS) as ours, pool_of(url, THEIRS) as theirs:
        await claim_account(ours)
        leadership = PostgresLeadership(theirs)

        with pytest.raises(ForeignAccount):
            await leadership.hold_duty("a worker of theirs", timedelta(seconds=6))
        with pytest.raises(ForeignAccount):
            await leadership.report("a worker of theirs", {})

        assert await PostgresLeadership(ours).hold_duty("a worker of ours", timedelta(seconds=6))
        assert rows(url, "select count(*) from sebastian.worker_state") == [(0,)]


async def test_a_404_closes_nothing_once_the_account_was_renamed(url: str) -> None:
    async with pool_of(url, OURS) as ours:
        await claim_account(ours)
        repo = PostgresRoomRepo(ours)
        await arrive(repo)
        chat = await chat_of(repo)
        gone = Evidence(state=RoomState.GONE, began_at=chat.changed_at + some_rules().settle)
        assert await rename_account(url, OURS, THEIRS, "sari")

        with pytest.raises(ForeignAccount):
            await repo.decide(
                RoomId("room-1"), partial(settle, chat.id, chat.version, gone, some_rules())
            )

    assert rows(url, "select state from sebastian.chat") == [(str(ChatState.WAITING),)]
    assert rows(url, OWNER) == [(THEIRS, "sari")]


async def test_who_has_no_app_id_is_let_in(url: str) -> None:
    async with pool_of(url, OURS) as ours, pool_of(url, None) as nobodys:
        await claim_account(ours)
        await claim_account(nobodys)

        await arrive(PostgresRoomRepo(nobodys))

    assert rows(url, OWNER) == [(OURS, "")]


async def test_a_worker_of_another_account_refuses_the_database(world: World) -> None:
    async with world.worker():
        pass
    world.configure("qiscus", app_id="another-account")

    status, said = await ended(world, "worker")

    assert status == 2, said
    assert "belongs to the account" in said
    assert "sebastian account rename" in said
    assert "worker started" not in said


async def test_a_webhook_service_of_another_account_refuses_the_database(world: World) -> None:
    async with world.worker():
        pass
    world.configure("qiscus", app_id="another-account")

    status, said = await ended(world, "webhook", "--port", "0")

    assert status == 2, said
    assert "belongs to the account" in said
    assert "listening" not in said


async def test_a_worker_whose_account_is_renamed_ends_with_a_sentence(
    world: World, postgres_url: str
) -> None:
    running = asyncio.create_task(ended(world, "worker"))
    until_owned = partial(rows, postgres_url, OWNER)
    await until(until_owned)
    old = world.fake.config.account.app_code
    assert await rename_account(postgres_url, old, "another-account", "sari")

    status, said = await running

    assert status == 2, said
    assert "belongs to the account another-account" in said


async def test_an_existing_installation_goes_on_and_takes_the_first_account_that_comes(
    world: World, postgres_url: str
) -> None:
    execute(postgres_url, "drop table sebastian.account")
    execute(postgres_url, "delete from sebastian.migration where number = 7")

    assert await migrate(postgres_url) == ["0007 account"]

    async with world.worker() as allocator:
        await allocator.agent_settings.agent_loads()
    owner = world.fake.config.account.app_code
    assert rows(postgres_url, OWNER) == [(owner, "")]


async def test_a_rename_shows_both_names_and_asks(world: World, postgres_url: str) -> None:
    async with world.worker():
        pass
    old = world.fake.config.account.app_code
    world.configure("qiscus", app_id="renamed-account")

    refused = await world.run("account", "rename", stdin="n\n")
    kept = rows(postgres_url, "select app_id from sebastian.account")
    done = await world.run("account", "rename", stdin="y\n")

    assert refused.exit_code == 1
    assert old in refused.output
    assert "renamed-account" in refused.output
    assert kept == [(old,)]
    assert done.exit_code == 0, done.output
    assert rows(postgres_url, "select app_id from sebastian.account") == [("renamed-account",)]
    async with world.worker() as allocator:
        await allocator.agent_settings.agent_loads()


async def test_a_rename_that_is_not_to_ask_does_not(world: World) -> None:
    async with world.worker():
        pass
    world.configure("qiscus", app_id="renamed-account")

    assert (await world.run("account", "rename", "--yes")).exit_code == 0
    again = await world.output("account", "rename", "--yes")

    assert "belong to renamed-account" in again


async def test_commands_of_another_account_change_nothing(world: World) -> None:
    async with world.worker():
        pass
    world.configure("qiscus", app_id="another-account")

    result = await world.run("queue", "drop", "room-1")

    assert result.exit_code != 0
    assert "belongs to the account" in result.output


async def test_the_name_of_another_account_moves_no_cursor(world: World, postgres_url: str) -> None:
    await world.run("migrate")
    evil = "\x1b[31mtheirs\x9b2J\u202e"
    execute(postgres_url, f"insert into sebastian.account (app_id) values ('{evil}')")

    for words in (["queue"], ["agents", "log"], ["doctor"], ["account", "rename"]):
        said = (await world.run(*words)).output
        assert "theirs" in said
        assert all(line.isprintable() for line in said.split("\n"))
    code, said = await ended(world, "worker")
    assert (code, "theirs" in said) == (2, True)
    assert all(line.isprintable() for line in said.split("\n"))


async def test_the_doctor_tells_of_another_account(world: World) -> None:
    async with world.worker():
        pass
    world.configure("qiscus", app_id="another-account")

    found = {each["name"]: each for each in (await world.json("doctor"))["findings"]}

    assert found["database-other-account"]["verdict"] == "problem"
    assert "sebastian account rename" in found["database-other-account"]["remedy"]


async def test_two_accounts_that_share_a_redis_share_no_key(
    world: World, redis_space: RedisSpace
) -> None:
    async with world.worker() as allocator:
        await allocator.refresh()
        allocator.job_queue.ring()
        assert await allocator.job_queue.wait(10)
        with Redis.from_url(redis_space.url) as redis:
            keys = {key.decode() for key in redis.keys("*")}

    ours = f"sebastian:{world.fake.config.account.app_code}:"
    assert f"{ours}roster:1" in keys
    assert {key for key in keys if not key.startswith(ours)} == set()
