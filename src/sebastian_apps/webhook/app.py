"""The Litestar application, from its parts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import structlog
from litestar import Litestar, Request, Response
from litestar.datastructures import State
from litestar.exceptions import HTTPException

from sebastian_apps.admin_door import AdminDoor
from sebastian_apps.floor.routes import floor_routes
from sebastian_apps.webhook.body import BODY_LIMIT
from sebastian_apps.webhook.parts import WebhookParts
from sebastian_apps.webhook.problems import (
    BAD_REQUEST,
    FAILED,
    METHOD_NOT_ALLOWED,
    STORE_UNAVAILABLE,
    Problem,
    problem_response,
)
from sebastian_apps.webhook.routes.admin import admin_routes
from sebastian_apps.webhook.routes.health import health_routes
from sebastian_apps.webhook.routes.openapi import openapi_routes
from sebastian_apps.webhook.routes.webhooks import (
    RETRY_AFTER_SECONDS,
    no_route,
    webhook_routes,
)
from sebastian_core.domain.errors import SchemaMismatch, StoreUnavailable

CLOSE_SECONDS = 3.0
"""How long closing the parts may take when the service ends."""

log = structlog.stdlib.get_logger("sebastian.webhook")


def create_app(parts: WebhookParts) -> Litestar:
    """The webhook service as an ASGI application; it opens and closes the parts itself."""
    settings = parts.settings
    door = AdminDoor(settings.admin, parts.counts.wrong_token)
    floor = floor_routes(parts, door)

    @asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncIterator[None]:
        await parts.open()
        try:
            yield
        finally:
            parts.ending.set()
            await floor.feed.aclose()
            await _close(parts)

    return Litestar(
        [
            *webhook_routes(settings),
            *health_routes(parts.checks),
            *admin_routes(settings),
            *openapi_routes(settings),
            *floor.handlers,
        ],
        state=State({"parts": parts, "door": door}),
        lifespan=[lifespan],
        openapi_config=None,
        request_max_body_size=BODY_LIMIT,
        logging_config=None,
        exception_handlers={
            Problem: _tell,
            HTTPException: _tell_litestar,
            StoreUnavailable: _tell_store,
            SchemaMismatch: _tell_store,
            Exception: _tell_failure,
        },
    )


async def _close(parts: WebhookParts) -> None:
    try:
        async with asyncio.timeout(CLOSE_SECONDS):
            await parts.close()
    except TimeoutError:
        log.warning("closing took too long and was given up", seconds=CLOSE_SECONDS)


def _tell(_: Request[Any, Any, Any], problem: Problem) -> Response[bytes]:
    return problem_response(problem)


def _tell_litestar(request: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
    """Whatever Litestar itself refuses: paths, methods, hosts."""
    if error.status_code == 404:
        return problem_response(no_route())
    if error.status_code == 405:
        allowed = {name: value for name, value in (error.headers or {}).items() if name == "allow"}
        detail = f"This path takes {allowed.get('allow', 'other methods')}."
        return problem_response(Problem(METHOD_NOT_ALLOWED, detail, headers=allowed))
    if error.status_code < 500:
        return problem_response(Problem(BAD_REQUEST, "The request cannot be understood."))
    return _tell_failure(request, error)


def _tell_store(_: Request[Any, Any, Any], __: Exception) -> Response[bytes]:
    detail = "The database did not answer in time; try again."
    return problem_response(
        Problem(STORE_UNAVAILABLE, detail, headers={"retry-after": RETRY_AFTER_SECONDS})
    )


def _tell_failure(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """A bug of ours: logged in full, told without a word of it."""
    route = request.scope.get("path_template", "")
    log.error("request failed", route=route, exc_info=error)
    return problem_response(Problem(FAILED, "It is logged; the request may be sent again."))
