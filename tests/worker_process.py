"""`sebastian-worker` as a real process, against whatever a configuration names."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from signal import SIGTERM

from attrs import define

from sebastian_apps.dev.owned_process import OwnedProcess
from tests.waiting import until


@define
class WorkerProcess:
    """A worker, or the parent of several, and what it has written so far."""

    process: OwnedProcess
    log: Path

    @property
    def said(self) -> str:
        """Standard output and standard error."""
        return self.log.read_text()

    async def says(self, text: str, *, times: int = 1, seconds: float = 20.0) -> None:
        """Come back when it has said this so often."""
        await until(lambda: self.said.count(text) >= times, seconds)


@asynccontextmanager
async def worker_process(
    config: Path, *arguments: str, environ: Mapping[str, str] | None = None, name: str = "worker"
) -> AsyncIterator[WorkerProcess]:
    """A worker with this configuration that has started, for as long as the block lasts."""
    log = config.with_name(f"{name}.log")
    command = [sys.executable, "-m", "sebastian_apps.worker.main", "-c", str(config), *arguments]
    env = {**os.environ, **(environ or {})}
    process = OwnedProcess.spawn(command, log=log, stop_signal=SIGTERM, options={"env": env})
    try:
        worker = WorkerProcess(process, log)
        await until(lambda: "worker started" in worker.said or not process.running, 20.0)
        yield worker
    finally:
        await asyncio.to_thread(process.stop)
