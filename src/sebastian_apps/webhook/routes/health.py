"""Whether the process lives, and whether it can do its work."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import structlog
from litestar import MediaType, Request, Response, get
from litestar.handlers import HTTPRouteHandler

from sebastian_apps.webhook.parts import Check, parts_of
from sebastian_apps.webhook.problems import NOT_READY, Problem

CHECK_SECONDS = 0.5
"""How long one check of `/readyz` may take."""

FINE = "ok"
log = structlog.stdlib.get_logger("sebastian.webhook")


def health_routes() -> list[HTTPRouteHandler]:
    """For whoever supervises the process or sends it traffic."""

    @get("/healthz", media_type=MediaType.JSON)
    async def healthz() -> dict[str, str]:
        return {"status": FINE}

    @get("/readyz", media_type=MediaType.JSON)
    async def readyz(request: Request[Any, Any, Any]) -> Response[dict[str, Any]]:
        found = await run_checks(parts_of(request).checks)
        failed = [f"{name} {finding}" for name, finding in found.items() if finding != FINE]
        if failed:
            raise Problem(NOT_READY, f"Not ready: {'; '.join(failed)}.", extra={"checks": found})
        return Response({"status": FINE, "checks": found})

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
        return "is unavailable"
    return FINE


def _finding(task: asyncio.Future[str]) -> str:
    if task.done():
        return task.result()
    task.cancel()
    return f"did not answer within {CHECK_SECONDS:g} s"
