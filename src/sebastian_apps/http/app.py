"""The Litestar application, from its parts."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import Any

import structlog
from litestar import Litestar, Request, Response
from litestar.datastructures import State
from litestar.enums import HttpMethod
from litestar.exceptions import HTTPException
from litestar.types import ASGIApp, Receive, Scope, Send

from sebastian_apps.floor.broadcast import Broadcaster
from sebastian_apps.http.auth.admin_token import AdminAuth
from sebastian_apps.http.headers import Headers
from sebastian_apps.http.metrics_server import PlainPage, healthz, showing
from sebastian_apps.http.parts import WebhookParts
from sebastian_apps.http.problems import (
    BAD_REQUEST,
    FAILED,
    METHOD_NOT_ALLOWED,
    STORE_UNAVAILABLE,
    HttpProblem,
    problem_response,
)
from sebastian_apps.http.routes.admin import admin_routes
from sebastian_apps.http.routes.floor import floor_routes
from sebastian_apps.http.routes.health import Readiness, health_routes
from sebastian_apps.http.routes.metrics import MEDIA_TYPE
from sebastian_apps.http.routes.openapi import openapi_routes
from sebastian_apps.http.routes.webhooks import RETRY_AFTER_SECONDS, no_route, webhook_routes
from sebastian_apps.settings import is_loopback
from sebastian_apps.settings.webhook_urls import ARRIVAL_PATH, RESOLVE_PATH
from sebastian_apps.status.checks import takes_no_writes
from sebastian_core.domain.errors import SchemaMismatch, StoreUnavailable

CLOSE_SECONDS = 3.0
"""How long closing the parts may take when the service ends."""

log = structlog.stdlib.get_logger("sebastian.webhook")


def create_app(parts: WebhookParts, *, shows_apart: bool = False) -> ASGIApp:
    """The webhook service as an ASGI application; it opens and closes the parts itself.

    With `shows_apart` it shows its health and its numbers on `metrics.port` too: if several
    services take from one socket, nobody can ask a certain one through that.
    """
    settings = parts.settings
    door = AdminAuth(settings.admin, parts.counts.wrong_token)
    floor = floor_routes(parts, door)
    readiness = Readiness(parts.checks)
    apart = _shown_apart(parts, door, floor.feed, readiness) if shows_apart else nullcontext()

    @asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncIterator[None]:
        await parts.open()
        try:
            async with apart:
                yield
        finally:
            parts.ending.set()
            await floor.aclose()
            await _close(parts)

    routes = [
        *webhook_routes(settings),
        *health_routes(readiness),
        *admin_routes(settings),
        *floor.handlers,
    ]
    app = Litestar(
        [*routes, *openapi_routes(routes)],
        state=State({"parts": parts, "door": door}),
        lifespan=[lifespan],
        openapi_config=None,
        logging_config=None,
        exception_handlers={
            HttpProblem: _tell,
            HTTPException: _tell_litestar,
            StoreUnavailable: _tell_store,
            SchemaMismatch: _tell_store,
            Exception: _tell_failure,
        },
    )
    return _answering_head(app)


def _answering_head(app: ASGIApp) -> ASGIApp:
    """Answers HEAD wherever GET is answered; uvicorn leaves the body out."""

    async def answering(scope: Scope, receive: Receive, send: Send) -> None:
        if scope.get("method") == "HEAD":
            scope = {**scope, "method": HttpMethod.GET}  # type: ignore[assignment]
        await app(scope, receive, send)

    return answering


def _shown_apart(
    parts: WebhookParts, door: AdminAuth, feed: Broadcaster, readiness: Readiness
) -> AbstractAsyncContextManager[object]:
    """`/metrics`, `/readyz` and `/healthz` on `metrics.port`; nothing if that is 0."""
    settings = parts.settings
    if not settings.metrics.port:
        return nullcontext()
    on_loopback = is_loopback(settings.metrics.host)

    async def metrics(headers: Headers) -> PlainPage:
        door.check_metrics(headers, on_loopback=on_loopback)
        return PlainPage(parts.counts.exposed(await feed.now(), feed.watchers), MEDIA_TYPE)

    async def readyz(_: Headers) -> PlainPage:
        return PlainPage(json.dumps(await readiness.document()).encode(), "application/json")

    return showing({"/metrics": metrics, "/readyz": readyz, "/healthz": healthz}, settings)


async def _close(parts: WebhookParts) -> None:
    try:
        async with asyncio.timeout(CLOSE_SECONDS):
            await parts.close()
    except TimeoutError:
        log.warning("closing took too long and was given up", seconds=CLOSE_SECONDS)


def _tell(_: Request[Any, Any, Any], problem: HttpProblem) -> Response[bytes]:
    return problem_response(problem)


def _tell_litestar(request: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
    """Whatever Litestar itself refuses: paths, methods, hosts."""
    if error.status_code == 404:
        return problem_response(no_route())
    if error.status_code == 405:
        allowed = {name: value for name, value in (error.headers or {}).items() if name == "allow"}
        detail = f"This path takes {allowed.get('allow', 'other methods')}."
        if request.scope["path"].startswith((ARRIVAL_PATH, RESOLVE_PATH)):
            detail += " Qiscus sends its webhooks here; there is nothing to be seen."
        return problem_response(HttpProblem(METHOD_NOT_ALLOWED, detail, headers=allowed))
    if error.status_code < 500:
        return problem_response(HttpProblem(BAD_REQUEST, "The request cannot be understood."))
    return _tell_failure(request, error)


def _tell_store(_: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    is_read_only = takes_no_writes(str(error))
    what = "the database takes no writes" if is_read_only else "the database did not answer in time"
    detail = f"Not possible now: {what}; try again."
    return problem_response(
        HttpProblem(STORE_UNAVAILABLE, detail, headers={"retry-after": RETRY_AFTER_SECONDS})
    )


def _tell_failure(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """A bug of ours: logged in full, told without a word of it."""
    route = request.scope.get("path_template", "")
    log.error("request failed", route=route, exc_info=error)
    return problem_response(HttpProblem(FAILED, "It is logged; the request may be sent again."))
