"""Simulated processes: each has its own tasks and objects, can crash, be stopped and wake."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Coroutine
from datetime import datetime, timedelta
from typing import Any

from attrs import define, field

from sebastian_core.ports.clock import Clock
from tests.simulation.tracing import Trace

OUTLIVES = "_between_hooks"
"""A request that was sent goes on when its sender is gone."""


@define(eq=False)
class Process:
    """One process of ours, or (without a name) the world outside."""

    name: str
    trace: Trace | None = None
    is_dead: bool = False
    wakes_at: float = 0.0
    tasks: dict[asyncio.Task[Any], None] = field(factory=dict)
    ended: asyncio.Event | None = None

    def spawn(self, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Start a task that belongs to this process, as will all tasks that it starts."""
        context = contextvars.copy_context()
        context.run(CURRENT.set, self)
        return asyncio.get_running_loop().create_task(coroutine, context=context)

    def start(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        """Like `spawn`, for a task that nobody waits for; the world outside keeps its own."""
        task = self.spawn(coroutine)
        self.tasks[task] = None
        task.add_done_callback(lambda done: self.tasks.pop(done, None))

    async def ready(self) -> None:
        """Return when the process may go on: a dead one never does, a stopped one when it wakes."""
        if self.is_dead:
            raise asyncio.CancelledError
        now = asyncio.get_running_loop().time
        while (rest := self.wakes_at - now()) > 0:
            await asyncio.sleep(rest)

    def crash(self) -> None:
        """Die here: nothing of this process runs on, nothing is cleaned up in any store."""
        if self.is_dead:
            return
        self.is_dead = True
        self.tell("crashes")
        for task in list(self.tasks):
            task.cancel()
        if self.ended is not None:
            self.ended.set()

    def stop(self, seconds: float) -> None:
        """Stop, as SIGSTOP does, and wake after so long."""
        self.tell(f"is stopped for {seconds:.0f} s")
        self.wakes_at = asyncio.get_running_loop().time() + seconds

    @property
    def is_awake(self) -> bool:
        """Whether it lives and is not stopped."""
        return not self.is_dead and self.wakes_at <= asyncio.get_running_loop().time()

    def tell(self, what: str) -> None:
        """Add a line to the trace."""
        if self.trace is not None:
            self.trace.tell(self.name, what)


OUTSIDE = Process("outside")
CURRENT: contextvars.ContextVar[Process] = contextvars.ContextVar("CURRENT", default=OUTSIDE)


def own_tasks(
    loop: asyncio.AbstractEventLoop,
    coroutine: Coroutine[Any, Any, Any],
    *,
    context: contextvars.Context | None = None,
) -> asyncio.Task[Any]:
    """The loop's task factory: a new task belongs to the process that starts it."""
    task: asyncio.Task[Any] = asyncio.Task(coroutine, loop=loop, context=context)
    owner = context.get(CURRENT, OUTSIDE) if context is not None else CURRENT.get()
    if owner is OUTSIDE or getattr(coroutine, "__qualname__", "").endswith(OUTLIVES):
        return task
    owner.tasks[task] = None
    task.add_done_callback(lambda done: owner.tasks.pop(done, None))
    return task


class ProcessClock(Clock):
    """A process's estimate of the database's time: right but for a constant error."""

    def __init__(self, truth: Clock, *, off_seconds: float) -> None:
        self._truth = truth
        self._off = timedelta(seconds=off_seconds)

    def now(self) -> datetime:
        """See Clock.now."""
        return self._truth.now() + self._off

    def monotonic(self) -> float:
        """See Clock.monotonic."""
        return self._truth.monotonic()
