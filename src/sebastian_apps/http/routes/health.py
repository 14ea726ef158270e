"""Whether the process lives, and whether it can do its work."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Literal

import structlog
from attrs import define
from litestar import MediaType, get
from litestar.handlers import HTTPRouteHandler
from msgspec import Struct

from sebastian_apps.http.parts import Check
from sebastian_apps.http.problems import NOT_READY, HttpProblem
from sebastian_apps.http.routes.openapi import Ok, described
from sebastian_apps.status.checks import takes_no_writes

CHECK_SECONDS = 1.0
"""How long one check of `/readyz` may take: as long as a webhook, which is recorded meanwhile."""

KNOWN_SECONDS = 0.5
"""How long what was found is told again: whoever asks more often makes us ask no more often."""

FINE = "ok"
log = structlog.stdlib.get_logger("sebastian.webhook")


class Ready(Struct):
    """Every check found what it should."""

    status: Literal["ok"]
    checks: dict[str, Literal["ok"]]


@define(eq=False)
class Readiness:
    """What the checks find: asked once for all who want to know it at about the same time."""

    _checks: Mapping[str, Check]
    _asking: asyncio.Task[dict[str, str]] | None = None
    _began_at: float = 0.0

    async def found(self) -> dict[str, str]:
        """What each check found, at most a second ago."""
        now = asyncio.get_running_loop().time()
        if self._asking is None or (self._asking.done() and now - self._began_at >= KNOWN_SECONDS):
            self._asking, self._began_at = asyncio.create_task(run_checks(self._checks)), now
        return await asyncio.shield(self._asking)

    async def document(self) -> dict[str, Any]:
        """What `/readyz` shows; raises HttpProblem if a check failed."""
        found = await self.found()
        failed = [f"{name} {finding}" for name, finding in found.items() if finding != FINE]
        if failed:
            raise HttpProblem(
                NOT_READY, f"Not ready: {'; '.join(failed)}.", extra={"checks": found}
            )
        return {"status": FINE, "checks": found}


def health_routes(readiness: Readiness) -> list[HTTPRouteHandler]:
    """For whoever supervises the process or sends it traffic."""

    alive = described("Whether the process lives", answer=Ok)
    ready = described("Whether webhooks can be recorded", NOT_READY, answer=Ready)

    @get("/healthz", media_type=MediaType.JSON, **alive)
    async def healthz() -> dict[str, str]:
        return {"status": FINE}

    @get("/readyz", media_type=MediaType.JSON, **ready)
    async def readyz() -> dict[str, Any]:
        return await readiness.document()

    return [healthz, readyz]


async def run_checks(checks: Mapping[str, Check]) -> dict[str, str]:
    """What each check found, all asked at once; one that hangs is left behind, not waited for."""
    tasks = {name: asyncio.ensure_future(_asked(name, check)) for name, check in checks.items()}
    if tasks:
        await asyncio.wait(tasks.values(), timeout=CHECK_SECONDS)
    return {name: _finding(task) for name, task in tasks.items()}


async def _asked(name: str, check: Check) -> str:
    try:
        await check()
    except Exception as error:  # noqa: BLE001 - whatever it is, the check failed
        log.warning("check failed", check=name, why=str(error))
        return "takes no writes" if takes_no_writes(str(error)) else "is unavailable"
    return FINE


def _finding(task: asyncio.Future[str]) -> str:
    if task.done():
        return task.result()
    task.cancel()
    return f"did not answer within {CHECK_SECONDS:g} s"
