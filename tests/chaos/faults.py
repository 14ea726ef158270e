"""What can go wrong: each fault takes its time and heals itself."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress

import redis
from attrs import asdict, define, field

from sebastian_apps.dev.servers import EmbeddedPostgres, EmbeddedValkey, ServerUnavailable
from sebastian_apps.fake_qiscus import InjectedFault
from sebastian_apps.fake_qiscus.faults import FaultKind
from tests.chaos.deployment import Deployment
from tests.chaos.proxy import Weather
from tests.chaos.shape import Shape

LATE_SHARE = 0.6
"""How much of `settle` a platform call may be held back: beyond it nothing is promised."""
CLOCKS_OFF = (-120.0, 0.0, 120.0)
SHORT, LONG = (0.2, 1.0), (0.5, 3.0)

OUTAGE_GRACE_SECONDS = 3.0
Work = Callable[[], Awaitable[None]]


@define(eq=False)
class Mischief:
    """Draws faults and carries them out, several at once where they overlap."""

    deployment: Deployment
    shape: Shape
    rng: random.Random
    done: Counter[str] = field(factory=Counter)
    outages: list[tuple[float, float]] = field(factory=list)
    """When the platform, the database or the workers were away, in Unix seconds."""
    _under_way: set[asyncio.Task[None]] = field(factory=set)
    _busy: set[str] = field(factory=set)
    failures: list[BaseException] = field(factory=list)

    async def play(self) -> None:
        """Begin a fault now and then until the time or their number is up; then heal all."""
        ends_at = time.monotonic() + self.shape.fault_seconds
        while time.monotonic() < ends_at and self.done.total() < self.shape.faults_at_most:
            self._begin(*self._draw())
            await asyncio.sleep(self.rng.expovariate(1 / self.shape.fault_pause_seconds))
        await self.heal()

    async def heal(self) -> None:
        """Wait for what is under way, then take everything back."""
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=60.0)
        for proxy in self.deployment.proxies.values():
            proxy.turn(Weather.CALM)
        await self.deployment.told("faults", method="DELETE")

    def _begin(self, owner: str, what: str, work: Work) -> None:
        """One fault at a time for each owner."""
        if owner in self._busy:
            return
        self._busy.add(owner)
        self.done[f"{what} {owner.split(' ', maxsplit=1)[0]}"] += 1
        task = asyncio.get_running_loop().create_task(self._carry_out(owner, work))
        self._under_way.add(task)
        task.add_done_callback(self._end)

    async def _carry_out(self, owner: str, work: Work) -> None:
        began = time.time()
        try:
            await work()
        finally:
            self._busy.discard(owner)
            self.outages.append((began, time.time() + OUTAGE_GRACE_SECONDS))

    def _end(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        error = task.exception()
        if error is not None:
            self.failures.append(error)

    def _draw(self) -> tuple[str, str, Work]:
        network, process, server, clock = self._network, self._process, self._server, self._clock
        return self.rng.choice((*(network, process, process, server) * 2, clock))()

    def _network(self) -> tuple[str, str, Work]:
        name = self.rng.choice(tuple(self.deployment.proxies))
        proxy = self.deployment.proxies[name]
        owner = f"{name} connections"
        if self.rng.random() < 0.4:
            what, act = self.rng.choice((("cut", proxy.cut), ("reset", proxy.reset)))

            async def break_off() -> None:
                act()

            return owner, what, break_off
        weather = self.rng.choice((Weather.DELAY, Weather.SLICE, Weather.BLACK_HOLE))
        seconds = self._seconds(name, LONG)

        async def blow() -> None:
            proxy.turn(weather)
            await asyncio.sleep(seconds)
            proxy.turn(Weather.CALM)

        return owner, weather, blow

    def _process(self) -> tuple[str, str, Work]:
        """SIGKILL, SIGTERM or SIGSTOP of one of ours; who has ended is started again."""
        name = self.rng.choice(tuple(self.deployment.watched))
        watched, seconds = self.deployment.watched[name], self.rng.uniform(*LONG)

        async def kill() -> None:
            await asyncio.to_thread(watched.running().kill)

        async def stop() -> None:
            self.deployment.held_down.add(name)
            await asyncio.to_thread(watched.running().stop)
            self.deployment.held_down.discard(name)

        async def freeze() -> None:
            process = watched.running()
            process.freeze()
            await asyncio.sleep(seconds)
            process.thaw()

        what, work = self.rng.choice((("SIGKILL", kill), ("SIGTERM", stop), ("SIGSTOP", freeze)))
        return name, what, work

    def _clock(self) -> tuple[str, str, Work]:
        """A wall clock jumps, and stays where it is; no outage, as nothing hangs on it."""
        name = self.rng.choice(tuple(self.deployment.watched))
        clock = self.deployment.watched[name].clock
        off = self.rng.choice([each for each in CLOCKS_OFF if each != clock.off_seconds])

        async def jump() -> None:
            clock.put_off(off)

        return f"{name} clock", f"clock {off:+g} s", jump

    def _server(self) -> tuple[str, str, Work]:
        return self.rng.choice(
            (self._misbehave, self._misbehave, self._misbehave, self._postgres, self._valkey)
        )()

    def _misbehave(self) -> tuple[str, str, Work]:
        """The platform answers wrongly, or not at all."""
        fault = self._fault()
        applied = ", applied" if fault.is_applied else ""
        status = f" {fault.status}" if fault.kind == "status" else ""

        async def tell() -> None:
            asked = {key: value for key, value in asdict(fault).items() if value is not None}
            await self.deployment.told("faults", asked)
            await asyncio.sleep(fault.for_seconds or 0.0)

        return f"platform {self.done.total()}", f"{fault.kind}{status}{applied}", tell

    def _fault(self) -> InjectedFault:
        rng, seconds = self.rng, self.rng.uniform(*LONG)
        kinds: tuple[FaultKind, ...] = ("status", "status", "reset", "silence", "rubbish")
        kind, status = rng.choice(kinds), rng.choice((429, 500, 502, 503, 400))
        may_be_applied = (kind, status) != ("status", 429)  # no platform says 429 and does it
        return InjectedFault(
            kind=kind,
            operation=rng.choice(("*", "assign_agent", "assign_agent", "available_agents")),
            probability=rng.choice((0.2, 0.5, 1.0)),
            for_seconds=seconds,
            is_applied=rng.random() < 0.5 and may_be_applied,
            status=status,
            retry_after_seconds=1,
            rubbish=rng.choice(("html", "empty", "other_shape", "truncated", "number")),
        )

    def _postgres(self) -> tuple[str, str, Work]:
        server = self.deployment.postgres
        return self._embedded("postgres", server, ("crash", "restart", "freeze"))

    def _valkey(self) -> tuple[str, str, Work]:
        server = self.deployment.valkey
        return self._embedded("redis", server, ("crash", "restart", "freeze", "flush"))

    def _embedded(
        self, name: str, server: EmbeddedPostgres | EmbeddedValkey, kinds: tuple[str, ...]
    ) -> tuple[str, str, Work]:
        what, seconds = self.rng.choice(kinds), self.rng.uniform(*SHORT)

        async def work() -> None:
            if what == "flush":
                await asyncio.to_thread(_flush, server.url)
            elif what == "freeze":
                server.freeze()
                await asyncio.sleep(seconds)
                server.thaw()
            else:
                await asyncio.to_thread(server.kill if what == "crash" else server.stop)
                await asyncio.sleep(seconds)
                await _start_again(server)

        return f"{name} server", what, work

    def _seconds(self, proxy: str, span: tuple[float, float]) -> float:
        seconds = self.rng.uniform(*span)
        if proxy != "platform":
            return seconds
        return min(seconds, LATE_SHARE * self.shape.settle_seconds)


async def _start_again(server: EmbeddedPostgres | EmbeddedValkey) -> None:
    with suppress(ServerUnavailable):
        await asyncio.to_thread(server.start)
        return
    await asyncio.sleep(1.0)
    await asyncio.to_thread(server.start)


def _flush(url: str) -> None:
    """Ours alone: this server was started for this run."""
    with redis.Redis.from_url(url) as client:
        client.flushall()
