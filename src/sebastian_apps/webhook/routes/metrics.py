"""`/metrics`: for Prometheus, and for it alone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from litestar import get
from litestar.connection import ASGIConnection
from litestar.handlers import HTTPRouteHandler
from litestar.handlers.base import BaseRouteHandler
from litestar.response.base import ASGIResponse

from sebastian_apps.floor.view import FloorView
from sebastian_apps.request_headers import (
    headers_of,
    is_sent_by_another_site,
    names_this_machine,
)
from sebastian_apps.webhook.parts import WebhookParts, parts_of
from sebastian_apps.webhook.problems import NOT_FOUND, Problem
from sebastian_apps.webhook.routes.admin import require_admin

METRICS_PATH = "/metrics"
MEDIA_TYPE = "text/plain; version=0.0.4"

ReadFloor = Callable[[], Awaitable[FloorView | None]]


def metrics_routes(
    parts: WebhookParts, floor: ReadFloor, watchers: Callable[[], int]
) -> list[HTTPRouteHandler]:
    """Open to this machine where only it can ask, else under the admin token; else not there."""
    settings = parts.settings
    if not settings.listens_on_loopback and settings.admin.token is None:
        return []
    guards = [require_own_machine if settings.listens_on_loopback else require_admin]

    @get(METRICS_PATH, guards=guards)
    async def metrics() -> ASGIResponse:
        body = parts.counts.exposed(await floor(), watchers())
        return ASGIResponse(body=body, media_type=MEDIA_TYPE)

    return [metrics]


def require_own_machine(connection: ASGIConnection, handler: BaseRouteHandler) -> None:  # type: ignore[type-arg]
    """Let through who asks a loopback name, and no page of another site; others as admins.

    Else a page that somebody reads on this machine could read the metrics under a name of its own.
    """
    headers = headers_of(connection.scope["headers"])
    if names_this_machine(headers.get("host", "")) and not is_sent_by_another_site(headers):
        return
    if parts_of(connection).settings.admin.token is None:
        detail = "There is nothing at this address; use http://127.0.0.1."
        raise Problem(NOT_FOUND, detail)
    require_admin(connection, handler)
