"""One trial's stage: a fake platform, a database, and the process of the moment."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import time
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, cast

from attrs import define, field

from sebastian_adapters.memory.platform import Resolved
from sebastian_apps.fake_qiscus import FakeQiscus, InjectedFault
from tests.crash import office
from tests.oracle import Delivered
from tests.simulation.mutants import Mutant

ORDER_SECONDS = 30.0
"""How long one order may take, at most, before the trial is given up."""
GIVEN_SECONDS = 10.0
ROUND = ("probe", "refresh", "reconcile", "settle", "lift", "dispatch")
"""What a worker does again and again."""

PROCESSES = multiprocessing.get_context("forkserver")


class Died(Exception):
    """The process ended before it answered."""


class NotGiven(Exception):
    """The stage could not be set: a chat that was to be served is not, in good time."""


@define
class Actor:
    """One process that takes orders."""

    _process: Any
    _orders: Connection
    _threads: ThreadPoolExecutor

    @classmethod
    async def start(
        cls, config: Path, threads: ThreadPoolExecutor, mutant: Mutant | None = None
    ) -> Actor:
        """Start a fresh process; it opens its connections before the first order."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(threads, cls._started, config, threads, mutant)

    @classmethod
    def _started(cls, config: Path, threads: ThreadPoolExecutor, mutant: Mutant | None) -> Actor:
        ours, theirs = PROCESSES.Pipe()
        process = PROCESSES.Process(target=office.run, args=(theirs, config, mutant), daemon=True)
        process.start()
        theirs.close()
        return cls(process, ours, threads)

    async def act(self, *order: Any) -> Any:
        """Order, and wait for the answer; Died where none comes."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._ask, order)

    async def end(self) -> int | None:
        """Close the pipe and wait until the process has ended; its exit code."""
        self._orders.close()
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._threads, self._process.join, ORDER_SECONDS)
        if self._process.is_alive():
            self._process.kill()
        return cast("int | None", self._process.exitcode)

    async def kill(self) -> None:
        """End it at once: it has said all that it had to say."""
        self._process.kill()
        await self.end()

    def _ask(self, order: tuple[Any, ...]) -> Any:
        try:
            self._orders.send(order)
            if not self._orders.poll(ORDER_SECONDS):
                raise Died(f"no answer to {order[0]} within {ORDER_SECONDS:g} s")
            return self._orders.recv()
        except (EOFError, BrokenPipeError, ConnectionResetError) as error:
            raise Died(f"ended during {order[0]}") from error


@define
class Stage:
    """What a story plays on."""

    fake: FakeQiscus
    config: Path
    threads: ThreadPoolExecutor
    actor: Actor
    pace: float = 1.0
    """How many times longer all durations are than in a hurry."""
    kill_at: str | None = None
    agents: list[int] = field(factory=list)
    deliveries: list[Delivered] = field(factory=list)
    wrong_until: float = 0.0
    """On the platform's clock: when the last fault that goes by time is over."""

    async def act(self, *order: Any) -> Any:
        """Have the process of the moment do something."""
        return await self.actor.act(*order)

    async def arm(self) -> None:
        """The steps count from here on."""
        await self.act("arm", self.kill_at, False)

    async def passes(self, seconds: float) -> None:
        """Time, at this pace."""
        await asyncio.sleep(seconds * self.pace)

    def goes_wrong(self, fault: InjectedFault) -> None:
        """The platform misbehaves from now on."""
        self.fake.add_fault(fault)
        if fault.for_seconds is not None:
            ends_at = self.fake.platform.clock() + fault.for_seconds
            self.wrong_until = max(self.wrong_until, ends_at)

    async def arrived(self) -> str:
        """A customer who waits in our line, with agents that we know."""
        await self.act("refresh")
        return await self.arrives()

    async def given(self) -> str:
        """A customer who is served, by us."""
        room = await self.arrived()
        ends_at = time.monotonic() + GIVEN_SECONDS * self.pace
        await self.act("dispatch")
        while not self.fake.platform.agents_in(room):
            if time.monotonic() > ends_at:
                raise NotGiven(f"room {room} is served by nobody")
            await self.works()
        return room

    async def works(self) -> None:
        """One round of what a worker does."""
        for order in ROUND:
            await self.act(order)

    async def arrives(self, room: str | None = None) -> str:
        """A customer writes, and the webhook comes."""
        platform = self.fake.platform
        room = room or platform.new_room_id()
        body = platform.customer_message(room)
        if body is not None:
            await self._deliver("admit", room, body)
        return room

    def is_resolved(self, room: str) -> Resolved:
        """The agent resolves it at the platform; the webhook is on its way, or lost."""
        (agent,) = self.fake.platform.agents_in(room)
        resolved = self.fake.platform.mark_as_resolved(room, by=agent, actor="agent")
        if not isinstance(resolved, Resolved):
            raise TypeError(resolved.message)
        return resolved

    async def resolves(self, resolved: Resolved) -> None:
        """The webhook of a resolve comes."""
        await self.act("resolve", json.dumps(resolved.webhook).encode())

    async def _deliver(self, order: str, room: str, body: Any) -> None:
        """Acknowledged once the process says so: only then has anything been promised."""
        clock, service = self.fake.platform.clock, self.fake.platform.open_service_id(room)
        sent_at = clock()
        await self.act(order, json.dumps(body).encode())
        self.deliveries.append(
            Delivered(
                kind="allocation",
                room_id=room,
                service_id=service,
                fired_at=sent_at,
                sent_at=sent_at,
                answered_at=clock(),
                status=200,
            )
        )
