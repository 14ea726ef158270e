"""The real processes of a run, each behind our proxy, watched and started again like a service."""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from signal import SIGTERM
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
from attrs import asdict, define, field

from sebastian_apps.dev.owned_process import OwnedProcess
from sebastian_apps.dev.servers import LOOPBACK, EmbeddedPostgres, EmbeddedValkey, free_port
from tests.chaos.clocks import WallClock, seconds_off_in
from tests.chaos.proxy import Proxy
from tests.chaos.shape import Shape
from tests.chaos.writers import WRITER, note_writers
from tests.scenario.platform import PlatformOptions
from tests.secured import postgres_login, redis_login, redis_users, with_password

APP_ID, SECRET_KEY = "demoapp-x1y2z3a4b5c6d7e", "FAKE_SECRET"
STARTUP_SECONDS = 60.0
POLL_SECONDS = 0.1
RESTART_SECONDS = 0.3
CLOCK_SLACK_SECONDS = 30.0


class NotInTime(Exception):
    """Something did not come true in time."""


@define(eq=False)
class Watched:
    """One of our processes: started again whenever it has ended."""

    name: str
    command: list[str]
    log: Path
    clock: WallClock
    process: OwnedProcess | None = None
    starts: int = 0

    def start(self) -> None:
        """Start it, unless it runs."""
        if self.process is None or not self.process.running:
            if self.process is not None:
                self.process.stop()
            self.process = OwnedProcess.spawn(
                self.command,
                log=self.log,
                stop_signal=SIGTERM,
                options={"env": self.clock.environment},
            )
            self.starts += 1

    def running(self) -> OwnedProcess:
        """The process; raises NotInTime before the first start."""
        if self.process is None:
            raise NotInTime(f"{self.name} was not started")
        return self.process


@define(eq=False, kw_only=True)
class Deployment:
    """What runs, and where it is reached."""

    directory: Path
    postgres: EmbeddedPostgres
    valkey: EmbeddedValkey
    proxies: dict[str, Proxy]
    watched: dict[str, Watched] = field(factory=dict)
    platform_url: str = ""
    held_down: set[str] = field(factory=set)
    """Who is not started again just now."""
    control: httpx.AsyncClient = field(factory=lambda: httpx.AsyncClient(timeout=60.0))

    async def told(
        self, path: str, body: Mapping[str, Any] | None = None, *, method: str | None = None
    ) -> Any:
        """One request to the platform's control API, past the proxy."""
        wanted = method or ("GET" if body is None else "POST")
        answer = await self.control.request(wanted, f"{self.platform_url}/_fake/{path}", json=body)
        answer.raise_for_status()
        return answer.json()

    async def supervise(self) -> None:
        """Start again whoever has ended, for ever."""
        while True:
            for name, each in self.watched.items():
                if name not in self.held_down:
                    await asyncio.to_thread(each.start)
            await asyncio.sleep(RESTART_SECONDS)

    async def is_ready(self, url: str) -> bool:
        """Whether a webhook service is ready."""
        try:
            return (await self.control.get(f"{url}/readyz")).status_code == 200
        except httpx.TransportError:
            return False


@asynccontextmanager
async def deployed(shape: Shape, directory: Path) -> AsyncIterator[Deployment]:
    """PostgreSQL, Valkey, the fake platform, webhook services and workers, all ready."""
    async with AsyncExitStack() as stack:
        postgres = stack.enter_context(EmbeddedPostgres(directory=directory / "postgres", tcp=True))
        users = redis_users(directory)
        valkey = EmbeddedValkey(directory=directory / "valkey", settings=users)
        stack.enter_context(valkey)
        with_password(postgres)
        ports = [free_port() for _ in range(shape.webhooks)]
        deployment = Deployment(directory=directory, postgres=postgres, valkey=valkey, proxies={})
        stack.push_async_callback(deployment.control.aclose)
        rng = random.Random(f"{shape.seed} proxies")
        await _open(stack, deployment, "postgres", rng, (LOOPBACK, postgres.port))
        await _open(stack, deployment, "redis", rng, (LOOPBACK, valkey.port))
        targets = [("127.0.0.1", port) for port in ports]
        await _open(stack, deployment, "webhooks", rng, *targets)
        await _start_platform(shape, deployment, stack)
        await _open(stack, deployment, "platform", rng, _address(deployment.platform_url))
        await asyncio.to_thread(migrate, _write_config(shape, deployment, "migrate"))
        await asyncio.to_thread(note_writers, postgres.url)
        _start_ours(shape, deployment, stack, ports)
        supervising = asyncio.create_task(deployment.supervise())
        stack.callback(supervising.cancel)
        await wait_until_ready(deployment, [f"http://127.0.0.1:{port}" for port in ports])
        _check_clocks(deployment)
        yield deployment


async def until(what: str, holds: Callable[[], Any], seconds: float) -> None:
    """Wait until it holds; raises NotInTime."""
    try:
        async with asyncio.timeout(seconds):
            while not await holds():
                await asyncio.sleep(POLL_SECONDS)
    except TimeoutError as error:
        raise NotInTime(f"after {seconds:g} s: {what}") from error


async def _open(
    stack: AsyncExitStack,
    deployment: Deployment,
    name: str,
    rng: random.Random,
    *targets: tuple[str, int],
) -> None:
    proxy = Proxy(targets, rng)
    await proxy.start()
    stack.push_async_callback(proxy.stop)
    deployment.proxies[name] = proxy


async def _start_platform(shape: Shape, deployment: Deployment, stack: AsyncExitStack) -> None:
    options = PlatformOptions(
        webhook_base=f"http://127.0.0.1:{deployment.proxies['webhooks'].port}",
        app_id=APP_ID,
        secret_key=SECRET_KEY,
        agents=shape.agents,
        latency_seconds=0.03,
        doubled_share=0.05,
        seed=shape.seed,
    )
    await start_platform(deployment, stack, options)


async def start_platform(
    deployment: Deployment, stack: AsyncExitStack, options: PlatformOptions
) -> None:
    """Start the fake platform in this network namespace; it listens when this returns."""
    log = deployment.directory / "platform.log"
    command = [sys.executable, "-m", "tests.scenario.platform", json.dumps(asdict(options))]
    platform = OwnedProcess.spawn(command, log=log, stop_signal=SIGTERM)
    stack.callback(platform.stop)

    async def listens() -> bool:
        return await asyncio.to_thread(lambda: log.read_text().startswith("http"))

    await until("the platform listens", listens, STARTUP_SECONDS)
    deployment.platform_url = log.read_text().split()[0]


def migrate(config: Path) -> None:
    """Create the tables; raises NotInTime where that fails."""
    migrate = [sys.executable, "-m", "sebastian_apps.cli.main", "migrate", "-c", str(config)]
    done = subprocess.run(migrate, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NotInTime(f"the migration failed: {done.stdout}{done.stderr}")


def _start_ours(
    shape: Shape, deployment: Deployment, stack: AsyncExitStack, ports: list[int]
) -> None:
    for number, port in enumerate(ports, 1):
        arguments = ["sebastian_apps.entry.webhook", "--port", str(port)]
        _start(shape, deployment, stack, f"webhook {number}", *arguments)
    for number in range(1, shape.workers + 1):
        _start(shape, deployment, stack, f"worker {number}", "sebastian_apps.entry.worker")


def _start(
    shape: Shape, deployment: Deployment, stack: AsyncExitStack, name: str, *arguments: str
) -> None:
    command = ours(_write_config(shape, deployment, name.replace(" ", "-")), *arguments)
    watch(deployment, stack, name, command, off_seconds=shape.clocks_off.get(name, 0.0))


def ours(config: Path, *arguments: str) -> list[str]:
    """The command of one of our services."""
    return [sys.executable, "-m", *arguments, "-c", str(config)]


def watch(
    deployment: Deployment,
    stack: AsyncExitStack,
    name: str,
    command: list[str],
    *,
    off_seconds: float = 0.0,
) -> None:
    """Start a process that is started again whenever it has ended, until the stack is closed.

    `off_seconds` is by how much its wall clock is wrong.
    """
    file_name = name.replace(" ", "-")
    clock = WallClock(deployment.directory / f"{file_name}.clock")
    clock.put_off(off_seconds)
    log = deployment.directory / f"{file_name}.log"
    watched = deployment.watched[name] = Watched(name, command, log, clock)
    watched.start()
    stack.callback(lambda: watched.running().stop())


def _write_config(shape: Shape, deployment: Deployment, process: str) -> Path:
    ports = {name: proxy.port for name, proxy in deployment.proxies.items()}
    settings = shape.settings
    server = f"127.0.0.1:{ports['postgres']}/postgres?sslmode=disable"
    url = f"postgresql://{postgres_login()}{server}"
    told = quote(f"-c {WRITER}={process}")
    settings["db"] = {"connection_string": f"{url}&gssencmode=disable&options={told}"}
    settings["redis"] = {"url": f"redis://{redis_login()}127.0.0.1:{ports['redis']}/0"}
    settings["webhook"]["base_url"] = f"http://127.0.0.1:{ports['webhooks']}"
    settings["qiscus"] |= {
        "base_url": f"http://127.0.0.1:{ports['platform']}",
        "app_id": APP_ID,
        "secret_key": SECRET_KEY,
    }
    path = deployment.directory / f"{process}.yml"
    path.write_text(json.dumps(settings, indent=2))
    return path


def _check_clocks(deployment: Deployment) -> None:
    """Whoever was to have a wrong clock has logged by it."""
    for name, each in deployment.watched.items():
        seen, wanted = seconds_off_in(each.log), each.clock.off_seconds
        if seen is not None and abs(seen - wanted) > CLOCK_SLACK_SECONDS:
            raise NotInTime(f"the clock of {name} is off by {seen:g} s, not by {wanted:g} s")


async def wait_until_ready(deployment: Deployment, urls: list[str]) -> None:
    """All webhook services answer at these URLs, and all workers have begun."""

    async def ready() -> bool:
        return all([await deployment.is_ready(url) for url in urls])

    async def begun() -> bool:
        logs = [each.log for name, each in deployment.watched.items() if "worker" in name]
        return all(["worker started" in await asyncio.to_thread(log.read_text) for log in logs])

    await until("the webhook services are ready", ready, STARTUP_SECONDS)
    await until("the workers have started", begun, STARTUP_SECONDS)


def _address(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or 0
