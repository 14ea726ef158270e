"""When which fault strikes, and what is wrong for everybody at a moment."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable, Iterable

from sebastian_core.domain.errors import (
    Fault as PlatformFault,
)
from sebastian_core.domain.errors import (
    PlatformRefused,
    PlatformUnavailable,
    SebastianError,
    StoreUnavailable,
)
from tests.simulation.plan import Fault, Scenario, Spell, Trouble
from tests.simulation.tracing import Trace

_NEVER_SENT = (PlatformFault.CONNECT, PlatformFault.THROTTLED)
_UNKNOWN = (
    PlatformFault.TIMEOUT,
    PlatformFault.BROKEN,
    PlatformFault.SERVER_ERROR,
    PlatformFault.UNREADABLE,
)
_REFUSALS = (400, 401, 403, 422)
_IN_DATABASE = ("room_repo", "agent_settings", "journal", "leadership")
_STORES = {Trouble.DATABASE_DOWN: _IN_DATABASE, Trouble.REDIS_DOWN: ("agent_store",)}


class Schedule:
    """Hands out each planned fault once, to the first call that it fits, until `end`."""

    def __init__(self, scenario: Scenario, trace: Trace) -> None:
        self._trace = trace
        self._planned = deque(sorted(scenario.faults, key=lambda fault: fault.at))
        self._armed: defaultdict[tuple[str | None, str | None], deque[Fault]] = defaultdict(deque)
        self._spells = scenario.spells
        self._seen: set[int] = set()
        self.is_over = False

    def end(self) -> None:
        """No fault strikes from now on, and no trouble goes on."""
        self.is_over = True

    def strike(self, port: str, method: str) -> Fault | None:
        """The fault of this call, if one is due."""
        if self.is_over:
            return None
        now = asyncio.get_running_loop().time()
        while self._planned and self._planned[0].at <= now:
            fault = self._planned.popleft()
            self._armed[fault.port, fault.method].append(fault)
        for place in ((port, method), (None, None)):
            if self._armed.get(place):
                fault = self._armed[place].popleft()
                self._trace.struck[port, method, fault.kind] += 1
                self._trace.struck_numbers.append(fault.number)
                return fault
        return None

    def trouble(self, port: str) -> SebastianError | None:
        """What this port raises at this moment because of a spell of trouble."""
        if self.is_over or not self._spells:
            return None
        now = asyncio.get_running_loop().time()
        return next(filter(None, (self._raised(each, port) for each in self._at(now))), None)

    def applies_anyway(self, port: str) -> bool:
        """Whether the platform fails now, but does what it was asked."""
        if self.is_over or port != "qiscus_client":
            return False
        now = asyncio.get_running_loop().time()
        return any(
            each.trouble is Trouble.PLATFORM_FAILING and int(now * 10) % 2 for each in self._at(now)
        )

    def _at(self, now: float) -> Iterable[Spell]:
        return (each for each in self._spells if each.from_at <= now < each.until_at)

    def _raised(self, spell: Spell, port: str) -> SebastianError | None:
        trouble = spell.trouble
        if port in _STORES.get(trouble, ()):
            error: SebastianError = StoreUnavailable(port, trouble)
        elif port == "qiscus_client" and trouble in _AT_PLATFORM:
            error = _AT_PLATFORM[trouble]()
        else:
            return None
        self._trace.others[trouble] += 1
        return error


_AT_PLATFORM: dict[Trouble, Callable[[], SebastianError]] = {
    Trouble.PLATFORM_DOWN: lambda: PlatformUnavailable(PlatformFault.CONNECT, "down"),
    Trouble.PLATFORM_FAILING: lambda: PlatformUnavailable(
        PlatformFault.SERVER_ERROR, "failing", status=500
    ),
    Trouble.CREDENTIALS_REFUSED: lambda: PlatformRefused(401, "credentials"),
    Trouble.THROTTLED: lambda: PlatformUnavailable(
        PlatformFault.THROTTLED, "slow down", status=429, retry_after_seconds=1.5
    ),
}


def error_of(port: str, fault: Fault, *, applied: bool) -> SebastianError:
    """The error that a failing call shows; one that was applied never shows as surely not."""
    if port != "qiscus_client":
        return StoreUnavailable(port, f"fault {fault.number}")
    kinds: tuple[PlatformFault | int, ...] = _UNKNOWN
    if not applied:
        kinds = (*_UNKNOWN[:-1], *_NEVER_SENT, *_REFUSALS)
    kind = kinds[int(fault.flavour * len(kinds))]
    if isinstance(kind, int):
        return PlatformRefused(kind, f"fault {fault.number}")
    return PlatformUnavailable(kind, f"fault {fault.number}", retry_after_seconds=1.0)
