"""Seven situations, each brought about on real processes; a customer waits in all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import psycopg
import redis
from attrs import field, frozen

from sebastian_apps.fake_qiscus import InjectedFault
from tests.truth.stage import ANNE, Stage


@frozen(kw_only=True)
class Situation:
    """How it is brought about, and what all places must say of it.

    `check` is the check's name, for page and doctor; `hold` stands in the row, in `queue`, in `why`
    and in the dialog; `alerts` fire if it lasts, and `/readyz` answers with `readyz`. `settings`
    are of the deployment.
    """

    name: str
    bring: Callable[[Stage], Awaitable[None]]
    check: str
    hold: str
    alerts: tuple[str, ...]
    readyz: str = "200"
    settings: Mapping[str, Mapping[str, object]] = field(factory=dict)


async def outage(stage: Stage) -> None:
    """Qiscus answers everything with 503."""
    stage.world.fake.add_fault(InjectedFault(kind="status", status=503))
    await stage.arrives()


async def credentials(stage: Stage) -> None:
    """Qiscus answers everything with 401."""
    stage.world.fake.add_fault(InjectedFault(kind="status", status=401))
    await stage.arrives()


async def killed(stage: Stage) -> None:
    """The only worker is killed."""
    stage.worker.process.kill()
    await stage.arrives()


async def all_paused(stage: Stage) -> None:
    """The only agent is paused by a person."""
    await stage.world.output("agents", "pause", str(ANNE))
    await stage.arrives()


async def growing(stage: Stage) -> None:
    """More customers come than the only agent can take."""
    for _ in range(6):
        await stage.arrives()


async def redis_full(stage: Stage) -> None:
    """Redis refuses every write; and Anne has her chat, so that another one waits."""
    with redis.Redis.from_url(stage.valkey.url) as client:
        client.config_set("maxmemory", 1)
    for _ in range(2):
        await stage.arrives()


async def read_only(stage: Stage) -> None:
    """PostgreSQL takes no writes any more; a customer waits, because Anne is full."""
    for _ in range(2):
        await stage.arrives()
    await asyncio.to_thread(_take_no_writes, stage.postgres.url)


def _take_no_writes(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("alter system set default_transaction_read_only = on")
        connection.execute("select pg_reload_conf()")


SITUATIONS = (
    Situation(
        name="outage",
        bring=outage,
        check="worker-platform-down",
        hold="Qiscus does not answer",
        alerts=("SebastianPlatformDown",),
    ),
    Situation(
        name="refused credentials",
        bring=credentials,
        check="worker-credentials-refused",
        hold="Qiscus refuses our credentials",
        alerts=("SebastianCredentialsRefused",),
    ),
    Situation(
        name="killed worker",
        bring=killed,
        check="no-worker",
        hold="no worker runs",
        alerts=("SebastianNoWorker",),
    ),
    Situation(
        name="all paused",
        bring=all_paused,
        check="nobody-free",
        hold="of 1 agent 1 is paused",
        alerts=("SebastianNobodyFree",),
    ),
    Situation(
        name="growing line",
        bring=growing,
        check="line-growing",
        hold="of 1 agent 1 is full",
        alerts=("SebastianLineGrowing", "SebastianNobodyFree"),
        settings={"assign": {"alert_growth": 5}},
    ),
    Situation(
        name="Redis full",
        bring=redis_full,
        check="redis-refuses",
        hold="of 1 agent 1 is full",
        alerts=("SebastianNobodyFree", "SebastianRedisAway"),
    ),
    Situation(
        name="database read-only",
        bring=read_only,
        check="database-refuses",
        hold="the database takes no writes",
        alerts=("SebastianDatabaseAway",),
        readyz="503 Not ready: database takes no writes.",
    ),
)
