"""The doctor finds every planted misconfiguration by its name, on real servers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from attrs import evolve

from sebastian_adapters.memory.platform.agent_bodies import AgentBodies
from sebastian_adapters.memory.platform.app import App
from sebastian_adapters.postgres.migrate import migrate
from sebastian_adapters.testing.waiting import until
from sebastian_apps.dev.servers import EmbeddedPostgres, EmbeddedValkey
from sebastian_apps.fake_qiscus import InjectedFault
from sebastian_apps.settings import load_settings
from tests.integration.cli_world import World, a_world
from tests.integration.postgres import as_role, execute, read_only_for_new_sessions, roles
from tests.integration.transaction_pooler import transaction_pooler
from tests.raw_proxy import carrying, proxying
from tests.servers import PostgresServer
from tests.worker_process import worker_process

NOBODY_LISTENS = "127.0.0.1:1"
WORKER = "worker-1"
LONG_AGO = "2026-01-02T03:04:05+00:00"
Flags = dict[str, Any]


@pytest.fixture
def flags(monkeypatch: pytest.MonkeyPatch) -> Flags:
    """What the platform's app says of itself otherwise than the stand-in does."""
    told: Flags = {"is_agent_takeover_enabled": False}
    own_app = App._own_app
    monkeypatch.setattr(App, "_own_app", lambda app: {**own_app(app), **told})
    return told


@pytest.fixture
async def world(
    tmp_path: Path, postgres_url: str, redis_url: str, flags: Flags
) -> AsyncIterator[World]:
    """A deployment where all is fine: a worker has the duties, and somebody is online."""
    async with a_world(tmp_path, postgres_url, redis_url, serves=True) as world:
        account = world.fake.config.account
        world.configure("qiscus", email=account.admin_email, password=account.admin_password)
        world.fake.platform.add_agent("Anne", agent_id=7)
        async with world.worker(WORKER) as allocator:
            await allocator.leadership.hold_duty(WORKER, timedelta(minutes=1))
            await allocator.step()
        yield world


async def found(world: World) -> dict[str, str]:
    """What the doctor finds that is not fine: verdicts by name. Each comes with a remedy."""
    findings = (await world.json("doctor"))["findings"]
    bad = [each for each in findings if each["verdict"] != "ok"]
    assert all(each["remedy"] for each in bad)
    return {each["name"]: each["verdict"] for each in bad}


async def test_where_all_is_fine_nothing_is_found(world: World) -> None:
    result = await world.run("doctor")

    assert result.exit_code == 0, result.output
    assert await found(world) == {}
    assert "ok      database: PostgreSQL 18 answers and takes writes.\n" in result.output
    assert "ok      workers: 1 worker at work; agents read " in result.output
    assert "ok      agents: 1 of 1 agent online.\n" in result.output
    assert "ok      webhook: Our service answers at http://127.0.0.1:" in result.output
    assert "ok      allocation-webhook: Qiscus sends the allocation webhook to us.\n" in (
        result.output
    )


async def test_problems_end_with_2_and_no_secret_is_shown(world: World) -> None:
    world.configure("db", connection_string=f"postgresql://me:hunter2@{NOBODY_LISTENS}/x")

    result = await world.run("doctor")

    assert result.exit_code == 2
    assert "problem database-unreachable: " in result.output
    for secret in ("hunter2", world.fake.config.account.secret_key, "webhook-token-4711"):
        assert secret not in result.output


async def test_a_configuration_that_cannot_be_used(world: World) -> None:
    world.configure("presence", intervall="10s")

    assert (await found(world))["config-invalid"] == "problem"


async def test_a_database_that_cannot_be_reached(world: World) -> None:
    world.configure("db", connection_string=f"postgresql://{NOBODY_LISTENS}/x")

    assert (await found(world))["database-unreachable"] == "problem"


async def test_the_doctor_needs_no_more_rights_in_the_database_than_the_services(
    world: World, postgres_url: str, postgres_server: PostgresServer
) -> None:
    with roles(postgres_server, 1) as (serving,):
        await migrate(postgres_url, grant_to=serving)
        world.configure("db", connection_string=as_role(postgres_url, serving))

        assert await found(world) == {}

        execute(postgres_url, f"drop owned by {serving}")


async def test_a_database_that_may_not_be_written(world: World, postgres_url: str) -> None:
    with read_only_for_new_sessions(postgres_url):
        assert (await found(world))["database-refuses"] == "problem"


async def test_a_standby(world: World, own_postgres: EmbeddedPostgres) -> None:
    own_postgres.stop()
    (own_postgres.directory / "postgres" / "standby.signal").touch()
    own_postgres.start()
    world.configure("db", connection_string=own_postgres.url)

    assert (await found(world))["database-standby"] == "problem"


@pytest.mark.parametrize(
    ("doorbell", "verdict"), [("dramatiq", "warning"), ("postgres", "problem")]
)
async def test_a_pooler_of_transactions(
    world: World, postgres_url: str, doorbell: str, verdict: str
) -> None:
    async with transaction_pooler(postgres_url) as url:
        world.configure("db", connection_string=url)
        world.configure("queue", doorbell=doorbell)

        assert (await found(world))["database-pooler"] == verdict


async def test_tables_that_are_missing(world: World, postgres_url: str) -> None:
    with psycopg.connect(postgres_url) as connection:
        connection.execute("drop schema sebastian cascade")

    assert (await found(world))["schema-missing"] == "problem"


async def test_tables_of_a_newer_version(world: World, postgres_url: str) -> None:
    with psycopg.connect(postgres_url) as connection:
        connection.execute("insert into sebastian.migration values (9999, 'later', 9999)")

    assert (await found(world))["schema-newer"] == "problem"


async def test_no_worker(world: World, postgres_url: str) -> None:
    with psycopg.connect(postgres_url) as connection:
        connection.execute("update sebastian.worker_state set at = now() - interval '5 minutes'")

    assert await found(world) == {"no-worker": "problem"}
    said = (await world.run("doctor")).output
    assert "The last one, worker-1, was heard 5 min" in said


SINCE_LONG = {"leader_since": LONG_AGO, "started_at": LONG_AGO}
TOLD: tuple[tuple[dict[str, Any], str, str], ...] = (
    ({"standing": "credentials refused"}, "worker-credentials-refused", "problem"),
    ({"standing": "down", "down_since": LONG_AGO}, "worker-platform-down", "problem"),
    ({"trouble": {"settle": {"at": LONG_AGO, "why": "500"}}}, "duty-failing", "warning"),
    ({"done": {}, **SINCE_LONG, "refresh": {"at": LONG_AGO}}, "refresh-late", "warning"),
    ({"done": {}, **SINCE_LONG, "reconcile": None}, "reconcile-late", "warning"),
    ({"done": {"sweep": {"at": LONG_AGO, "every": 60}}, **SINCE_LONG}, "sweep-late", "warning"),
    ({"honours_user_ids": False}, "user-ids-ignored", "notice"),
    ({"version": "0.0.1"}, "versions-differ", "warning"),
)


async def test_whatever_a_worker_tells_of_itself_is_found_by_its_name(world: World) -> None:
    async with world.worker() as allocator:
        (fine,) = await allocator.leadership.reports()
        for words, name, verdict in TOLD:
            await allocator.leadership.report(WORKER, {**fine.state, **words})

            assert await found(world) == {name: verdict}


async def test_webhooks_that_get_lost(world: World) -> None:
    world.fake.platform.customer_message("990001")  # past the webhook
    async with world.worker(WORKER) as allocator:
        await allocator.step()

    assert (await found(world))["webhooks-lost"] == "warning"


async def test_a_roster_that_is_not_in_this_redis(world: World, own_valkey: EmbeddedValkey) -> None:
    world.configure("redis", url=own_valkey.url)

    assert (await found(world))["roster-missing"] == "warning"


async def test_a_roster_that_nobody_renews(world: World, own_valkey: EmbeddedValkey) -> None:
    world.configure("redis", url=own_valkey.url)
    async with world.worker() as allocator:
        await allocator.roster.replace([], allocator.clock.now() - timedelta(minutes=5))

    assert (await found(world))["roster-old"] == "warning"


async def test_redis_that_cannot_be_reached(world: World) -> None:
    world.configure("redis", url=f"redis://{NOBODY_LISTENS}")

    assert (await found(world))["redis-unreachable"] == "problem"


async def test_redis_that_throws_keys_away(world: World, own_valkey: EmbeddedValkey) -> None:
    own_valkey.stop()
    limits = {"maxmemory": "100mb", "maxmemory-policy": "allkeys-lru"}
    with EmbeddedValkey(directory=own_valkey.directory, settings=limits) as evicting:
        world.configure("redis", url=evicting.url)

        assert (await found(world))["redis-evicts"] == "warning"


async def test_no_webhook_token(world: World) -> None:
    world.configure("webhook", token=None)

    assert (await found(world))["webhook-token-missing"] == "warning"


@pytest.mark.parametrize("token", ["short", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"])
async def test_a_webhook_token_that_can_be_guessed(world: World, token: str) -> None:
    world.configure("webhook", token=token)

    assert (await found(world))["webhook-token-weak"] == "warning"


async def test_an_open_service_without_a_token(world: World) -> None:
    world.configure("webhook", token=None)
    world.configure("listen", host="0.0.0.0")

    assert (await found(world))["webhook-exposed"] == "problem"


async def test_a_weak_token_is_a_problem_where_strangers_can_try_it(world: World) -> None:
    world.configure("admin", token=None, tokens={"sari": "short"})
    world.configure("listen", host="0.0.0.0")

    assert (await found(world))["admin-token-weak"] == "problem"
    assert "admin.tokens.sari" in (await world.run("config", "check")).output


async def test_metrics_that_nobody_may_read(world: World) -> None:
    world.configure("admin", token=None)
    world.configure("metrics", host="0.0.0.0", port=9464)

    assert (await found(world))["metrics-token-missing"] == "warning"
    assert "metrics-token-missing" in (await world.run("config", "check", "--offline")).output


async def test_a_configuration_that_every_user_can_read(world: World) -> None:
    world.config.chmod(0o644)

    assert (await found(world))["config-readable"] == "warning"
    assert "chmod o= " in (await world.run("config", "check", "--offline")).output


async def test_an_admin_token_that_can_be_guessed(world: World) -> None:
    world.configure("admin", token="admin")

    assert (await found(world))["admin-token-weak"] == "warning"


async def test_a_webhook_address_where_nobody_answers(world: World) -> None:
    world.configure("webhook", base_url=f"http://{NOBODY_LISTENS}")

    assert (await found(world))["webhook-unreachable"] == "problem"
    assert (
        "does not answer: nothing listens there (connection refused)"
        in (await world.run("doctor")).output
    )


async def test_a_webhook_address_where_somebody_else_answers(world: World) -> None:
    world.configure("webhook", base_url=world.fake.url)

    assert (await found(world))["webhook-not-ours"] == "problem"


async def test_a_service_that_does_not_know_the_token(world: World) -> None:
    world.configure("webhook", token="a-changed-and-quite-long-token-0099")

    assert (await found(world))["webhook-other-token"] == "problem"


async def test_a_service_behind_a_proxy_that_does_not_take_the_path_away(world: World) -> None:
    base_url = load_settings(world.config, {}).webhook.base_url
    world.configure("webhook", base_url=f"{base_url}/sebastian")

    assert (await found(world))["webhook-other-path"] == "problem"


async def test_webhooks_that_are_registered_elsewhere(world: World) -> None:
    world.fake.send_webhooks_to("https://somebody.example.com", "else")

    names = await found(world)

    assert names["allocation-webhook-elsewhere"] == "problem"
    assert names["resolve-webhook-elsewhere"] == "problem"


async def test_a_webhook_that_is_switched_off(world: World, flags: Flags) -> None:
    flags["is_allocate_agent_webhook_enabled"] = False

    assert (await found(world))["allocation-webhook-off"] == "problem"


def unseen(told: dict[str, Any]) -> dict[str, str]:
    """The one finding about webhooks that nobody can see."""
    (finding,) = (each for each in told["findings"] if each["name"] == "webhooks-unseen")
    return dict(finding)


async def test_an_account_that_does_not_show_where_its_webhooks_go(world: World) -> None:
    world.configure("qiscus", email=None, password=None)
    for kind in ("allocation", "resolved"):
        world.fake.platform.app.set_webhook(kind, "https://gone.example.com", is_enabled=False)

    result = await world.run("doctor")

    assert result.exit_code == 1
    assert await found(world) == {"webhooks-unseen": "warning"}
    assert "nor whether it hands rooms out itself" in result.output
    assert "Set qiscus.email and qiscus.password" in result.output


async def test_a_profile_that_shows_the_app_needs_no_login(world: World) -> None:
    world.configure("qiscus", email=None, password=None)
    switches = world.fake.platform.switches
    world.fake.platform.switches = evolve(switches, profile_shows_app=True)

    assert await found(world) == {}


async def test_a_login_that_is_refused_is_told_without_its_password(world: World) -> None:
    world.configure("qiscus", password="not-the-right-one")

    finding = unseen(await world.json("doctor"))

    assert "Qiscus refused with 401" in finding["text"]
    assert finding["remedy"].startswith("Correct qiscus.email and qiscus.password")
    assert "not-the-right-one" not in str(finding)


async def test_a_login_that_does_not_show_the_webhooks_either(world: World, flags: Flags) -> None:
    for kind in ("allocate_agent", "mark_as_resolved"):
        flags[f"{kind}_webhook_url"] = flags[f"is_{kind}_webhook_enabled"] = None

    finding = unseen(await world.json("doctor"))

    assert "Set qiscus.email" not in finding["remedy"]
    assert "hands rooms out" not in finding["text"]


async def test_a_platform_that_does_not_answer(world: World) -> None:
    world.configure("qiscus", base_url=f"http://{NOBODY_LISTENS}")

    assert (await found(world))["platform-unreachable"] == "problem"


async def test_a_platform_that_cannot_be_reached_is_told_with_what_failed(world: World) -> None:
    world.configure("qiscus", base_url=f"http://{NOBODY_LISTENS}")

    output = (await world.run("doctor")).output

    assert (
        f"platform-unreachable: http://{NOBODY_LISTENS}: Qiscus is unavailable (connect): "
        "127.0.0.1, port 1: nothing listens there (connection refused)"
    ) in output


@pytest.mark.parametrize("variable", ["HTTP_PROXY", None])
async def test_a_platform_behind_a_proxy_is_asked_through_it_and_told_so(
    world: World, monkeypatch: pytest.MonkeyPatch, variable: str | None
) -> None:
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    port = urlsplit(world.fake.url).port
    async with proxying(carrying) as proxy:
        url = f"http://sebastian:hunter2@127.0.0.1:{proxy.port}"
        world.configure("qiscus", base_url=f"http://platform.test:{port}")
        if variable:
            monkeypatch.setenv(variable, url)
        else:
            world.configure("qiscus", proxy=url)
        result = await world.run("doctor")

    assert (
        f"Qiscus answers at http://platform.test:{port} through the proxy "
        f"http://***@127.0.0.1:{proxy.port} ({variable or 'qiscus.proxy'})."
    ) in result.output
    assert "hunter2" not in result.output
    assert all(head.split(" ")[1].startswith("http://platform.test:") for head in proxy.heard)


async def test_a_proxy_that_speaks_socks(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "socks5://sebastian:hunter2@proxy.test:1080")
    world.configure("qiscus", base_url="https://platform.test")

    result = await world.run("doctor")

    assert "problem proxy-unusable: HTTPS_PROXY: expected the http:// or https://" in result.output
    assert "hunter2" not in result.output


async def test_an_agent_who_cannot_be_read(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.fake.platform.add_agent("Ben", agent_id=8)
    told = AgentBodies.listed
    monkeypatch.setattr(
        AgentBodies,
        "listed",
        lambda bodies, agent: {
            **told(bodies, agent),
            **({"is_available": "perhaps"} if agent.id == 8 else {}),
        },
    )

    assert await found(world) == {"agents-unreadable": "warning"}


async def test_a_platform_that_is_silent(world: World) -> None:
    world.configure("qiscus", timeout="300ms")
    world.fake.add_fault(InjectedFault(kind="silence", operation="profile"))

    assert (await found(world))["platform-unreachable"] == "problem"


async def test_credentials_that_are_refused(world: World) -> None:
    world.configure("qiscus", secret_key="another")

    assert (await found(world))["credentials-refused"] == "problem"


async def test_credentials_of_another_account(world: World, flags: Flags) -> None:
    flags["app_code"] = "otherapp-a1b2c3d4e5f6g7h"

    assert (await found(world))["account-differs"] == "problem"


@pytest.mark.parametrize(
    ("flag", "name"),
    [
        ("is_agent_allocation_enabled", "platform-allocates"),
        ("use_latest", "platform-uses-latest"),
        ("is_agent_takeover_enabled", "agents-take-over"),
        ("is_bot_enabled", "bot-answers"),
    ],
)
async def test_flags_that_hand_rooms_out_without_us(
    world: World, flags: Flags, flag: str, name: str
) -> None:
    flags[flag] = True

    assert (await found(world))[name] == "warning"


async def test_a_platform_that_ignores_user_ids(world: World) -> None:
    platform = world.fake.platform
    platform.switches = evolve(platform.switches, user_ids_honoured=False)
    room_id = world.fake.customer_message()
    platform.assign_by_hand(room_id, 7)

    assert (await found(world))["user-ids-ignored"] == "notice"


async def test_nobody_is_online(world: World) -> None:
    world.fake.platform.set_online(7, online=False)

    assert (await found(world))["nobody-online"] == "warning"


async def test_a_listing_that_is_refused(world: World) -> None:
    world.fake.add_fault(InjectedFault(kind="status", status=403, operation="agents"))

    assert (await found(world))["platform-listing-fails"] == "problem"


async def test_a_chat_that_is_refused_again_and_again(world: World, postgres_url: str) -> None:
    world.fake.customer_message()
    async with world.worker() as allocator:
        await allocator.refresh()
        await allocator.reconcile()
    with psycopg.connect(postgres_url) as connection:
        connection.execute("update sebastian.chat set refusals = 5")

    assert (await found(world))["stuck-chats"] == "warning"


async def test_config_check_warns_of_what_it_names_and_not_of_who_runs(
    world: World, postgres_url: str
) -> None:
    world.fake.platform.set_online(7, online=False)
    world.configure("webhook", token=None)
    with psycopg.connect(postgres_url) as connection:
        connection.execute("delete from sebastian.worker_state")

    result = await world.run("config", "check")

    assert result.exit_code == 0
    assert "warning webhook-token-missing" in result.output
    assert "nobody-online" not in result.output
    assert "no-worker" not in result.output
    assert result.output.endswith("config.yml can be used\n")


async def test_a_broker_url_of_rabbitmq_is_refused_with_what_to_do_instead(world: World) -> None:
    world.configure("queue", broker_url="amqp://me:hunter2@rabbit:5672")

    checked = await world.run("config", "check")
    async with worker_process(world.config) as worker:
        await until(lambda: not worker.process.running)

    assert checked.exit_code == 2
    assert worker.process._child.returncode == 2
    for told in (checked.output, worker.said):
        assert "RabbitMQ is not supported any more" in told
        assert "redis.url carries the doorbell" in told
        assert "hunter2" not in told
