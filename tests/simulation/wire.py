"""Stands between a process and a port: every call may fail, hang, crash or stop the process."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

from sebastian_core.domain.errors import Fault as PlatformFault
from sebastian_core.domain.errors import PlatformUnavailable, SebastianError, StoreUnavailable
from tests.simulation.plan import PORTS, STOPPED_SECONDS, Fault, Kind, is_async
from tests.simulation.process import OUTSIDE, Process
from tests.simulation.schedule import Schedule, error_of

TIMEOUT_SECONDS = dict.fromkeys(PORTS, 5.0) | {"agent_store": 2.0}
LATE_BY_SECONDS = dict.fromkeys(PORTS, 0.0) | {"qiscus_client": 1.0}
"""How long after its caller gave up a hanging call may still be applied."""

_PAUSING = 0.25
"""How often a call takes time at all, on each way: the others are as quick as can be."""

Verb = Callable[..., Awaitable[Any]]


class Wire:
    """One process's way to one port; built generically over the port's methods."""

    def __init__(
        self, port: str, target: object, process: Process, schedule: Schedule, rng: random.Random
    ) -> None:
        self._port = port
        self._target = target
        self._process = process
        self._schedule = schedule
        self._rng = rng
        self._latency_seconds = 0.0 if port == "qiscus_client" else 0.003

    def __getattr__(self, method: str) -> Any:
        verb = getattr(self._target, method)
        if method.startswith("_") or not callable(verb):
            return verb
        wired = self._wired(method, verb) if is_async(self._port, method) else self._bell(verb)
        self.__dict__[method] = wired
        return wired

    def _wired(self, method: str, verb: Verb) -> Verb:
        async def call(*args: Any, **kwargs: Any) -> Any:
            self._begins(method, args)
            await self._process.ready()
            fault = self._schedule.strike(self._port, method)
            trouble = self._schedule.trouble(self._port)
            try:
                if fault is not None:
                    answer = await self._faulty(fault, method, verb, args, kwargs)
                elif trouble is not None:
                    answer = await self._troubled(trouble, verb, args, kwargs)
                else:
                    answer = await self._plain(verb, args, kwargs)
            except SebastianError as error:
                self._tell(method, args, f"raised {error}")
                await self._process.ready()
                raise
            self._tell(method, args, answer)
            await self._process.ready()
            return answer

        return call

    def _begins(self, method: str, args: Any) -> None:
        trace = self._process.trace
        if method == "assign" and trace is not None and not self._process.is_dead:
            trace.begun.append((asyncio.get_running_loop().time(), args[0], args[1]))

    async def _plain(self, verb: Verb, args: Any, kwargs: Any) -> Any:
        await self._linger()
        answer = await verb(*args, **kwargs)
        await self._linger()
        return answer

    async def _linger(self) -> None:
        share = self._rng.random()
        if share < _PAUSING:
            await asyncio.sleep(share / _PAUSING * self._latency_seconds)

    async def _troubled(self, error: SebastianError, verb: Verb, args: Any, kwargs: Any) -> Any:
        await asyncio.sleep(self._rng.random() * 0.2)
        if _leaves_open(error) and self._schedule.applies_anyway(self._port):
            await verb(*args, **kwargs)
        raise error

    async def _faulty(self, fault: Fault, method: str, verb: Verb, args: Any, kwargs: Any) -> Any:
        self._process.tell(f"fault {fault.number}: {self._port}.{method} {fault.kind}")
        match fault.kind:
            case Kind.FAIL_BEFORE:
                return await self._fail_before(fault, method, args)
            case Kind.FAIL_AFTER:
                await self._plain(verb, args, kwargs)
                if method == "wait":
                    return False
                raise error_of(self._port, fault, applied=True)
            case Kind.HANG:
                return await self._hang(fault, method, verb, args, kwargs)
            case Kind.SLOW:
                await asyncio.sleep(fault.seconds)
                return await verb(*args, **kwargs)
            case Kind.STALE:
                answer = await verb(*args, **kwargs)
                await asyncio.sleep(fault.seconds)
                return answer
            case Kind.CRASH:
                if fault.late:
                    await self._plain(verb, args, kwargs)
                self._process.crash()
                raise asyncio.CancelledError
            case Kind.STOP:
                return await self._stop(fault, verb, args, kwargs)

    async def _fail_before(self, fault: Fault, method: str, args: Any) -> Any:
        if method == "wait":
            await asyncio.sleep(args[0])
            return False
        await asyncio.sleep(fault.seconds * 0.2)
        raise error_of(self._port, fault, applied=False)

    async def _hang(self, fault: Fault, method: str, verb: Verb, args: Any, kwargs: Any) -> Any:
        timeout = TIMEOUT_SECONDS[self._port]
        if fault.late:
            delay = fault.flavour * (timeout + LATE_BY_SECONDS[self._port])
            OUTSIDE.start(_apply_later(delay, verb, args, kwargs))
        await asyncio.sleep(timeout)
        if method == "wait":
            return False
        if self._port == "qiscus_client":
            raise PlatformUnavailable(PlatformFault.TIMEOUT, f"fault {fault.number}")
        raise StoreUnavailable(self._port, f"fault {fault.number}: timed out")

    async def _stop(self, fault: Fault, verb: Verb, args: Any, kwargs: Any) -> Any:
        if not fault.late:
            self._process.stop(STOPPED_SECONDS)
            await self._process.ready()
            return await verb(*args, **kwargs)
        answer = await verb(*args, **kwargs)
        self._process.stop(STOPPED_SECONDS)
        return answer

    def _bell(self, ring: Callable[[], None]) -> Callable[[], None]:
        """`ring` is not awaited and never raises: it is lost, late or doubled."""

        def call() -> None:
            if self._process.is_dead:
                raise asyncio.CancelledError
            fault = self._schedule.strike(self._port, "ring")
            if fault is None:
                ring()
                return
            self._process.tell(f"fault {fault.number}: ring {fault.kind}")
            self._ring_faultily(fault, ring)

        return call

    def _ring_faultily(self, fault: Fault, ring: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        match fault.kind:
            case Kind.FAIL_BEFORE:
                return
            case Kind.FAIL_AFTER:
                ring()
                loop.call_later(fault.seconds, ring)
            case Kind.HANG | Kind.SLOW | Kind.STALE:
                loop.call_later(fault.seconds, ring)
            case Kind.CRASH:
                if fault.late:
                    ring()
                self._process.crash()
                raise asyncio.CancelledError
            case Kind.STOP:
                ring()
                self._process.stop(STOPPED_SECONDS)

    def _tell(self, method: str, args: Any, answer: Any) -> None:
        if method in _TOLD:
            self._process.tell(f"{method} {_named(args)} -> {_short(answer)}")


def _leaves_open(error: SebastianError) -> bool:
    """Whether it may tell of a call that took effect: of two spells at once the first one tells."""
    return isinstance(error, PlatformUnavailable) and not error.surely_not_applied


async def _apply_later(delay: float, verb: Verb, args: Any, kwargs: Any) -> None:
    await asyncio.sleep(delay)
    try:
        await verb(*args, **kwargs)
    except SebastianError:
        return


_TOLD = frozenset(
    {"decide", "reserve", "assign", "room", "rooms_of", "eligible_agents", "hasten", "account"}
)


def _named(args: Any) -> str:
    return " ".join(str(each) for each in args if isinstance(each, str | int))


def _short(answer: Any) -> str:
    if isinstance(answer, str):
        return answer
    told = getattr(answer, "answer", None)
    if told is not None:
        return str(told)
    if isinstance(answer, tuple):
        return ", ".join(f"{each.chat.room_id}→{each.agent_id}" for each in answer) or "nothing"
    seen = getattr(answer, "seen", answer)
    if isinstance(seen, tuple):
        return f"{len(seen)} listed"
    return str(getattr(seen, "state", seen))
