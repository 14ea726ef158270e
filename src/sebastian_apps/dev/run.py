"""The floor of `sebastian dev`: what is started, in which order, and how it ends."""

from __future__ import annotations

import asyncio
import logging
import secrets
import signal
import socket
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import structlog

from sebastian_adapters.memory import InMemoryArguments, in_memory
from sebastian_adapters.memory.clock import InMemoryClock
from sebastian_adapters.postgres.migrate import migrate
from sebastian_apps.dev.config_file import write_config
from sebastian_apps.dev.options import DevOptions
from sebastian_apps.dev.people import hire
from sebastian_apps.dev.restore import restore
from sebastian_apps.dev.screen import Screen, slots_of
from sebastian_apps.dev.servers import EmbeddedPostgres, EmbeddedServer, EmbeddedValkey
from sebastian_apps.fake_qiscus.config import FakeConfig
from sebastian_apps.fake_qiscus.server import FakeQiscus, serve
from sebastian_apps.http.app import create_app
from sebastian_apps.http.connection_limit import ConnectionLimit
from sebastian_apps.http.listening import bind
from sebastian_apps.http.metrics_server import served
from sebastian_apps.http.uvicorn_config import uvicorn_config
from sebastian_apps.policy.guard import Guard
from sebastian_apps.runtime.watchdog import PATIENCE_SECONDS
from sebastian_apps.settings import Settings, load_settings
from sebastian_apps.wiring import build_webhook, build_worker
from sebastian_apps.worker.worker import Worker
from sebastian_core.allocator import Allocator
from sebastian_core.domain.agent_loads import AgentLoads, AgentSetting, CapacityRules
from sebastian_core.domain.errors import StoreUnavailable
from sebastian_core.domain.ids import AgentId
from sebastian_core.domain.roster import Roster

LOOK_SECONDS = 0.3
ROWS_AT_ONCE = 500


async def run(options: DevOptions) -> None:
    """Run until SIGINT or SIGTERM, or for as long as was asked.

    Raises SettingsError or CannotListen, before anything is started, where that cannot be.
    """
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR),
    )
    # A connection that is kept for longer than the end may take is no error here.
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
    screen = Screen()
    stopping = _stop_on_signals()
    chosen = {"QT_ASSIGN_POLICY": options.policy} if options.policy else {}
    guard = Guard.of(load_settings(None, chosen), PATIENCE_SECONDS)
    async with guard.watchdog().watching(), AsyncExitStack() as stack:
        policy = guard.policy()
        (listener,) = bind("127.0.0.1", options.port)
        port = stack.enter_context(listener).getsockname()[1]
        fake = await stack.enter_async_context(serve(FakeConfig()))
        hire(fake, options.agents)
        directory = _directory(options, stack)
        clock = InMemoryClock(datetime.now(UTC))
        stores = in_memory(clock=clock) if options.memory else None
        environ = _environ(options, fake) | chosen
        if stores is None:
            environ |= await _start_servers(directory, stack, screen)
        settings = load_settings(None, {**environ, "QT_LOG_LEVEL": "error"})
        with screen.busy("Starting the webhook service and a worker"):
            await stack.enter_async_context(_webhook(settings, stores, listener))
            worker = build_worker(settings, name="dev", stores=stores, policy=policy)
            await stack.enter_async_context(_at_work(worker))
        await restore(fake, worker.allocator.room_repo, options)
        base_url = f"http://127.0.0.1:{port}"
        fake.send_webhooks_to(base_url, environ["QT_WEBHOOK_TOKEN"])
        fake.start_floor(options.floor)
        screen.say(f"\nThe floor, live:  {base_url}/floor")
        if stores is None:
            address = {"QT_LISTEN_PORT": str(port), "QT_WEBHOOK_BASE_URL": base_url}
            screen.explain_commands(write_config(directory, {**environ, **address}))
        screen.say("End it:           Ctrl-C\n")
        with screen.shown:
            await _watch(screen, worker.allocator, stopping, options.run_seconds)


def _stop_on_signals() -> asyncio.Event:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    return stopping


def _directory(options: DevOptions, stack: AsyncExitStack) -> Path:
    if options.data is not None:
        options.data.mkdir(parents=True, exist_ok=True)
        return options.data
    return Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sebastian-")))


async def _start_servers(directory: Path, stack: AsyncExitStack, screen: Screen) -> dict[str, str]:
    postgres = EmbeddedPostgres(directory=directory / "postgres")
    valkey = EmbeddedValkey(directory=directory / "valkey")
    for name, server in (("PostgreSQL", postgres), ("Valkey", valkey)):
        with screen.busy(f"Starting {name}"):
            await stack.enter_async_context(_running(server))
    with screen.busy("Making the tables"):
        await migrate(postgres.url)
    return {"QT_DB_CONNECTION_STRING": postgres.url, "QT_REDIS_URL": valkey.url}


@asynccontextmanager
async def _running(server: EmbeddedServer) -> AsyncIterator[None]:
    await asyncio.to_thread(server.start)
    try:
        yield
    finally:
        await asyncio.to_thread(server.stop)


def _environ(options: DevOptions, fake: FakeQiscus) -> dict[str, str]:
    account = fake.config.account
    return {
        "QT_QISCUS_BASE_URL": fake.url,
        "QT_QISCUS_APP_ID": account.app_code,
        "QT_QISCUS_SECRET_KEY": account.secret_key,
        "QT_QISCUS_EMAIL": account.admin_email,
        "QT_QISCUS_PASSWORD": account.admin_password,
        "QT_QISCUS_RATE_LIMIT": "500",
        "QT_QISCUS_BURST": "500",
        "QT_WEBHOOK_TOKEN": secrets.token_urlsafe(24),
        "QT_ADMIN_TOKEN": secrets.token_urlsafe(24),
        "QT_WEBHOOK_MAX_CURRENT_CUSTOMER": str(options.capacity),
        "QT_PRESENCE_INTERVAL": "3s",
        "QT_RECONCILE_INTERVAL": "15s",
    }


@asynccontextmanager
async def _webhook(
    settings: Settings, stores: InMemoryArguments | None, listener: socket.socket
) -> AsyncIterator[None]:
    parts = build_webhook(settings, stores, floor_is_open=True)
    config = uvicorn_config(create_app(parts), ConnectionLimit(), grace_seconds=2, lifespan="on")
    async with served(config, listener):
        try:
            yield
        finally:
            parts.ending.set()


@asynccontextmanager
async def _at_work(worker: Worker) -> AsyncIterator[None]:
    """A worker at work; its stores are open when this is entered."""
    running = asyncio.create_task(worker.run())
    is_open = asyncio.create_task(worker.opened.wait())
    await asyncio.wait({running, is_open}, return_when=asyncio.FIRST_COMPLETED)
    is_open.cancel()
    try:
        yield
    finally:
        worker.stop()
        await running


async def _watch(
    screen: Screen, allocator: Allocator, stopping: asyncio.Event, run_seconds: float | None
) -> None:
    """Print what happens until it is time to stop."""
    with suppress(TimeoutError):
        async with asyncio.timeout(run_seconds):
            while not stopping.is_set():
                await _quietly(lambda: _look(screen, allocator))
                with suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_SECONDS):
                        await stopping.wait()


async def _quietly(step: Callable[[], Awaitable[None]]) -> None:
    with suppress(StoreUnavailable):
        await step()


async def _look(screen: Screen, allocator: Allocator) -> None:
    roster = await allocator.roster.roster()
    screen.take(await allocator.journal.decisions(ROWS_AT_ONCE), roster)
    summary = await allocator.journal.summary(alert_refusals=5)
    agent_loads = await allocator.agent_settings.agent_loads()
    capacities = _capacities(roster, agent_loads, allocator.capacities)
    screen.summarise(summary, slots_of(roster, agent_loads.loads, capacities))


def _capacities(
    roster: Roster | None, agent_loads: AgentLoads, rules: CapacityRules
) -> dict[AgentId, int]:
    return {
        agent_id: rules.of(
            agent_id, agent_loads.settings.get(agent_id, AgentSetting()), agent_loads
        )
        for agent_id in (roster.agents if roster else ())
    }
