"""A whole webhook service to be abused: real stores, a stand-in platform, every route open."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from signal import SIGTERM

from attrs import frozen

from sebastian_adapters.postgres.migrate import migrate
from sebastian_adapters.testing.waiting import until
from sebastian_apps.dev.owned_process import OwnedProcess
from sebastian_apps.fake_qiscus import FakeConfig, FakeQiscus, serve

HOOK_TOKEN = "the-webhook-token-of-the-hostile-stage"
ADMIN_TOKEN = "the-admin-token-of-the-hostile-stage"
STARTUP_SECONDS = 30.0


@frozen
class Stage:
    """Where the service is, and what is behind it."""

    url: str
    log: Path
    database_url: str
    fake: FakeQiscus
    pid: int


@asynccontextmanager
async def a_stage(
    folder: Path, postgres_url: str, redis_url: str, *, files: int = 1024
) -> AsyncIterator[Stage]:
    """`sebastian-webhook` as a process of its own, that may have so many files open."""
    await migrate(postgres_url)
    log = folder / "webhook.log"
    async with serve(FakeConfig()) as fake:
        command = ["sh", "-c", f'ulimit -n {files}; exec "$@"', "sh"]
        command += [sys.executable, "-m", "sebastian_apps.entry.webhook", "--port", "0"]
        env = os.environ | _environ(fake, postgres_url, redis_url)
        process = OwnedProcess.spawn(command, log=log, stop_signal=SIGTERM, options={"env": env})
        try:
            await until(lambda: "listening" in log.read_text(), STARTUP_SECONDS)
            yield Stage(_address(log), log, postgres_url, fake, process.pid)
        finally:
            await asyncio.to_thread(process.stop)


def _environ(fake: FakeQiscus, postgres_url: str, redis_url: str) -> dict[str, str]:
    account = fake.config.account
    return {
        "QT_DB_CONNECTION_STRING": postgres_url,
        "QT_REDIS_URL": redis_url,
        "QT_QISCUS_BASE_URL": fake.url,
        "QT_QISCUS_APP_ID": account.app_code,
        "QT_QISCUS_SECRET_KEY": account.secret_key,
        "QT_WEBHOOK_BASE_URL": "https://sebastian.example",
        "QT_WEBHOOK_TOKEN": HOOK_TOKEN,
        "QT_ADMIN_TOKEN": ADMIN_TOKEN,
        "QT_LOG_FORMAT": "json",
    }


def _address(log: Path) -> str:
    events = [json.loads(line) for line in log.read_text().splitlines() if "listening" in line]
    return str(events[0]["url"])
