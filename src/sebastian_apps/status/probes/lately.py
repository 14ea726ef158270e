"""What the probes found lately, for pages that are read more often than anybody may probe."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import structlog
from attrs import define, field

from sebastian_apps.status.checks import CheckResult

#: Tries a piece of the real work; answers what it found.
Probe = Callable[[], Awaitable[Sequence[CheckResult]]]

PROBE_EVERY_SECONDS = 10.0
#: How long who asks waits for news; after that they get what was found the time before.
WAIT_SECONDS = 1.5

log = structlog.stdlib.get_logger("sebastian.floor")


@define(eq=False)
class LatestChecks:
    """Asks the probes at most once in ten seconds, and only if somebody wants to know."""

    probes: Sequence[Probe] = ()
    _known: list[CheckResult] = field(factory=list, init=False)
    _asking: asyncio.Task[None] | None = field(default=None, init=False)
    _began_at: float = field(default=0.0, init=False)

    async def found(self) -> list[CheckResult]:
        """What all probes found, the last time that they were asked."""
        now = asyncio.get_running_loop().time()
        is_due = self._asking is None or now - self._began_at >= PROBE_EVERY_SECONDS
        if self.probes and is_due and (self._asking is None or self._asking.done()):
            self._asking, self._began_at = asyncio.create_task(self._ask()), now
        if self._asking is not None and not self._asking.done():
            await asyncio.wait({self._asking}, timeout=WAIT_SECONDS)
        return self._known

    async def aclose(self) -> None:
        """Ask no more."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait({self._asking})

    async def _ask(self) -> None:
        try:
            found = await asyncio.gather(*(probe() for probe in self.probes))
        except Exception:
            log.exception("a probe failed")
        else:
            self._known = [each for results in found for each in results]
