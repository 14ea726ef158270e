"""The real processes of one run: started in order, measured, and stopped by their pid."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from signal import SIGTERM
from typing import Any

import httpx
import psutil
from attrs import asdict, define, field

from sebastian_apps.dev.owned_process import OwnedProcess
from sebastian_apps.dev.servers import EmbeddedPostgres, EmbeddedValkey, free_port
from tests.scenario.metrics import Scraped
from tests.scenario.platform import PlatformOptions
from tests.scenario.scenarios import Scenario
from tests.scraping import Scrape
from tests.secured import redis_url, redis_users, with_password

APP_ID, SECRET_KEY = "demoapp-x1y2z3a4b5c6d7e", "FAKE_SECRET"
STARTUP_SECONDS = 30.0
SCRAPES_TRIED = 50
_POLL_SECONDS = 0.05


class NotReady(Exception):
    """Something did not come up, or did not come to rest, in time."""


@define(kw_only=True)
class Deployment:
    """What runs, and where it is reached."""

    directory: Path
    database_url: str
    platform_url: str = ""
    webhook_url: str = ""
    pids: dict[str, int] = field(factory=dict)
    started: dict[str, OwnedProcess] = field(factory=dict)
    control: httpx.Client = field(factory=lambda: httpx.Client(timeout=10.0))

    def told(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """One request to the platform's control API: a GET, or a POST where there is a body."""
        url = f"{self.platform_url}/_fake/{path}"
        answer = self.control.get(url) if body is None else self.control.post(url, json=body)
        answer.raise_for_status()
        return answer.json()

    def scraped(self) -> Scraped:
        """What every process tells Prometheus, at a moment when the platform is left alone."""
        for _ in range(SCRAPES_TRIED):
            before = self.told("calls")["answered"]
            webhook, workers = self._scrape(self.webhook_url), self._metrics_urls()
            scrapes = [self._scrape(url) for url in workers]
            if self.told("calls")["answered"] == before:
                return Scraped(webhook=webhook, workers=scrapes, answered=before)
        raise NotReady("the platform was called during every scrape")

    def _metrics_urls(self) -> list[str]:
        """Each worker takes a port of its own, and logs it."""
        workers = [name for name in self.started if name.startswith("worker")]
        return [f"http://127.0.0.1:{_metrics_port(_log(self, name))}" for name in workers]

    def _scrape(self, url: str) -> Scrape:
        answer = self.control.get(f"{url}/metrics")
        answer.raise_for_status()
        return Scrape.of(answer.text)

    def check_alive(self) -> None:
        """Raise NotReady, with the end of its log, when a process has ended."""
        for name, process in self.started.items():
            if not process.running:
                raise NotReady(f"{name} ended: {_log(self, name).read_text()[-2000:]}")

    def cpu_seconds(self) -> dict[str, float]:
        """How much processor time each process, with its children, has used so far."""
        return {name: _cpu_seconds(pid) for name, pid in self.pids.items()}


@contextmanager
def deployed(scenario: Scenario, directory: Path) -> Iterator[Deployment]:
    """PostgreSQL, Valkey, the fake platform, one webhook service and the workers, all ready."""
    with ExitStack() as stack:
        postgres = stack.enter_context(EmbeddedPostgres(directory=directory / "postgres", tcp=True))
        users = redis_users(directory)
        valkey = EmbeddedValkey(directory=directory / "valkey", settings=users)
        stack.enter_context(valkey)
        deployment = Deployment(directory=directory, database_url=with_password(postgres))
        deployment.pids |= {"postgres": _pid(postgres), "valkey": _pid(valkey)}
        stack.callback(deployment.control.close)
        port = free_port()
        deployment.webhook_url = f"http://127.0.0.1:{port}"
        _start_platform(scenario, deployment, stack)
        config = _write_config(scenario, deployment, redis_url(valkey), port)
        _migrate(config)
        _start(deployment, stack, "webhook", "sebastian_apps.entry.webhook", "-c", str(config))
        for number in range(1, scenario.workers + 1):
            module = "sebastian_apps.entry.worker"
            _start(deployment, stack, f"worker {number}", module, "-c", str(config))
        _wait_until_ready(deployment, scenario)
        yield deployment


def wait_until(what: str, holds: Callable[[], bool], seconds: float) -> None:
    """Wait for something; raises NotReady when it does not hold in time."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise NotReady(f"after {seconds:g} s: {what}")
        time.sleep(_POLL_SECONDS)


def _start_platform(scenario: Scenario, deployment: Deployment, stack: ExitStack) -> None:
    options = PlatformOptions(
        webhook_base=deployment.webhook_url,
        app_id=APP_ID,
        secret_key=SECRET_KEY,
        agents=scenario.floor.agents,
        latency_seconds=scenario.latency_seconds,
        doubled_share=scenario.doubled_share,
        seed=scenario.floor.seed,
    )
    told = json.dumps(asdict(options))
    _start(deployment, stack, "platform", "tests.scenario.platform", told)
    log = _log(deployment, "platform")
    wait_until("the platform listens", lambda: log.read_text().startswith("http"), STARTUP_SECONDS)
    deployment.platform_url = log.read_text().split()[0]
    deployment.told(
        "switches",
        {
            "latest_service": scenario.latest_service,
            "counts_lag_seconds": scenario.counts_lag_seconds,
        },
    )


def _write_config(scenario: Scenario, deployment: Deployment, redis_url: str, port: int) -> Path:
    settings = scenario.settings
    settings["listen"] = {"port": port}
    settings["db"] = {"connection_string": deployment.database_url}
    settings["redis"] = {"url": redis_url}
    settings["webhook"]["base_url"] = deployment.webhook_url
    settings["qiscus"] |= {
        "base_url": deployment.platform_url,
        "app_id": APP_ID,
        "secret_key": SECRET_KEY,
    }
    settings["log"] = {"format": "json"}
    settings["metrics"] = {"port": free_port()}
    path = deployment.directory / "config.yml"
    path.write_text(json.dumps(settings, indent=2))
    return path


def _migrate(config: Path) -> None:
    command = [sys.executable, "-m", "sebastian_apps.cli.main", "migrate", "-c", str(config)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NotReady(f"the migration failed: {done.stdout}{done.stderr}")


def _start(
    deployment: Deployment, stack: ExitStack, name: str, module: str, *arguments: str
) -> None:
    process = OwnedProcess.spawn(
        [sys.executable, "-m", module, *arguments],
        log=_log(deployment, name),
        stop_signal=SIGTERM,
    )
    stack.callback(process.stop)
    deployment.pids[name] = process.pid
    deployment.started[name] = process


def _log(deployment: Deployment, name: str) -> Path:
    return deployment.directory / f"{name.replace(' ', '-')}.log"


def _wait_until_ready(deployment: Deployment, scenario: Scenario) -> None:
    wait_until("the webhook service is ready", lambda: _is_ready(deployment), STARTUP_SECONDS)
    wait_until(
        "the workers have read the agents and the waiting rooms",
        lambda: _have_begun(deployment, scenario),
        STARTUP_SECONDS,
    )


def _is_ready(deployment: Deployment) -> bool:
    deployment.check_alive()
    try:
        return deployment.control.get(f"{deployment.webhook_url}/readyz").status_code == 200
    except httpx.TransportError:
        return False


def _have_begun(deployment: Deployment, scenario: Scenario) -> bool:
    deployment.check_alive()
    answered = deployment.told("calls")["answered"]
    logs = [_log(deployment, f"worker {n}") for n in range(1, scenario.workers + 1)]
    has_read = answered.get("agents 200", 0) and answered.get("customer_rooms 200", 0)
    return bool(has_read) and all("worker started" in log.read_text() for log in logs)


def _metrics_port(log: Path) -> int:
    for line in log.read_text().splitlines():
        if line.startswith("{") and (entry := json.loads(line))["event"] == "metrics are served":
            return int(entry["port"])
    raise NotReady(f"{log.stem} serves no metrics")


def _pid(server: EmbeddedPostgres | EmbeddedValkey) -> int:
    if server.pid is None:
        raise NotReady(f"{type(server).__name__} ended")
    return server.pid


def _cpu_seconds(pid: int) -> float:
    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0.0
    return sum(_own_cpu_seconds(each) for each in family)


def _own_cpu_seconds(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    used = times.user + times.system
    return float(used + times.children_user + times.children_system)
