"""The rights that docs/deploying.md names are enough, all are needed, and doctor names them."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import redis
from attrs import frozen

from sebastian_adapters.redis.agent_store import RedisAgentStore
from sebastian_adapters.redis.dramatiq.job_queue import DramatiqJobQueue
from sebastian_adapters.testing.contracts.agent_store import AgentStoreContract, AnotherStore
from sebastian_adapters.testing.contracts.job_queue import ConnectedJobQueueContract
from sebastian_adapters.testing.waiting import until
from sebastian_apps.dev.servers import EmbeddedValkey
from sebastian_apps.settings import Settings, load_settings
from sebastian_apps.status.checks import CheckResult
from sebastian_apps.status.probes.stores import probe_redis

DEPLOYING = (Path(__file__).parents[2] / "docs" / "deploying.md").read_text()
RIGHTS = re.search(r"ACL SETUSER allocator on >PASSWORD ([^`]*)```", DEPLOYING)
STORE_RIGHTS = re.search(r"the first line\nand `([^`]*)` are enough", DEPLOYING)
assert RIGHTS
assert STORE_RIGHTS
RULES = RIGHTS[1].split()
COMMANDS = [rule[1:] for rule in RULES if rule.startswith("+")]
OF_THE_STORE = STORE_RIGHTS[1].replace("+", "").split()
NOT_NEEDED = {"client|setinfo"}
"""The driver tells its name where it may; else each connection is a refusal in the log."""


@frozen
class Guarded:
    """A Valkey with a user of few rights."""

    server: EmbeddedValkey

    @property
    def url(self) -> str:
        """As this user, in another database than the first one."""
        return self.server.database_url(1).replace("://", "://sebastian:aZ%2F9%40@", 1)

    def let(self, *rules: str) -> None:
        """Give the user these rights and no other."""
        with redis.Redis.from_url(self.server.url) as client:
            client.execute_command("ACL", "SETUSER", "sebastian", "reset", "on", ">aZ/9@", *rules)
            client.execute_command("ACL", "LOG", "RESET")

    @property
    def refusals(self) -> list[str]:
        """What the server refused to the user since the rights were given."""
        with redis.Redis.from_url(self.server.url) as client:
            return [str(entry["object"]) for entry in client.acl_log()]

    async def findings(self) -> dict[str, CheckResult]:
        """What doctor tells of it, by name."""
        return {each.name: each for each in await probe_redis(self.settings)}

    @property
    def settings(self) -> Settings:
        """Those of a deployment that uses it for the roster and for the doorbell."""
        return load_settings(None, {"QT_REDIS_URL": self.url})


@pytest.fixture
def guarded(own_valkey: EmbeddedValkey) -> Guarded:
    guarded = Guarded(own_valkey)
    guarded.let(*RULES)
    return guarded


class TestTheStoreWithTheseRights(AgentStoreContract):
    @pytest.fixture
    async def another(self, guarded: Guarded) -> AsyncIterator[AnotherStore]:
        async with AsyncExitStack() as stores:

            def open_another() -> RedisAgentStore:
                store = RedisAgentStore(guarded.url)
                stores.push_async_callback(store.aclose)
                return store

            yield open_another
        assert guarded.refusals == []

    @pytest.fixture
    def store(self, another: AnotherStore) -> RedisAgentStore:
        opened = another()
        assert isinstance(opened, RedisAgentStore)
        return opened


class TestTheDoorbellWithTheseRights(ConnectedJobQueueContract):
    @pytest.fixture
    async def bell(self, guarded: Guarded) -> AsyncIterator[DramatiqJobQueue]:
        async with DramatiqJobQueue(guarded.url) as queue:
            yield queue
        assert guarded.refusals == []

    @pytest.fixture
    async def ear(self, guarded: Guarded) -> AsyncIterator[DramatiqJobQueue]:
        async with DramatiqJobQueue(guarded.url) as queue:
            await queue.listen()
            yield queue

    @pytest.fixture
    def unopened(self, guarded: Guarded) -> DramatiqJobQueue:
        return DramatiqJobQueue(guarded.url)


async def test_doctor_asks_for_nothing_that_the_work_does_not_need(guarded: Guarded) -> None:
    findings = await guarded.findings()

    assert {name: each.level for name, each in findings.items()} == {"redis": "ok"}
    assert guarded.refusals == ["info"]


async def test_doctor_leaves_no_bell_and_no_more_keys_the_second_time(guarded: Guarded) -> None:
    await guarded.findings()
    with redis.Redis.from_url(guarded.server.database_url(1)) as client:
        left = client.keys()

        await guarded.findings()

        assert sorted(client.keys()) == sorted(left)
        assert client.zcard("sebastian:doctor:__heartbeats__") == 1
        assert not client.keys("*doorbell*")


@pytest.mark.parametrize("command", [each for each in COMMANDS if each not in NOT_NEEDED])
async def test_doctor_names_each_right_that_is_missing(guarded: Guarded, command: str) -> None:
    guarded.let(*(rule for rule in RULES if rule != f"+{command}"))

    findings = await guarded.findings()

    name = "redis-refuses" if command in OF_THE_STORE else "broker-refuses"
    assert findings[name].level == "problem"
    assert f"Redis refuses us: this user may not run the command {command.upper()}" in (
        findings[name].text
    )


async def test_doctor_names_keys_that_may_not_be_touched(guarded: Guarded) -> None:
    guarded.let(*(rule.replace("sebastian", "others") for rule in RULES))

    findings = await guarded.findings()

    assert "this user may not touch keys that we need" in findings["redis-refuses"].text


async def test_where_postgres_rings_the_store_s_rights_are_enough(guarded: Guarded) -> None:
    guarded.let(*RULES[:4], *(f"+{command}" for command in OF_THE_STORE))
    environ = {"QT_REDIS_URL": guarded.url, "QT_QUEUE_DOORBELL": "postgres"}

    (found,) = await probe_redis(load_settings(None, environ))

    assert (found.name, found.level) == ("redis", "ok")


async def test_doctor_tells_a_wrong_password_from_silence(guarded: Guarded) -> None:
    guarded.let(*RULES, "resetpass", ">another")

    findings = await guarded.findings()

    assert "does not accept this user or password" in findings["redis-refuses"].text
    assert "aZ" not in str(findings)


async def test_doctor_tells_of_a_redis_that_refuses_every_write(guarded: Guarded) -> None:
    with redis.Redis.from_url(guarded.server.url) as client:
        client.config_set("maxmemory", 1)

        findings = await guarded.findings()

        client.config_set("maxmemory", 0)
    assert "its memory is full" in findings["redis-refuses"].text


async def test_what_a_dead_worker_took_is_brought_back_with_these_rights(guarded: Guarded) -> None:
    """Dramatiq's maintenance looks for keys by a pattern, which `@dangerous` holds."""
    async with DramatiqJobQueue(guarded.url) as queue:
        broker = queue._broker
        broker.maintenance_chance, broker.heartbeat_timeout = 1_000_000, -60_000
        await queue.listen()
        queue.ring()

        assert await queue.wait(10)
        await until(lambda: not broker.client.keys("*.msgs"))
    assert guarded.refusals == []
