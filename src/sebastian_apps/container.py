"""Where everything is wired: the only file that knows the container.

Pools and clients are built closed and opened by whoever runs them, so the graph stays synchronous.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from functools import partial

import structlog
from attrs import evolve
from dependency_injector import containers, providers

from sebastian_adapters.memory.agent_store import InMemoryAgentStore
from sebastian_adapters.memory.clock import InMemoryClock
from sebastian_adapters.memory.ended_logins import InMemoryEndedLogins
from sebastian_adapters.memory.job_queue import InMemoryJobQueue
from sebastian_adapters.memory.room_repo import InMemoryRoomRepo
from sebastian_adapters.postgres.account import claim_account
from sebastian_adapters.postgres.clock import PostgresClock
from sebastian_adapters.postgres.ended_logins import PostgresEndedLogins
from sebastian_adapters.postgres.inspection import check_database, try_arrival, try_webhook
from sebastian_adapters.postgres.job_queue import PostgresJobQueue
from sebastian_adapters.postgres.migrate import check_tables
from sebastian_adapters.postgres.pools import Pool, webhook_pool, worker_pool
from sebastian_adapters.postgres.room_repo import PostgresRoomRepo
from sebastian_adapters.qiscus.calls import OnCall
from sebastian_adapters.qiscus.qiscus_client import HttpxQiscusClient
from sebastian_adapters.redis.agent_store import RedisAgentStore
from sebastian_adapters.redis.dramatiq.job_queue import DramatiqJobQueue
from sebastian_apps.cli.parts import CliParts
from sebastian_apps.floor.actions import FloorUseCases
from sebastian_apps.own_policy import GuardedPolicy, without_quotes
from sebastian_apps.proxies import platform_proxy
from sebastian_apps.settings import Secret, Settings
from sebastian_apps.status.blocked import blocked_by
from sebastian_apps.status.checks import CheckResult, database_refuses
from sebastian_apps.status.probes.lately import Probe
from sebastian_apps.status.probes.stores import probe_redis
from sebastian_apps.tracing import TracedAssignChat
from sebastian_apps.webhook.addresses import webhook_urls
from sebastian_apps.webhook.parts import WebhookParts
from sebastian_apps.worker.parts import Intervals, WorkerParts
from sebastian_core.domain.agent import CapacityRules
from sebastian_core.domain.errors import SchemaMismatch, SebastianError, StoreUnavailable
from sebastian_core.domain.permits import Limits
from sebastian_core.domain.policy import LeastLoaded, Policy
from sebastian_core.domain.readings import Registration
from sebastian_core.domain.rules import Rules
from sebastian_core.ports.clock import Clock
from sebastian_core.ports.qiscus_client import QiscusClient
from sebastian_core.ports.room_repo import RoomRepo
from sebastian_core.usecases.admit_chat import AdmitChat
from sebastian_core.usecases.assign_by_hand import AssignByHand
from sebastian_core.usecases.assign_chat import Ended
from sebastian_core.usecases.dispatch import Dispatch, DispatchRules
from sebastian_core.usecases.drop_chat import DropChat
from sebastian_core.usecases.explain_room import Blocked, ExplainRoom
from sebastian_core.usecases.known_roster import KnownRoster
from sebastian_core.usecases.pause_agent import PauseAgent
from sebastian_core.usecases.platform_gate import PlatformGate
from sebastian_core.usecases.reconcile import Reconcile
from sebastian_core.usecases.refresh_agents import RefreshAgents
from sebastian_core.usecases.release_chat import ReleaseChat
from sebastian_core.usecases.resolve_chat import ResolveChat
from sebastian_core.usecases.set_capacity import SetCapacity
from sebastian_core.usecases.settle_chat import SettleChat

Step = Callable[[], Awaitable[None]]
MakePool = Callable[[str, str | None], Pool]
CALLS_OF_DUTIES = 16
"""Connections beyond those of the assignments: for readings, listings and the probe."""

CLOCK_FIRST_SECONDS = 1.0
CLOCK_SECONDS = 30.0

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


def _capacities(settings: Settings) -> CapacityRules:
    return CapacityRules(
        default=settings.webhook.max_current_customer, per_agent=settings.agents.capacity
    )


def _dispatch_rules(settings: Settings, rules: Rules, policy: Policy) -> DispatchRules:
    return DispatchRules(
        capacities=_capacities(settings),
        policy=policy,
        rules=rules,
        match_channels=settings.assign.match_channels,
        presence_max_age=settings.presence.max_age,
    )


def _client(settings: Settings, clock: Clock, on_call: OnCall | None = None) -> HttpxQiscusClient:
    qiscus = settings.qiscus
    proxy = platform_proxy(settings)
    return HttpxQiscusClient(
        base_url=qiscus.base_url,
        app_id=qiscus.app_id or "",
        secret_key=_text(qiscus.secret_key),
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


def _ended_listeners() -> list[Callable[[Ended], None]]:
    return []


def _tell(listeners: Sequence[Callable[[Ended], None]]) -> Callable[[Ended], None]:
    def tell(ended: Ended) -> None:
        for listener in listeners:
            listener(ended)

    return tell


def _blocked(settings: Settings, room_repo: RoomRepo, writes_are_tried: bool) -> Blocked:
    url = _text(settings.db.connection_string)
    return blocked_by(room_repo, partial(try_webhook, url) if writes_are_tried else None)


def _plan_refused(error: Exception) -> None:
    told = without_quotes(error)
    log.error("the policy's plan cannot be used; the shipped policy serves", error=told)


def _telling_of(policy: GuardedPolicy) -> Callable[[Exception], None]:
    def tell(error: Exception) -> None:
        _plan_refused(error)
        policy.refused(error)

    return tell


class Container(containers.DeclarativeContainer):
    """The graph of one process, on the real stores."""

    settings = providers.Dependency(instance_of=Settings)
    make_pool = providers.Object(worker_pool)
    threads = providers.Object(1)
    writes_are_tried = providers.Object(True)
    on_call: providers.Object[OnCall | None] = providers.Object(None)

    policy: providers.Object[Policy] = providers.Object(LeastLoaded())
    on_plan_refused = providers.Object(_plan_refused)

    rules = providers.Singleton(_rules, settings)
    pool = providers.Singleton(_pool, settings, make_pool)
    clock = providers.Singleton(PostgresClock, pool)
    room_repo = providers.Singleton(PostgresRoomRepo, pool)
    ended_logins = providers.Singleton(PostgresEndedLogins, pool)
    agent_store = providers.Singleton(_agent_store, settings)
    job_queue = providers.Singleton(_job_queue, settings, threads)

    client = providers.Singleton(_client, settings, clock, on_call)
    roster = providers.Singleton(KnownRoster, agent_store)
    gate = providers.Singleton(PlatformGate, client, clock, providers.Callable(_limits, settings))

    admit_chat = providers.Singleton(AdmitChat, room_repo, job_queue, rules)
    resolve_chat = providers.Singleton(ResolveChat, room_repo, job_queue, rules)
    assign_chat = providers.Singleton(
        TracedAssignChat,
        room_repo,
        roster,
        client,
        gate,
        clock,
        rules,
        verify=settings.provided.assign.verify,
    )
    ended = providers.Singleton(_ended_listeners)
    dispatch = providers.Singleton(
        Dispatch,
        room_repo,
        roster,
        assign_chat,
        gate,
        clock,
        providers.Callable(_dispatch_rules, settings, rules, policy),
        on_ended=providers.Callable(_tell, ended),
        on_plan_refused=on_plan_refused,
    )
    explain_room = providers.Singleton(
        ExplainRoom,
        room_repo,
        roster,
        providers.Callable(_dispatch_rules, settings, rules, policy),
        verify=settings.provided.assign.verify,
        blocked=providers.Callable(_blocked, settings, room_repo, writes_are_tried),
    )
    assign_by_hand = providers.Singleton(
        AssignByHand,
        room_repo,
        roster,
        providers.Singleton(
            TracedAssignChat, room_repo, roster, client, gate, clock, rules, verify=False
        ),
        clock,
        providers.Callable(_capacities, settings),
        rules,
    )
    settle_chat = providers.Singleton(SettleChat, room_repo, client, gate, job_queue, rules)
    refresh_agents = providers.Singleton(
        RefreshAgents, room_repo, roster, client, gate, job_queue, clock, rules
    )
    reconcile = providers.Singleton(
        Reconcile,
        room_repo,
        client,
        gate,
        job_queue,
        settle_chat,
        rules,
        max_age=settings.provided.reconcile.max_age,
    )


class MemoryStores(containers.DeclarativeContainer):
    """The stores in memory: what the services of one process share."""

    clock = providers.Singleton(InMemoryClock, providers.Callable(datetime.now, UTC))
    room_repo = providers.Singleton(InMemoryRoomRepo, clock)
    ended_logins = providers.Singleton(InMemoryEndedLogins, clock)
    agent_store = providers.Singleton(InMemoryAgentStore)
    job_queue = providers.Singleton(InMemoryJobQueue)


def in_memory() -> MemoryStores:
    """Stores in memory, to be handed to the services that are to share them."""
    return MemoryStores()


def build_webhook(
    settings: Settings, stores: MemoryStores | None = None, *, floor_is_open: bool = False
) -> WebhookParts:
    """The webhook service's parts; nothing is opened yet.

    `floor_is_open` shows the floor page to this machine without a token.
    """
    from sebastian_apps.metrics import WebhookMetrics

    container = _container(settings, webhook_pool, stores)
    client = container.client() if settings.qiscus.app_id else None
    is_real = stores is None
    keeping_time: list[asyncio.Task[None]] = []

    async def open_all() -> None:
        if is_real:
            await container.pool().open()
            with suppress(StoreUnavailable):  # 503 until it is back; /readyz tells
                await check_tables(container.pool())
                await claim_account(container.pool())
            keeping_time.append(asyncio.create_task(_keep_time(container)))
            await container.job_queue().open()
        if client is not None:
            await client.open()

    return WebhookParts(
        settings=settings,
        admit_chat=container.admit_chat(),
        resolve_chat=container.resolve_chat(),
        room_repo=container.room_repo(),
        roster=container.roster(),
        register_webhooks=client.register_webhooks if client is not None else None,
        floor=_floor(container, settings),
        floor_is_open=floor_is_open,
        ended_logins=container.ended_logins(),
        counts=WebhookMetrics(),
        checks={"database": partial(_check_work, container.pool())} if is_real else {},
        probes=_probes(settings, container.pool()) if is_real else (),
        open=open_all,
        close=_closing(container, client, keeping_time, is_real=is_real),
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


async def _tell_if_away(settings: Settings) -> None:
    """Say why a start takes long, before the pool tries again and again in silence."""
    try:
        await check_database(_text(settings.db.connection_string))
    except StoreUnavailable as error:
        log.warning("waiting for the database", error=str(error))


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
            pause = CLOCK_SECONDS
        await asyncio.sleep(pause)


def _floor(container: Container, settings: Settings) -> FloorUseCases:
    """What people may do from the floor page."""
    repo, queue = container.room_repo(), container.job_queue()
    return FloorUseCases(
        explain=container.explain_room(),
        drop=DropChat(repo),
        release=ReleaseChat(repo, queue, container.rules()),
        pause=PauseAgent(repo, queue, container.roster()),
        capacity=SetCapacity(repo, queue, container.roster()),
        assign=container.assign_by_hand() if settings.qiscus.app_id else None,
    )


def build_worker(
    settings: Settings,
    *,
    threads: int = 1,
    stores: MemoryStores | None = None,
    policy: GuardedPolicy | None = None,
) -> WorkerParts:
    """A worker's parts; nothing is opened yet. Without a policy it is the shipped one."""
    from sebastian_apps.metrics import WorkerMetrics, metered

    metrics = WorkerMetrics()
    container = _container(settings, worker_pool, stores, metrics.called, threads)
    if policy is not None:
        container.policy.override(providers.Object(policy))
        container.on_plan_refused.override(providers.Object(_telling_of(policy)))
    client = container.client()
    is_real = stores is None

    async def open_all() -> None:
        if is_real:
            pool = container.pool()
            await _tell_if_away(settings)
            await pool.open()
            await pool.check()
            await check_tables(pool)
            await claim_account(pool)
            await container.clock().sync()
            await container.job_queue().open()
            await container.job_queue().listen()
        await client.open()

    async def sync_clock() -> None:
        if is_real:
            await container.clock().sync()

    parts = WorkerParts(
        room_repo=container.room_repo(),
        job_queue=container.job_queue(),
        clock=container.clock(),
        roster=container.roster(),
        gate=container.gate(),
        dispatch=container.dispatch(),
        settle_chat=container.settle_chat(),
        refresh_agents=container.refresh_agents(),
        reconcile=container.reconcile(),
        open=open_all,
        close=_closing(container, client, is_real=is_real),
        sync_clock=sync_clock,
        rules=container.rules(),
        ended=container.ended(),
        intervals=evolve(
            Intervals(),
            refresh=settings.presence.interval,
            reconcile=settings.reconcile.interval,
        ),
        history_keep=settings.history.keep,
        roster_max_age=settings.presence.max_age,
        policy=policy,
    )
    return metered(parts, metrics, settings)


def build_cli(settings: Settings, stores: MemoryStores | None = None) -> CliParts:
    """What the command line works with; nothing is opened yet."""
    container = _container(settings, worker_pool, stores)
    is_real = stores is None
    knows_platform = settings.qiscus.app_id is not None and settings.qiscus.secret_key is not None

    async def open_all() -> None:
        if is_real:
            await check_database(_text(settings.db.connection_string))
            await container.pool().open()
            await container.clock().sync()
            await container.job_queue().open()
        if knows_platform:
            await container.client().open()

    async def close_all() -> None:
        if knows_platform:
            await container.client().aclose()
        if is_real:
            await container.job_queue().aclose()
            await container.agent_store().aclose()
            await container.pool().close()

    room_repo, job_queue = container.room_repo(), container.job_queue()
    return CliParts(
        settings=settings,
        room_repo=room_repo,
        roster=container.roster(),
        capacities=_capacities(settings),
        drop=DropChat(room_repo),
        release=ReleaseChat(room_repo, job_queue, container.rules()),
        pause=PauseAgent(room_repo, job_queue, container.roster()),
        capacity=SetCapacity(room_repo, job_queue, container.roster()),
        explain=container.explain_room(),
        assign=container.assign_by_hand() if knows_platform else None,
        open=open_all,
        close=close_all,
    )


def _closing(
    container: Container,
    client: HttpxQiscusClient | None,
    tasks: Sequence[asyncio.Task[None]] = (),
    *,
    is_real: bool,
) -> Step:
    async def close_all() -> None:
        for task in tasks:
            task.cancel()
        if client is not None:
            await client.aclose()
        if is_real:
            await container.job_queue().aclose()
            await container.agent_store().aclose()
            await container.pool().close()

    return close_all


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
async def open_stores(settings: Settings) -> AsyncIterator[tuple[RoomRepo, KnownRoster]]:
    """The record and the roster by themselves, for who only looks; raises StoreUnavailable."""
    container = _container(settings, worker_pool, None)
    await container.pool().open()
    try:
        yield container.room_repo(), container.roster()
    finally:
        await container.agent_store().aclose()
        await container.pool().close()


async def register_webhooks(settings: Settings) -> list[Registration]:
    """Register both webhook URLs of this deployment at Qiscus."""
    async with open_client(settings) as client:
        return await client.register_webhooks(*webhook_urls(settings))


def _container(
    settings: Settings,
    make_pool: MakePool,
    stores: MemoryStores | None,
    on_call: OnCall | None = None,
    threads: int = 1,
) -> Container:
    container = Container(
        settings=providers.Object(settings),
        make_pool=providers.Object(make_pool),
        on_call=providers.Object(on_call),
        threads=providers.Object(threads),
    )
    if stores is not None:
        container.override_providers(
            clock=stores.clock,
            room_repo=stores.room_repo,
            ended_logins=stores.ended_logins,
            agent_store=stores.agent_store,
            job_queue=stores.job_queue,
            writes_are_tried=providers.Object(False),
        )
    return container
