"""A small HTTP server for machines, in the loop of a service: `/metrics`, `/healthz` and more."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from typing import Any

import structlog
import uvicorn
from attrs import frozen
from prometheus_client import generate_latest

from sebastian_apps.http.auth.admin_token import AdminAuth
from sebastian_apps.http.connection_limit import ConnectionLimit
from sebastian_apps.http.headers import Headers, headers_of
from sebastian_apps.http.problems import (
    FAILED,
    METHOD_NOT_ALLOWED,
    NOT_FOUND,
    PROBLEM_MEDIA_TYPE,
    HttpProblem,
)
from sebastian_apps.http.uvicorn_config import uvicorn_config
from sebastian_apps.observability.metrics import MEDIA_TYPE, WorkerMetrics
from sebastian_apps.settings import ConfigProblem, Settings, SettingsError, is_loopback

CONNECTION_LIMIT = 16
"""So many connections at most: they are file descriptors that the service needs for its work."""

BACKLOG = 16
"""So many may wait to be let in; all of them are let in at once, and then most are sent away."""

GRACE_SECONDS = 1
PORTS_TRIED = 64

log = structlog.stdlib.get_logger("sebastian.metrics")
worker_log = structlog.stdlib.get_logger("sebastian.worker")


@frozen
class PlainPage:
    """What is shown at a path."""

    body: bytes
    media_type: str


Show = Callable[[Headers], Awaitable[PlainPage]]
"""Shows a page to who asks with these headers, or raises HttpProblem."""


async def healthz(_: Headers) -> PlainPage:
    """The process lives, and its event loop turns."""
    return PlainPage(b'{"status":"ok"}', "application/json")


@asynccontextmanager
async def showing(pages: Mapping[str, Show], settings: Settings) -> AsyncIterator[int]:
    """Serve these pages on `metrics.port`, or the next that is free; gives the port.

    Several processes of one machine share a configuration, so each takes a port of its own. Raises
    SettingsError where nothing can be listened on.
    """
    listener = listening(settings)
    door = ConnectionLimit(connection_limit=CONNECTION_LIMIT)
    config = uvicorn_config(_app(pages), door, grace_seconds=GRACE_SECONDS, backlog=BACKLOG)
    async with served(config, listener):
        host, port = listener.getsockname()[:2]
        log.info("metrics are served", host=host, port=port)
        yield port


def listening(settings: Settings) -> socket.socket:
    """A socket that listens on `metrics.host`, at the first free port from `metrics.port` on."""
    host, first = settings.metrics.host, settings.metrics.port
    try:
        family, *_ = socket.getaddrinfo(host, first, type=socket.SOCK_STREAM)[0]
        for port in range(first, min(first + PORTS_TRIED, 65536)):
            try:
                return socket.create_server((host, port), family=family, backlog=BACKLOG)
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
        raise OSError(errno.EADDRINUSE, f"no port is free from {first} on")
    except OSError as error:
        key = "metrics.port" if error.errno == errno.EADDRINUSE else "metrics.host"
        message = f"cannot listen on {host}: {error.strerror}"
        raise SettingsError([ConfigProblem(settings.place_of(key), key, message)]) from error


@asynccontextmanager
async def served(config: uvicorn.Config, listener: socket.socket) -> AsyncIterator[None]:
    """Serve in this event loop, beside its other work, for as long as the block lasts."""
    server = _QuietServer(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        while not server.started:
            if serving.done():
                serving.result()
                raise RuntimeError("the HTTP server ended before it had started")
            await asyncio.sleep(0.02)
        yield
    finally:
        server.should_exit = True
        await serving


class _QuietServer(uvicorn.Server):
    """Leaves the signals to the process."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _app(pages: Mapping[str, Show]) -> Callable[..., Awaitable[None]]:
    async def app(scope: Any, _receive: Any, send: Any) -> None:
        try:
            page, status = await _shown(pages, scope), 200
            fields: Mapping[str, str] = {}
        except HttpProblem as problem:
            page, status = PlainPage(problem.encoded(), PROBLEM_MEDIA_TYPE), problem.kind.status
            fields = problem.headers
        fields = {
            "content-type": page.media_type,
            "content-length": str(len(page.body)),
            "cache-control": "no-store",
            "x-content-type-options": "nosniff",
            **fields,
        }
        headers = [(name.encode(), value.encode()) for name, value in fields.items()]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": page.body})

    return app


async def _shown(pages: Mapping[str, Show], scope: Any) -> PlainPage:
    show = pages.get(scope["path"])
    if show is None:
        raise HttpProblem(
            NOT_FOUND, f"There is nothing at this path; there are {', '.join(pages)}."
        )
    if scope["method"] not in ("GET", "HEAD"):
        detail = "This path takes GET and HEAD."
        raise HttpProblem(METHOD_NOT_ALLOWED, detail, headers={"allow": "GET, HEAD"})
    try:
        return await show(headers_of(scope["headers"]))
    except HttpProblem:
        raise
    except Exception as error:
        log.exception("a page for machines cannot be shown", path=scope["path"])
        raise HttpProblem(FAILED, "It is logged.") from error


def serve_metrics(metrics: WorkerMetrics, settings: Settings) -> AbstractAsyncContextManager[int]:
    """Serve a worker's numbers in its event loop, to whom the webhook service would show its own.

    Gives the port; see `showing`.
    """
    door = AdminAuth(settings.admin, metrics.wrong_token)
    on_loopback = is_loopback(settings.metrics.host)
    if not on_loopback and not door.opens:
        why = "others can reach them, and there is no admin token"
        worker_log.warning("metrics are shown to nobody", why=why, host=settings.metrics.host)

    async def show(headers: Headers) -> PlainPage:
        door.check_metrics(headers, on_loopback=on_loopback)
        return PlainPage(generate_latest(metrics.registry), MEDIA_TYPE)

    return showing({"/metrics": show, "/healthz": healthz}, settings)
