"""Canaries in every secret setting and in every payload: nothing that comes out holds one."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from base64 import b64encode
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from signal import SIGTERM
from typing import Any
from urllib.parse import quote

import httpx
import psycopg
import pytest
import redis
from attrs import define
from click.testing import CliRunner

from sebastian_adapters.memory.platform import FakeAccount
from sebastian_adapters.postgres.migrate import migrate
from sebastian_adapters.testing.waiting import until
from sebastian_apps.cli.main import main
from sebastian_apps.dev.owned_process import OwnedProcess
from sebastian_apps.dev.servers import EmbeddedPostgres, EmbeddedValkey, free_port
from sebastian_apps.fake_qiscus import FakeConfig, FakeQiscus, InjectedFault, serve
from sebastian_apps.fake_qiscus.http_server import Response
from tests import canaries
from tests.canaries import Search
from tests.secured import with_password
from tests.webhook_service import ARRIVAL, RESOLVE
from tests.worker_process import worker_process

ROOT = Path(__file__).parents[2]
COMMANDS = (
    ["doctor"],
    ["doctor", "--json"],
    ["config", "check"],
    ["config", "schema"],
    ["queue"],
    ["queue", "--json"],
    ["agents"],
    ["agents", "--json"],
    ["why", "100"],
    ["why", "100", "--json"],
    ["set-webhook"],
    ["migrate"],
)
PAGES = (
    "/healthz",
    "/readyz",
    "/metrics",
    "/schema/openapi.json",
    "/agents",
    "/floor",
    "/floor/state",
    f"/floor/{canaries.ADMIN_TOKEN}",
    f"{ARRIVAL}/{canaries.WEBHOOK_TOKEN}",
    f"/nowhere/{canaries.WEBHOOK_TOKEN}?token={canaries.ADMIN_TOKEN}",
)


def a_body(room_id: object) -> dict[str, Any]:
    """An allocation webhook with all that is nobody's business."""
    return {
        "app_id": ACCOUNT.app_code,
        "room_id": room_id,
        "name": canaries.CUSTOMER,
        "email": canaries.MAIL,
        "avatar_url": f"https://cdn.example/{canaries.CUSTOMER}",
        "source": "wa",
        "message": canaries.MESSAGE,
        "extras": json.dumps(
            {"user_properties": [{"key": canaries.PROPERTY, "value": canaries.PROPERTY}]}
        ),
        "candidate_agent": {
            "id": 7,
            "email": canaries.MAIL,
            "sdk_key": canaries.AGENT_TOKEN,
            "authentication_token": canaries.AGENT_TOKEN,
        },
        "latest_service": None,
    }


ACCOUNT = FakeAccount(
    secret_key=canaries.SECRET_KEY, admin_email=canaries.MAIL, admin_password=canaries.PASSWORD
)
USELESS = (
    json.dumps(a_body({"id": canaries.MESSAGE})).encode(),
    json.dumps(a_body(canaries.MESSAGE * 4)).encode(),
    json.dumps({"service": canaries.MESSAGE}).encode(),
    json.dumps(a_body("1") | {"app_id": canaries.SECRET_KEY}).encode(),
    f'{{"room_id": {canaries.MESSAGE}}}'.encode(),
    canaries.MESSAGE.encode() + b"\xff",
)


@define
class House:
    """A deployment all of whose secrets are canaries."""

    fake: FakeQiscus
    config: Path
    url: str
    metrics_port: int
    search: Search

    async def told(self, where: str, **request: Any) -> httpx.Response:
        """Send one request and search its answer."""
        method = request.pop("method", "GET")
        async with httpx.AsyncClient(base_url=self.url, timeout=10) as client:
            answer = await client.request(method, where, **request)
        self.search.look("answer", answer.request.method, repr(answer.headers) + answer.text)
        return answer

    async def command(self, *arguments: str, config: Path | None = None) -> int:
        """Run a command and search all that it prints."""
        args = [*arguments, "-c", str(config or self.config)]
        result = await asyncio.to_thread(CliRunner().invoke, main, args)
        self.search.look("command", " ".join(arguments), result.output + repr(result.exception))
        return result.exit_code


@pytest.fixture
def protected_valkey(own_valkey: EmbeddedValkey) -> EmbeddedValkey:
    """A Valkey that wants a password, which is a canary."""
    with redis.Redis.from_url(own_valkey.url) as client:
        client.config_set("requirepass", canaries.REDIS_PASSWORD)
    return own_valkey


@pytest.fixture
async def house(
    tmp_path: Path,
    own_postgres: EmbeddedPostgres,
    protected_valkey: EmbeddedValkey,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[House]:
    database_url = with_password(own_postgres)
    await migrate(database_url)
    async with AsyncExitStack() as stack:
        fake = await stack.enter_async_context(serve(FakeConfig(account=ACCOUNT)))
        monkeypatch.setattr(FakeQiscus, "_failure", echoing)
        fake.platform.add_agent("Anne", agent_id=7, email=canaries.MAIL)
        metrics_port, port = free_port(), free_port()
        config = tmp_path / "config.yml"
        password = quote(canaries.REDIS_PASSWORD, safe="")
        redis_url = protected_valkey.url.replace("://", f"://:{password}@", 1)
        config.write_text(json.dumps(settings(fake, database_url, redis_url, port, metrics_port)))
        search = Search()
        house = House(fake, config, f"http://127.0.0.1:{port}", metrics_port, search)
        command = [sys.executable, "-m", "sebastian_apps.entry.webhook", "-c", str(config)]
        log = tmp_path / "webhook.log"
        webhook = OwnedProcess.spawn(command, log=log, stop_signal=SIGTERM)
        stack.callback(webhook.stop)
        await until(lambda: "listening" in log.read_text(), 30)
        yield house


def settings(
    fake: FakeQiscus, database_url: str, redis_url: str, port: int, metrics_port: int
) -> Mapping[str, Mapping[str, object]]:
    return {
        "listen": {"port": port},
        "db": {"connection_string": database_url},
        "redis": {"url": redis_url},
        "admin": {
            "token": canaries.ADMIN_TOKEN,
            "tokens": {"sari": canaries.NAMED_ADMIN_TOKEN},
        },
        "webhook": {"token": canaries.WEBHOOK_TOKEN, "base_url": f"http://127.0.0.1:{port}"},
        "qiscus": {
            "base_url": fake.url,
            "app_id": ACCOUNT.app_code,
            "secret_key": canaries.SECRET_KEY,
            "email": canaries.MAIL,
            "password": canaries.PASSWORD,
            "settle": "100ms",
        },
        "presence": {"interval": "200ms"},
        "reconcile": {"interval": "300ms"},
        "log": {"level": "debug", "format": "json"},
        "metrics": {"port": metrics_port},
    }


def echoing(_: FakeQiscus, fault: InjectedFault) -> Response:
    """A platform that fails and, as servers do, says everything that it was told."""
    told = f"{canaries.SECRET_KEY} {canaries.AGENT_TOKEN} {canaries.PASSWORD} {canaries.MAIL}"
    escaped = quote(canaries.SECRET_KEY, safe="")
    body = {"errors": {"message": f"bad request: {told}", "url": f"/x?key={escaped}"}}
    return Response(fault.status, json.dumps(body).encode())


async def strangers_knock(house: House) -> None:
    """Everything that HTTP lets in, with the right tokens, with wrong ones and with rubbish."""
    hook = f"{ARRIVAL}/{canaries.WEBHOOK_TOKEN}"
    bearer = {"authorization": f"Bearer {canaries.ADMIN_TOKEN}"}
    for number in range(100, 104):
        await house.told(hook, method="POST", json=a_body(str(number)))
    for body in USELESS:
        assert (await house.told(hook, method="POST", content=body)).status_code < 500
    await house.told(f"{hook}-wrong", method="POST", json=a_body("1"))
    resolve = {"service": {"room_id": "103", "notes": canaries.MESSAGE}, "customer": a_body("103")}
    await house.told(f"{RESOLVE}/{canaries.WEBHOOK_TOKEN}", method="POST", json=resolve)
    for page in PAGES:
        for headers in ({}, bearer, {"authorization": f"Basic {canaries.SECRET_KEY}"}):
            await house.told(page, headers=headers)
    await house.told("/set-webhook", method="POST", headers=bearer)
    await house.told("/floor/login", method="POST", data={"token": canaries.PASSWORD})
    await house.told("/floor/login", method="POST", data={"token": canaries.NAMED_ADMIN_TOKEN})
    as_sari = {"authorization": f"Bearer {canaries.NAMED_ADMIN_TOKEN}"}
    await house.told("/floor/actions/resume", method="POST", headers=as_sari, json={"agent": 7})
    await watch(house, bearer)


async def watch(house: House, bearer: Mapping[str, str]) -> None:
    """The first views of the floor page's stream."""
    seen = b""
    async with (
        httpx.AsyncClient(base_url=house.url, timeout=10) as client,
        client.stream("GET", "/floor/events", headers=bearer) as answer,
    ):
        async for chunk in answer.aiter_bytes():
            seen += chunk
            if b"data: {" in seen and seen.endswith(b"\n\n"):
                break
    house.search.look("stream", "/floor/events", seen)


async def the_platform_misbehaves(house: House) -> None:
    """Customers whom the platform knows, while it refuses, fails and echoes what it was sent."""
    fake = house.fake
    for operation, status in (("assign_agent", 400), ("*", 500), ("*", 401)):
        number = fake.add_fault(InjectedFault(kind="status", operation=operation, status=status))
        fake.platform.customer_message(fake.platform.new_room_id())
        hits = fake.faults.hits
        hits.clear()
        await until(lambda hits=hits: hits.total() > 1, 20)  # type: ignore[misc]
        await house.command("set-webhook")
        fake.faults.remove(number)
    await house.command("doctor", "--json")


DATABASE, CACHE = canaries.DATABASE_PASSWORD, canaries.REDIS_PASSWORD
NOWHERE = "127.0.0.1:1"
WRONG = (
    ("qiscus", "secret_key", [canaries.SECRET_KEY]),
    ("qiscus", "secret_key", f"{canaries.SECRET_KEY} {canaries.SECRET_KEY}"),
    ("webhook", "token", {"token": canaries.WEBHOOK_TOKEN}),
    ("db", "connection_string", f"mysql://me:{DATABASE}@{NOWHERE}/x"),
    ("db", "connection_string", f"postgresql://me:{DATABASE}@{NOWHERE}/x"),
    ("db", "connection_string", f"postgresql://me:{CACHE}@{NOWHERE}/x"),
    ("db", "connection_string", f"postgresql://{NOWHERE}/x?password={DATABASE}"),
    ("db", "connection_string", f"host=127.0.0.1 port=1 password={DATABASE} {CACHE}"),
    ("db", "connection_string", f"host=127.0.0.1 port=1 password='{DATABASE}"),
    ("redis", "url", f"redis://:{CACHE}@{NOWHERE}/0"),
    ("redis", "url", f"redis://:{DATABASE}@{NOWHERE}/0"),
    ("redis", "url", f"rediss://{NOWHERE}/0?password={CACHE}"),
    ("redis", "url", f"redis://:{DATABASE}"),
    ("queue", "broker_url", f"unix://:{CACHE}@/run/redis.sock"),
    ("queue", "broker_url", f"amqp://me:{DATABASE}@{NOWHERE}"),
)
"""Secrets at the wrong place, slightly wrong, or as they are where they must be encoded."""

UNREACHABLE = (
    ("db", "connection_string", f"postgresql://me:{quote(DATABASE, safe='')}@{NOWHERE}/x"),
    ("db", "connection_string", f"host=127.0.0.1 port=1 password={DATABASE}"),
    ("redis", "url", f"redis://:{quote(CACHE, safe='')}@{NOWHERE}/0"),
    ("redis", "url", f"redis://{NOWHERE}/0?password={quote(CACHE, safe='')}"),
)


async def the_configuration_is_wrong(house: House) -> None:
    """No message repeats a secret, nor a piece of one."""
    good = json.loads(house.config.read_text())
    for section, key, value in (*WRONG, *UNREACHABLE):
        wrong = house.config.with_name("wrong.yml")
        named = good.get(section, {}) | {key: value}
        wrong.write_text(json.dumps(good | {section: named}))
        status = 2 if (section, key, value) in WRONG else 0
        assert await house.command("config", "check", config=wrong) == status
        assert await house.command("config", "check", "--offline", config=wrong) == status
        for command in ("doctor", "queue", "migrate"):
            await house.command(command, config=wrong)


async def test_no_canary_comes_out_of_a_deployment_whatever_is_done_to_it(
    house: House, own_postgres: EmbeddedPostgres, tmp_path: Path
) -> None:
    async with worker_process(house.config):
        await strangers_knock(house)
        await the_platform_misbehaves(house)
        async with httpx.AsyncClient() as client:
            metrics = await client.get(f"http://127.0.0.1:{house.metrics_port}/metrics")
        house.search.look("metrics", "worker", metrics.text)
        for arguments in COMMANDS:
            await house.command(*arguments)
        assert await house.command("queue") == 0, "its passwords open the servers"
        await the_configuration_is_wrong(house)
        house.search.look_at_database(own_postgres.url)
        house.search.look_at_redis(json.loads(house.config.read_text())["redis"]["url"])
        own_postgres.kill()
        answer = await house.told(
            f"{ARRIVAL}/{canaries.WEBHOOK_TOKEN}", method="POST", json=a_body("999")
        )
        assert answer.status_code == 503
    house.search.look_at_logs(tmp_path)
    house.search.look_at_logs(own_postgres.directory)

    canaries.SUITE.add(house.search)
    assert not house.search.hits, "\n".join(house.search.told())
    assert {"answer", "command", "key in Redis", "log file", "metrics", "row", "stream"} <= (
        house.search.places.keys()
    )
    assert "refus" in (tmp_path / "worker.log").read_text(), "the platform's refusals were told"


@pytest.mark.parametrize(
    "leak",
    [
        f"told {canaries.SECRET_KEY}",
        f"%22{canaries.MESSAGE.split()[0]}%22",
        b64encode(f"x:{canaries.PASSWORD}".encode()).decode(),
        b64encode(f"xy:{canaries.PASSWORD}".encode()).decode(),
        b64encode(f"xyz:{canaries.PASSWORD}".encode()).decode(),
        "the agent's key is FAKE_KEY",
        "write to cust12@example.com",
    ],
)
def test_a_leak_in_a_text_is_found(leak: str) -> None:
    search = Search()

    search.look("answer", "/", f"all is well, {leak}, they say")

    assert len(search.hits) == 1


def test_leaks_in_rows_keys_and_log_files_are_found(
    postgres_url: str, own_valkey: EmbeddedValkey, tmp_path: Path
) -> None:
    search = Search()
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("create table kept (what jsonb)")
        connection.execute(
            "insert into kept values (%s::jsonb)", [json.dumps({"a": canaries.MAIL})]
        )
    with redis.Redis.from_url(own_valkey.url) as client:
        client.hset("chat", mapping={"message": canaries.MESSAGE})
        client.rpush("line", canaries.CUSTOMER)
    (tmp_path / "worker.log").write_text(f'{{"event": "{canaries.AGENT_TOKEN}"}}')

    search.look_at_database(postgres_url)
    search.look_at_redis(own_valkey.url)
    search.look_at_logs(tmp_path)

    assert sorted(hit.split(":")[0].split(" ")[0] for hit in search.hits) == [
        "key",
        "key",
        "log",
        "row",
    ]
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("drop table kept")
    (tmp_path / "worker.log").unlink()


def test_a_leak_in_another_process_of_the_run_fails_it_although_every_test_passes(
    tmp_path: Path,
) -> None:
    (tmp_path / "test_leaking.py").write_text(f"def test_it(): print({canaries.MESSAGE!r})")
    command = [sys.executable, "-m", "pytest", "-c", "pyproject.toml", f"--rootdir={tmp_path}"]
    command += ["-p", "tests.conftest", "-n1", str(tmp_path)]

    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert ran.returncode == pytest.ExitCode.TESTS_FAILED, ran.stderr
    assert "1 passed" in ran.stdout
    assert "output of a test test_leaking.py::test_it (Captured stdout call)" in ran.stdout


def test_what_is_not_planted_is_no_leak() -> None:
    search = Search()

    search.look("answer", "/", "FAKE: told to fail; canaries sing; ada@example.org")

    assert not search.hits
