"""The real processes that are measured: servers, the stand-in platform, our two services."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from signal import SIGTERM
from typing import Any

import httpx
import psycopg
from attrs import define, field

from benchmarks.measuring import cpu_seconds
from sebastian_adapters.postgres.migrate import migrate
from sebastian_apps.dev.owned_process import OwnedProcess
from sebastian_apps.dev.servers import EmbeddedPostgres, EmbeddedValkey

APP_ID, SECRET_KEY = "demoapp-x1y2z3a4b5c6d7e", "FAKE_SECRET"
STARTUP_SECONDS = 60.0


@define
class Program:
    """One process of ours while it runs."""

    name: str
    process: OwnedProcess
    log: Path

    @property
    def pid(self) -> int:
        """The process."""
        return self.process.pid

    def check(self) -> None:
        """Raise RuntimeError, with the end of its log, when it has ended."""
        if not self.process.running:
            raise RuntimeError(f"{self.name} ended:\n{self.log.read_text()[-3000:]}")

    @property
    def cpu(self) -> float:
        """Processor seconds used so far, children included."""
        return cpu_seconds(self.pid)


@define
class Stage:
    """Servers that stay up for a whole run; databases and processes come and go on them."""

    directory: Path
    postgres: EmbeddedPostgres
    valkey: EmbeddedValkey
    _databases: int = field(default=0, init=False)
    _started: int = field(default=0, init=False)

    @property
    def postgres_cpu(self) -> float:
        """Processor seconds of PostgreSQL with all its backends."""
        return cpu_seconds(self.postgres.pid or 0)

    @property
    def valkey_cpu(self) -> float:
        """Processor seconds of Valkey."""
        return cpu_seconds(self.valkey.pid or 0)

    def new_database(self) -> str:
        """The URL of a fresh database with our tables in it."""
        self._databases += 1
        name = f"run{self._databases}"
        with psycopg.connect(self.postgres.url, autocommit=True) as connection:
            connection.execute(f"create database {name}".encode())
        url = self.postgres.database_url(name)
        asyncio.run(migrate(url))
        return url

    def new_redis(self) -> str:
        """The URL of a numbered database that nobody used yet."""
        self._databases += 1
        return self.valkey.database_url(self._databases)

    @contextmanager
    def program(self, name: str, module: str, *arguments: str) -> Iterator[Program]:
        """A Python module as a process; stopped at the end."""
        self._started += 1
        log = self.directory / f"{self._started}-{name}.log"
        process = OwnedProcess.spawn(
            [sys.executable, "-m", module, *arguments], log=log, stop_signal=SIGTERM
        )
        try:
            yield Program(name, process, log)
        finally:
            process.stop()

    def config(self, name: str, settings: Mapping[str, Any]) -> Path:
        """A configuration file (JSON is YAML)."""
        path = self.directory / f"{name}.yml"
        path.write_text(json.dumps(settings))
        return path


@contextmanager
def staged() -> Iterator[Stage]:
    """PostgreSQL with fsync and Valkey, in a directory that is removed afterwards."""
    directory = Path(tempfile.mkdtemp(prefix="sebastian-benchmarks-"))
    directory.chmod(0o755)
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, directory, ignore_errors=True)
        postgres = stack.enter_context(EmbeddedPostgres(directory=directory / "postgres", tcp=True))
        valkey = stack.enter_context(EmbeddedValkey(directory=directory / "valkey", tcp=True))
        yield Stage(directory, postgres, valkey)


@define
class FakePlatform:
    """The stand-in platform in a process of its own, and its control API."""

    program: Program
    url: str
    control: httpx.Client = field(factory=lambda: httpx.Client(timeout=60.0))

    def told(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """A GET, or a POST where there is a body."""
        url = f"{self.url}/_fake/{path}"
        answer = self.control.get(url) if body is None else self.control.post(url, json=body)
        answer.raise_for_status()
        return answer.json()

    def events(self) -> list[dict[str, Any]]:
        """Everything that truly happened."""
        return self._all("log", "events")

    def deliveries(self) -> list[dict[str, Any]]:
        """What became of every webhook."""
        return self._all("deliveries", "deliveries")

    def calls(self) -> int:
        """How many calls it has answered."""
        return sum(self.told("calls")["answered"].values())

    def _all(self, path: str, key: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        while page := self.told(f"{path}?after={len(found)}")[key]:
            found += page
        return found


@contextmanager
def fake_platform(
    stage: Stage, *, agents: int, latency_seconds: float, webhook_base: str | None = None
) -> Iterator[FakePlatform]:
    """One that listens and has its agents online."""
    arguments = [
        "--port", "0", "--app-id", APP_ID, "--secret-key", SECRET_KEY,
        "--agents", str(agents), "--latency-ms", str(latency_seconds * 1000),
        *(["--webhook-base", webhook_base] if webhook_base else []),
    ]  # fmt: skip
    with stage.program("platform", "sebastian_apps.fake_qiscus", *arguments) as program:
        wait_until("the platform listens", lambda: "http://" in program.log.read_text(), program)
        url = program.log.read_text().split()[-1]
        platform = FakePlatform(program, url)
        try:
            yield platform
        finally:
            platform.control.close()


def settings(
    *, database_url: str, redis_url: str, platform_url: str, port: int = 3000, **sections: Any
) -> dict[str, Any]:
    """A deployment's configuration with a rate limit that is out of the way."""
    base: dict[str, Any] = {
        "listen": {"port": port},
        "db": {"connection_string": database_url},
        "redis": {"url": redis_url},
        "webhook": {"base_url": f"http://127.0.0.1:{port}"},
        "qiscus": {
            "base_url": platform_url,
            "app_id": APP_ID,
            "secret_key": SECRET_KEY,
            "rate_limit": 10_000,
            "burst": 10_000,
            "in_flight": 64,
        },
        "log": {"format": "json"},
    }
    for name, section in sections.items():
        base[name] = {**base.get(name, {}), **section}
    return base


def wait_until(
    what: str, holds: Callable[[], bool], *programs: Program, seconds: float = STARTUP_SECONDS
) -> None:
    """Wait for something that these programs do; raises when it does not hold in time."""
    deadline = time.monotonic() + seconds
    while not holds():
        for program in programs:
            program.check()
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds:g} s: {what}")
        time.sleep(0.02)
