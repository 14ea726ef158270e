"""`/metrics`: for Prometheus, and for it alone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from litestar import get
from litestar.connection import ASGIConnection
from litestar.handlers import HTTPRouteHandler
from litestar.handlers.base import BaseRouteHandler
from litestar.response.base import ASGIResponse

from sebastian_apps.floor.view import FloorView
from sebastian_apps.http.headers import headers_of
from sebastian_apps.http.parts import WebhookParts, parts_of
from sebastian_apps.http.routes.admin import door_of

METRICS_PATH = "/metrics"
MEDIA_TYPE = "text/plain; version=0.0.4"

ReadFloor = Callable[[], Awaitable[FloorView | None]]


def metrics_routes(
    parts: WebhookParts, floor: ReadFloor, watchers: Callable[[], int]
) -> list[HTTPRouteHandler]:
    """Open to this machine where only it can ask, else under an admin token; else not there."""
    if not parts.settings.listens_on_loopback and not parts.settings.admin.by_path:
        return []

    @get(METRICS_PATH, guards=[_require_scraper], include_in_schema=False)
    async def metrics() -> ASGIResponse:
        body = parts.counts.exposed(await floor(), watchers())
        return ASGIResponse(body=body, media_type=MEDIA_TYPE)

    return [metrics]


async def _require_scraper(connection: ASGIConnection, _: BaseRouteHandler) -> None:  # type: ignore[type-arg]
    headers = headers_of(connection.scope["headers"])
    on_loopback = parts_of(connection).settings.listens_on_loopback
    door_of(connection).check_metrics(headers, on_loopback=on_loopback)
