"""The processes of ours: workers and webhook services, and who starts them again."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Awaitable, Callable
from typing import Any

from sebastian_apps.http.parts import COMMIT_SECONDS
from sebastian_apps.http.payloads import decode_arrival, decode_resolution
from sebastian_apps.worker.worker import Worker
from sebastian_core.domain.errors import StoreUnavailable
from tests.simulation.process import OUTSIDE, Process
from tests.simulation.stores import Stores, build_allocator, build_worker

PLATFORM_PATIENCE_SECONDS = 10.0
UseCase = Callable[[Any], Awaitable[Any]]


class Service:
    """One place in which a process runs; a new one is started after a crash."""

    def __init__(self, stores: Stores, name: str) -> None:
        self._stores = stores
        self._name = name
        self._rng = random.Random(f"{stores.scenario.seed} supervisor of {name}")
        self._born = 0
        self.process = Process(f"{name}.0", stores.trace, is_dead=True)

    def start(self) -> None:
        """Start, and start again after every crash."""
        OUTSIDE.start(self._supervise())

    async def _supervise(self) -> None:
        while True:
            self._born += 1
            self.process = Process(
                f"{self._name}.{self._born}", self._stores.trace, ended=asyncio.Event()
            )
            self.begin(self.process)
            assert self.process.ended is not None
            await self.process.ended.wait()
            await asyncio.sleep(self._rng.uniform(0.2, 6.0))

    def begin(self, process: Process) -> None:
        """Start what runs in this process."""


class WorkerService(Service):
    """A worker; one that ends by itself is a surprise, unless it was asked to."""

    worker: Worker

    def begin(self, process: Process) -> None:
        """Run the real worker loops."""
        self.worker = self._worker(process)
        task = process.spawn(self.worker.run())
        task.add_done_callback(lambda done: self._on_end(done, process))

    def _worker(self, process: Process) -> Worker:
        return build_worker(self._stores, process)

    def terminate(self) -> None:
        """Ask it to stop, as SIGTERM does."""
        if not self.process.is_dead:
            self.process.tell("is asked to stop")
            self._stores.trace.others["terminated"] += 1
            self.worker.stop()

    def _on_end(self, task: asyncio.Task[Any], process: Process) -> None:
        if not process.is_dead and not task.cancelled():
            error = task.exception()
            if error is not None:
                self._stores.trace.surprises.append(f"{process.name} ended: {error!r}")
            process.tell("ended")
            process.is_dead = True
        if process.ended is not None:
            process.ended.set()


class WebhookService(Service):
    """The webhook service: decodes for real, commits within its limit or answers 503."""

    def begin(self, process: Process) -> None:
        """Build the allocator of this process."""
        allocator = build_allocator(self._stores, process)
        self._admit: UseCase = allocator.admit
        self._resolve: UseCase = allocator.resolve

    async def receive(self, kind: str, body: dict[str, Any]) -> int | None:
        """Answer the platform; None where it gets no answer."""
        process = self.process
        if process.is_dead:
            return None
        task = process.spawn(self._answer(process, kind, json.dumps(body).encode()))
        await asyncio.wait({task}, timeout=PLATFORM_PATIENCE_SECONDS)
        if not task.done() or task.cancelled():
            return None
        status: int = task.result()
        return status

    async def _answer(self, process: Process, kind: str, payload: bytes) -> int:
        await process.ready()
        try:
            async with asyncio.timeout(COMMIT_SECONDS):
                if kind == "allocation":
                    arrival = decode_arrival(payload)
                    decided: Any = await self._admit(arrival)
                    process.tell(f"admit {arrival.room_id} -> {decided.answer}")
                else:
                    resolution = decode_resolution(payload)
                    decided = await self._resolve(resolution)
                    process.tell(
                        f"resolve {resolution.room_id} {resolution.service_id} -> {decided.answer}"
                    )
        except (StoreUnavailable, TimeoutError):
            return 503
        await process.ready()
        return 200
