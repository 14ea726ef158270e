"""`sebastian-worker` as a real process, against whatever a configuration names."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from signal import SIGTERM

from attrs import define, field

from sebastian_adapters.testing.waiting import until
from sebastian_apps.dev.owned_process import OwnedProcess

FOR_EVER = 3600.0


@define
class WorkerProcess:
    """A worker, what it has written so far, and how those before it ended."""

    process: OwnedProcess
    log: Path
    ends: list[int] = field(factory=list)

    @property
    def said(self) -> str:
        """Standard output and standard error."""
        return self.log.read_text()

    async def says(self, text: str, *, times: int = 1, seconds: float = 20.0) -> None:
        """Come back when it has said this so often."""
        await until(lambda: self.said.count(text) >= times, seconds)


@asynccontextmanager
async def worker_process(
    config: Path,
    *arguments: str,
    environ: Mapping[str, str] | None = None,
    name: str = "worker",
    restarts: bool = False,
) -> AsyncIterator[WorkerProcess]:
    """A worker with this configuration that has started, for as long as the block lasts.

    With `restarts` it is started again whenever it ends, as a service manager does.
    """
    log = config.with_name(f"{name}.log")
    command = [sys.executable, "-m", "sebastian_apps.entry.worker", "-c", str(config), *arguments]
    env = {**os.environ, **(environ or {})}

    def spawn() -> OwnedProcess:
        return OwnedProcess.spawn(command, log=log, stop_signal=SIGTERM, options={"env": env})

    async def restart() -> None:
        while True:
            await until(lambda: not worker.process.running, FOR_EVER)
            worker.ends.append(worker.process._child.returncode)
            worker.process.stop()
            worker.process = spawn()

    worker = WorkerProcess(spawn(), log)
    restarting = asyncio.create_task(restart()) if restarts else None
    try:
        await until(lambda: "worker started" in worker.said or not worker.process.running, 20.0)
        yield worker
    finally:
        if restarting is not None:
            restarting.cancel()
            await asyncio.wait({restarting})
        await asyncio.to_thread(worker.process.stop)
