"""`/metrics`: for Prometheus, and for it alone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from litestar import get
from litestar.handlers import HTTPRouteHandler
from litestar.response.base import ASGIResponse

from sebastian_apps.floor.view import FloorView
from sebastian_apps.webhook.parts import WebhookParts
from sebastian_apps.webhook.routes.admin import require_admin

METRICS_PATH = "/metrics"
MEDIA_TYPE = "text/plain; version=0.0.4"

ReadFloor = Callable[[], Awaitable[FloorView | None]]


def metrics_routes(
    parts: WebhookParts, floor: ReadFloor, watchers: Callable[[], int]
) -> list[HTTPRouteHandler]:
    """Open where only this machine can ask, else under the admin token; without one not there."""
    settings = parts.settings
    if not settings.listens_on_loopback and settings.admin.token is None:
        return []
    guards = [] if settings.listens_on_loopback else [require_admin]

    @get(METRICS_PATH, guards=guards)
    async def metrics() -> ASGIResponse:
        body = parts.counts.exposed(await floor(), watchers())
        return ASGIResponse(body=body, media_type=MEDIA_TYPE)

    return [metrics]
