"""Where everything is wired: the only file that knows the container.

Pools and clients are built closed; the allocator opens and closes them, so the graph stays
synchronous.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    nullcontext,
    suppress,
)
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Literal, get_args

import structlog
from dependency_injector import containers, providers

from sebastian_adapters.memory import InMemoryArguments
from sebastian_adapters.memory.clock import InMemoryClock
from sebastian_adapters.memory.ended_logins import InMemoryEndedLogins
from sebastian_adapters.postgres.account import claim_account
from sebastian_adapters.postgres.agent_settings import PostgresAgentSettings
from sebastian_adapters.postgres.clock import PostgresClock
from sebastian_adapters.postgres.ended_logins import PostgresEndedLogins
from sebastian_adapters.postgres.health import check_database, try_arrival, try_webhook
from sebastian_adapters.postgres.job_queue import PostgresJobQueue
from sebastian_adapters.postgres.journal import PostgresJournal
from sebastian_adapters.postgres.leadership import PostgresLeadership
from sebastian_adapters.postgres.migrate import check_tables
from sebastian_adapters.postgres.pool import Pool, webhook_pool, worker_pool
from sebastian_adapters.postgres.room_repo import PostgresRoomRepo
from sebastian_adapters.qiscus.calls import OnCall
from sebastian_adapters.qiscus.client import HttpxQiscusClient
from sebastian_adapters.redis.agent_store import RedisAgentStore
from sebastian_adapters.redis.dramatiq.job_queue import DramatiqJobQueue
from sebastian_apps.http.parts import WebhookParts
from sebastian_apps.observability.tracing import TracedAssignChat
from sebastian_apps.own_adapters import FOLLOW_ROOM_REPO, OwnAdapter, own_adapters
from sebastian_apps.policy.load import GuardedPolicy
from sebastian_apps.settings import Secret, Settings
from sebastian_apps.settings.proxy import platform_proxy
from sebastian_apps.settings.webhook_urls import webhook_urls
from sebastian_apps.status.blocked import blocked_by
from sebastian_apps.status.checks import CheckResult, database_refuses
from sebastian_apps.status.floor_state import StoresToRead
from sebastian_apps.status.probes.lately import Probe
from sebastian_apps.status.probes.stores import probe_redis
from sebastian_apps.worker.observer import WorkerObserver
from sebastian_apps.worker.worker import REPORT, Worker
from sebastian_core.allocator import Allocator
from sebastian_core.domain.errors import SchemaMismatch, SebastianError, StoreUnavailable
from sebastian_core.domain.platform import Registration
from sebastian_core.domain.policy import Policy
from sebastian_core.domain.rate_limit import Limits
from sebastian_core.domain.rules import Rules
from sebastian_core.ports.clock import Clock
from sebastian_core.ports.leadership import Leadership
from sebastian_core.ports.qiscus_client import QiscusClient
from sebastian_core.usecases.duties import Duty
from sebastian_core.usecases.explain import Blocked
from sebastian_core.usecases.observer import Observer
from sebastian_core.usecases.roster_cache import RosterCache

if TYPE_CHECKING:
    from sebastian_apps.observability.metrics import WorkerMetrics

SharedInMemory = Literal[
    "clock", "room_repo", "agent_settings", "journal", "leadership", "agent_store", "job_queue"
]
MakePool = Callable[[str, str | None], Pool]
Opening = Callable[[], AbstractAsyncContextManager[object]]
CALLS_OF_DUTIES = 16
"""Connections beyond those of the assignments: for readings, listings and the probe."""

NO_CREDENTIAL = "-"
"""What a client is built with that is never opened or asked: nobody named an account."""

SHARED_IN_MEMORY: tuple[SharedInMemory, ...] = get_args(SharedInMemory)
"""What services of one process share if nothing is kept: of `in_memory`, all but the platform."""

CLOCK_FIRST_SECONDS = 1.0
CLOCK = timedelta(seconds=30)

log = structlog.stdlib.get_logger("sebastian")


def _rules(settings: Settings) -> Rules:
    return Rules(
        settle=settings.qiscus.settle,
        reservation=settings.assign.reservation,
        call=settings.assign.timeout,
        alert_refusals=settings.assign.alert_refusals,
    )


def _limits(settings: Settings) -> Limits:
    qiscus = settings.qiscus
    return Limits(rate=qiscus.rate_limit, burst=qiscus.burst, in_flight=qiscus.in_flight)


def _every(settings: Settings) -> dict[str, timedelta]:
    return {"refresh": settings.presence.interval, "reconcile": settings.reconcile.interval}


def _client(settings: Settings, clock: Clock, on_call: OnCall | None = None) -> HttpxQiscusClient:
    qiscus = settings.qiscus
    proxy = platform_proxy(settings) if qiscus.app_id else None
    return HttpxQiscusClient(
        base_url=qiscus.base_url,
        app_id=qiscus.app_id or NO_CREDENTIAL,
        secret_key=_text(qiscus.secret_key) or NO_CREDENTIAL,
        clock=clock,
        email=qiscus.email,
        password=_text(qiscus.password) or None,
        timeout=min(qiscus.timeout, settings.assign.timeout),
        in_flight=qiscus.in_flight + CALLS_OF_DUTIES,
        proxy=proxy.url.reveal() if proxy else None,
        on_call=on_call,
    )


def redis_namespace(settings: Settings) -> str:
    """What the keys of this deployment begin with: two accounts may share a Redis."""
    app_id = settings.qiscus.app_id
    return "sebastian" if app_id is None else f"sebastian:{app_id}"


def _agent_store(settings: Settings) -> RedisAgentStore:
    return RedisAgentStore(_text(settings.redis.url), prefix=f"{redis_namespace(settings)}:")


def _job_queue(settings: Settings, threads: int) -> DramatiqJobQueue | PostgresJobQueue:
    if settings.queue.doorbell == "postgres":
        return PostgresJobQueue(_text(settings.db.connection_string))
    namespace = redis_namespace(settings)
    return DramatiqJobQueue(_text(settings.broker_url), namespace=namespace, threads=threads)


def _pool(settings: Settings, make: MakePool) -> Pool:
    return make(_text(settings.db.connection_string), settings.qiscus.app_id)


def _text(secret: Secret | None) -> str:
    return secret.reveal() if secret is not None else ""


def _blocked(settings: Settings, leadership: Leadership, writes_are_tried: bool) -> Blocked:
    url = _text(settings.db.connection_string)
    return blocked_by(leadership, partial(try_webhook, url) if writes_are_tried else None)


class Container(containers.DeclarativeContainer):
    """The adapters of one process, on the real stores, and the allocator that holds them."""

    settings = providers.Dependency(instance_of=Settings)
    make_pool = providers.Object(worker_pool)
    threads = providers.Object(1)
    writes_are_tried = providers.Object(True)
    on_call: providers.Object[OnCall | None] = providers.Object(None)
    policy: providers.Object[Policy | None] = providers.Object(None)
    name = providers.Object("")
    own: providers.Object[Mapping[str, OwnAdapter]] = providers.Object({})
    opening: providers.Object[Opening] = providers.Object(nullcontext)

    rules = providers.Singleton(_rules, settings)
    pool = providers.Singleton(_pool, settings, make_pool)
    clock = providers.Singleton(PostgresClock, pool)
    room_repo = providers.Singleton(PostgresRoomRepo, pool)
    agent_settings = providers.Singleton(PostgresAgentSettings, pool)
    journal = providers.Singleton(PostgresJournal, pool)
    leadership = providers.Singleton(PostgresLeadership, pool)
    ended_logins = providers.Singleton(PostgresEndedLogins, pool)
    agent_store = providers.Singleton(_agent_store, settings)
    job_queue = providers.Singleton(_job_queue, settings, threads)
    qiscus_client = providers.Singleton(_client, settings, clock, on_call)
    observer = providers.Singleton(Observer)

    allocator = providers.Singleton(
        Allocator,
        room_repo=room_repo,
        agent_settings=agent_settings,
        journal=journal,
        leadership=leadership,
        agent_store=agent_store,
        job_queue=job_queue,
        qiscus_client=qiscus_client,
        clock=clock,
        policy=policy,
        capacities=settings.provided.capacity_rules,
        rules=rules,
        limits=providers.Callable(_limits, settings),
        verify=settings.provided.assign.verify,
        match_channels=settings.provided.assign.match_channels,
        presence_max_age=settings.provided.presence.max_age,
        reconcile_max_age=settings.provided.reconcile.max_age,
        history_keep=settings.provided.history.keep,
        observer=observer,
        every=providers.Callable(_every, settings),
        name=name,
        opening=opening,
        assign_chat=providers.Object(TracedAssignChat),
        blocked=providers.Callable(_blocked, settings, leadership, writes_are_tried),
    )


def build_webhook(
    settings: Settings, stores: InMemoryArguments | None = None, *, floor_is_open: bool = False
) -> WebhookParts:
    """The webhook service's parts; nothing is opened yet.

    `floor_is_open` shows the floor page to this machine without a token.
    """
    from sebastian_apps.http.metrics import WebhookMetrics

    container = _container(settings, stores, _as_webhook, make_pool=webhook_pool)
    allocator, opened = container.allocator(), AsyncExitStack()
    knows_platform = bool(settings.qiscus.app_id)

    async def open_all() -> None:
        await opened.enter_async_context(allocator.opened())

    return WebhookParts(
        settings=settings,
        allocator=allocator,
        register_webhooks=allocator.qiscus_client.register_webhooks if knows_platform else None,
        floor_is_open=floor_is_open,
        ended_logins=container.ended_logins(),
        counts=WebhookMetrics(),
        checks=({} if stores else {"database": partial(_check_work, container.pool())})
        | {role: own.check for role, own in container.own().items()},
        probes=() if stores else _probes(settings, container.pool()),
        open=open_all,
        close=opened.aclose,
    )


def _probes(settings: Settings, pool: Pool) -> Sequence[Probe]:
    """What the floor page tries itself, beside what it reads."""

    async def recording() -> list[CheckResult]:
        try:
            await _check_work(pool)
        except SebastianError as error:
            return [database_refuses(str(error))]
        return []

    return [recording, partial(probe_redis, settings)]


async def _check_work(pool: Pool) -> None:
    """Raise unless a webhook would be recorded; first the trial, which renews what is lost."""
    await try_arrival(pool)
    await check_tables(pool)


def build_worker(
    settings: Settings,
    *,
    name: str = "",
    threads: int = 1,
    stores: InMemoryArguments | None = None,
    policy: GuardedPolicy | None = None,
    report: timedelta = REPORT,
) -> Worker:
    """A worker; nothing is opened yet. Without a policy it is the shipped one.

    It tells of itself after each `report`.
    """
    from sebastian_apps.observability.metrics import WorkerMetrics

    metrics = WorkerMetrics()
    container = _container(
        settings,
        stores,
        partial(_as_worker, metrics=metrics),
        on_call=metrics.called,
        threads=threads,
        policy=policy,
        name=name,
    )
    notes = WorkerObserver(container.clock(), metrics, policy)
    container.observer.override(providers.Object(notes))
    allocator = container.allocator()
    metrics.watch_breaker(allocator.breaker)
    if stores is None:
        allocator.add(Duty("clock", CLOCK, container.clock().sync, leader_only=False))
    return Worker(allocator, notes, report)


def build_allocator(settings: Settings, stores: InMemoryArguments | None = None) -> Allocator:
    """The allocator of a command, or of a program of one's own; nothing is opened yet."""
    return _container(settings, stores, _as_command).allocator()


@asynccontextmanager
async def _as_webhook(container: Container, *, is_real: bool) -> AsyncIterator[None]:
    """Open what takes webhooks, whether the database answers or not."""
    async with _closing(container, is_real=is_real) as stack:
        if is_real:
            await container.pool().open()
            with suppress(StoreUnavailable):  # 503 until it is back; /readyz tells
                await check_tables(container.pool())
                await claim_account(container.pool())
            stack.callback(asyncio.create_task(_keep_time(container)).cancel)
            await container.job_queue().open()
        if container.settings().qiscus.app_id:
            await stack.enter_async_context(container.qiscus_client())
        yield


async def _keep_time(container: Container) -> None:
    """Go by the database's clock, from the moment on at which there is one that is ours."""
    pause = CLOCK_FIRST_SECONDS
    while True:
        try:
            await claim_account(container.pool())
            await container.clock().sync()
        except (StoreUnavailable, SchemaMismatch) as error:
            log.warning("the clock waits for the database", error=str(error))
        else:
            pause = CLOCK.total_seconds()
        await asyncio.sleep(pause)


@asynccontextmanager
async def _as_worker(
    container: Container, *, is_real: bool, metrics: WorkerMetrics
) -> AsyncIterator[None]:
    """Open what gives chats; waits for the database, and raises what makes it useless."""
    from sebastian_apps.http.metrics_server import serve_metrics

    settings = container.settings()
    async with _closing(container, is_real=is_real) as stack:
        if is_real:
            pool = container.pool()
            await _tell_if_away(settings)
            await pool.open()
            await pool.check()
            await check_tables(pool)
            await claim_account(pool)
            await container.clock().sync()
            await container.job_queue().open()
        await stack.enter_async_context(container.qiscus_client())
        if settings.metrics.port:
            await stack.enter_async_context(serve_metrics(metrics, settings))
        yield


async def _tell_if_away(settings: Settings) -> None:
    """Say why a start takes long, before the pool tries again and again in silence."""
    try:
        await check_database(_text(settings.db.connection_string))
    except StoreUnavailable as error:
        log.warning("waiting for the database", error=str(error))


@asynccontextmanager
async def _as_command(container: Container, *, is_real: bool) -> AsyncIterator[None]:
    """Open what a command needs; raises StoreUnavailable at once if the database is away."""
    settings = container.settings()
    async with _closing(container, is_real=is_real) as stack:
        if is_real:
            await check_database(_text(settings.db.connection_string))
            await container.pool().open()
            await container.clock().sync()
            await container.job_queue().open()
        if settings.qiscus.app_id and settings.qiscus.secret_key:
            await stack.enter_async_context(container.qiscus_client())
        yield


@asynccontextmanager
async def _closing(container: Container, *, is_real: bool) -> AsyncIterator[AsyncExitStack]:
    """Open what the user brought; in the end close that and the stores, opened or not."""
    async with AsyncExitStack() as stack:
        if is_real:
            stack.push_async_callback(container.pool().close)
            stack.push_async_callback(container.agent_store().aclose)
            stack.push_async_callback(container.job_queue().aclose)
        for own in container.own().values():
            await stack.enter_async_context(own)
        yield stack


@asynccontextmanager
async def open_client(settings: Settings) -> AsyncIterator[QiscusClient]:
    """A Qiscus client by itself, for commands that need no store."""
    client = _client(settings, InMemoryClock(datetime.now(UTC)))
    await client.open()
    try:
        yield client
    finally:
        await client.aclose()


@asynccontextmanager
async def open_stores(settings: Settings) -> AsyncIterator[StoresToRead]:
    """What the stores tell, for who only looks; raises StoreUnavailable."""
    container = _container(settings, None, _as_command)
    async with _closing(container, is_real=True):
        await container.pool().open()
        yield StoresToRead(
            agent_settings=container.agent_settings(),
            journal=container.journal(),
            leadership=container.leadership(),
            roster=RosterCache(container.agent_store()),
        )


async def register_webhooks(settings: Settings) -> list[Registration]:
    """Register both webhook URLs of this deployment at Qiscus."""
    async with open_client(settings) as client:
        return await client.register_webhooks(*webhook_urls(settings))


def _container(
    settings: Settings,
    stores: InMemoryArguments | None,
    opening: Callable[..., AbstractAsyncContextManager[None]],
    **given: object,
) -> Container:
    container = Container(
        settings=providers.Object(settings),
        **{name: providers.Object(each) for name, each in given.items()},
    )
    own = own_adapters(settings)
    container.own.override(providers.Object(own))
    roles = {role: role for role in own} | dict.fromkeys(
        FOLLOW_ROOM_REPO if "room_repo" in own else (), "room_repo"
    )
    container.override_providers(
        **{role: providers.Object(own[made]) for role, made in roles.items()}
    )
    opened = partial(opening, container, is_real=stores is None)
    container.opening.override(providers.Object(opened))
    if stores is not None:
        shared = {name: providers.Object(stores[name]) for name in SHARED_IN_MEMORY}
        container.override_providers(**shared, writes_are_tried=providers.Object(False))
        logins = providers.Singleton(InMemoryEndedLogins, container.clock)
        container.ended_logins.override(logins)
    return container
