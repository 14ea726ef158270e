"""The floor's routes: the page, its files, its events, and what a person may do there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, tzinfo
from functools import partial
from importlib.resources import files
from typing import Any
from urllib.parse import parse_qs
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from attrs import frozen
from litestar import Request, asgi, get, post
from litestar.handlers import ASGIRouteHandler, HTTPRouteHandler
from litestar.response.base import ASGIResponse
from litestar.types import Receive, Scope, Send

from sebastian_apps.floor.actions import Done, FloorActions, Told, told
from sebastian_apps.floor.broadcast import Broadcaster, View
from sebastian_apps.floor.build_view import build_view
from sebastian_apps.floor.query import FloorReader
from sebastian_apps.floor.view import FloorView
from sebastian_apps.http.auth.admin_token import AdminAuth
from sebastian_apps.http.auth.logins import Logins
from sebastian_apps.http.auth.session import FloorAuth, is_https, new_cookie, no_cookie
from sebastian_apps.http.body import read_body
from sebastian_apps.http.headers import headers_of
from sebastian_apps.http.parts import WebhookParts
from sebastian_apps.http.problems import (
    NOT_FOUND,
    NOT_JSON,
    OF_A_BODY,
    STORE_UNAVAILABLE,
    TOO_MANY_GUESSES,
    UNAUTHORIZED,
    UNUSABLE,
    HttpProblem,
    problem_response,
)
from sebastian_apps.http.routes.metrics import metrics_routes
from sebastian_apps.http.routes.openapi import (
    ROOM_PATTERN,
    ActionBody,
    described,
    in_query,
    json_body,
)
from sebastian_apps.http.sse import stream
from sebastian_apps.status.floor_state import FloorRules
from sebastian_apps.status.probes.lately import LatestChecks
from sebastian_core.domain.errors import InvalidInput
from sebastian_core.domain.ids import parse_room_id

PAGE_PATH = "/floor"
LOGIN_LIMIT = 4096
"""The longest body of a login, in bytes: it is parsed before anybody has proven anything."""

Route = HTTPRouteHandler | ASGIRouteHandler

_MEDIA_TYPES = {
    "css": "text/css",
    "js": "text/javascript",
    "svg": "image/svg+xml",
}
_STATIC = ("floor.css", "floor.js", "charts.js", "icon.svg")

_REFUSALS = {
    UNAUTHORIZED: "That is not the token.",
    TOO_MANY_GUESSES: "Too many wrong tokens were sent just now. Try again in a second.",
}

SECURITY = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}


@frozen
class FloorRoutes:
    """Everything that shows the floor; `aclose` ends what reads and probes for it."""

    handlers: list[Route]
    feed: Broadcaster
    checks: LatestChecks

    async def aclose(self) -> None:
        """Read and probe no more, whoever still watches."""
        await self.feed.aclose()
        await self.checks.aclose()


def floor_routes(parts: WebhookParts, door: AdminAuth) -> FloorRoutes:
    """The page for whoever has an admin token; open to this machine where `parts` say so.

    Without either there is no page, only metrics.
    """
    checks = LatestChecks(parts.probes)
    feed = Broadcaster(_view(parts, checks))
    metrics = metrics_routes(parts, feed.now, lambda: feed.watchers)
    if not door.opens and not parts.floor_is_open:
        return FloorRoutes([*metrics], feed, checks)
    entry = FloorAuth(None if parts.floor_is_open else door, Logins(parts.ended_logins))
    handlers = [
        *metrics,
        _page(entry),
        *(_logging_in_and_out(entry, entry.door) if entry.door else []),
        _events(entry, feed, parts),
        *_static_files(),
        *_by_hand(entry, parts),
    ]
    return FloorRoutes(handlers, feed, checks)


def _view(parts: WebhookParts, checks: LatestChecks) -> View:
    rules = FloorRules.of(parts.settings)
    look = FloorReader(parts.allocator, rules, checks.found)

    async def view() -> FloorView:
        return build_view(await look(), rules)

    return view


def _page(entry: FloorAuth) -> HTTPRouteHandler:
    page = _text("floor.html")
    login_page = _text("login.html").replace("{{refused}}", "hidden").replace("{{wrong}}", "")

    @get(PAGE_PATH, include_in_schema=False)
    async def floor(request: Request[Any, Any, Any]) -> ASGIResponse:
        visitor = await entry.visitor(headers_of(request.scope["headers"]))
        if visitor is not None:
            logout = "" if visitor.login else "hidden"
            shown = page.replace("{{proof}}", visitor.csrf_token or "").replace(
                "{{logout}}", logout
            )
            return _html(shown)
        if not entry.needs_login:
            raise HttpProblem(NOT_FOUND, "There is nothing at this address; use http://127.0.0.1.")
        return _html(login_page, status=401)

    return floor


def _logging_in_and_out(entry: FloorAuth, door: AdminAuth) -> list[Route]:
    login_page = _text("login.html").replace("{{refused}}", "")

    @post(f"{PAGE_PATH}/login", status_code=303, include_in_schema=False)
    async def login(request: Request[Any, Any, Any]) -> ASGIResponse:
        token = await _sent(request, "token")
        try:
            holder = door.holder_of(token.strip())
        except HttpProblem as problem:
            text = _REFUSALS[problem.kind]
            headers = {"retry-after": "1"} if problem.kind is TOO_MANY_GUESSES else {}
            refused = login_page.replace("{{wrong}}", text)
            return _html(refused, status=problem.kind.status, headers=headers)
        return _go_to_page(new_cookie(holder, is_https=_is_https(request)))

    @post(f"{PAGE_PATH}/logout", status_code=303, include_in_schema=False)
    async def logout(request: Request[Any, Any, Any]) -> ASGIResponse:
        """End the login everywhere. What proves none changes nothing, and sees the login page."""
        visitor = await entry.visitor(headers_of(request.scope["headers"]))
        if visitor is None or visitor.login is None:
            return _go_to_page()
        if not visitor.proves(await _sent(request, "proof")):
            raise _login_first()
        await entry.logins.end(visitor.login)
        return _go_to_page(no_cookie(is_https=_is_https(request)))

    return [login, logout]


def _events(entry: FloorAuth, feed: Broadcaster, parts: WebhookParts) -> ASGIRouteHandler:
    @asgi(f"{PAGE_PATH}/events", copy_scope=False)
    async def events(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            visitor = await entry.visitor(headers_of(scope["headers"]))
            if visitor is None:
                raise _login_first()
        except HttpProblem as problem:
            refusal = problem_response(problem).to_asgi_response(None, Request(scope))
            await refusal(scope, receive, send)
            return
        await stream(feed, receive, send, parts.ending.wait, partial(entry.until_over, visitor))

    return events


def _static_files() -> list[Route]:
    """The page's own files: the same for everybody, so nobody must log in for them."""
    return [_static_file(name) for name in _STATIC]


def _static_file(name: str) -> HTTPRouteHandler:
    body = _text(name).encode()
    media_type = _MEDIA_TYPES[name.rpartition(".")[2]]
    headers = {**SECURITY, "cache-control": "no-cache"}

    @get(f"{PAGE_PATH}/{name}", name=f"floor:{name}", include_in_schema=False)
    async def static_file() -> ASGIResponse:
        return ASGIResponse(body=body, media_type=media_type, headers=headers)

    return static_file


def _by_hand(entry: FloorAuth, parts: WebhookParts) -> list[Route]:
    allocator, can_assign = parts.allocator, bool(parts.settings.qiscus.app_id)
    asked = described(
        "Why a room is where it is",
        *(UNUSABLE, STORE_UNAVAILABLE),
        answer=Told,
        guarded=entry.needs_login,
        parameters=[in_query("room", pattern=ROOM_PATTERN, required=True), in_query("zone")],
    )
    acted = described(
        "What a person may do: release, drop, assign, pause, resume, capacity, default-capacity",
        *OF_A_BODY,
        STORE_UNAVAILABLE,
        answer=Done,
        guarded=entry.needs_login,
        request_body=json_body(ActionBody),
    )

    @get(f"{PAGE_PATH}/why", **asked)
    async def why(request: Request[Any, Any, Any]) -> ASGIResponse:
        if await entry.visitor(headers_of(request.scope["headers"])) is None:
            raise _login_first()
        try:
            room_id = parse_room_id(request.query_params.get("room"))
        except InvalidInput as error:
            raise HttpProblem(UNUSABLE, f"{error}.") from error
        zone = _zone(request.query_params.get("zone", ""))
        return _json(told(await allocator.explain(room_id), zone))

    @post(f"{PAGE_PATH}/actions/{{name:str}}", status_code=200, **acted)
    async def act(request: Request[Any, Any, Any]) -> ASGIResponse:
        visitor = await entry.actor(headers_of(request.scope["headers"]))
        if visitor is None:
            raise _login_first()
        wanted = _object(await read_body(request))
        actions = FloorActions(allocator.manual, visitor.actor, can_assign=can_assign)
        try:
            done = await actions(request.path_params["name"], wanted)
        except InvalidInput as error:
            raise HttpProblem(UNUSABLE, f"{error}.") from error
        return _json(done)

    return [why, act]


async def _sent(request: Request[Any, Any, Any], name: str) -> str:
    """A field of the form that was sent."""
    body = await read_body(request, limit=LOGIN_LIMIT)
    return parse_qs(body.decode("utf-8", "replace")).get(name, [""])[0]


def _is_https(request: Request[Any, Any, Any]) -> bool:
    return is_https(request.scope["scheme"], headers_of(request.scope["headers"]))


def _zone(name: str) -> tzinfo:
    """The browser's time zone, as far as this machine knows it."""
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, ZoneInfoNotFoundError):
        return UTC


def _object(body: bytes) -> Mapping[str, Any]:
    try:
        wanted = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise HttpProblem(NOT_JSON, "Send a JSON object.") from error
    if not isinstance(wanted, dict):
        raise HttpProblem(UNUSABLE, "Send a JSON object.")
    return wanted


def _login_first() -> HttpProblem:
    detail = "Log in at /floor, or send an admin token: Authorization: Bearer <admin.token>."
    return HttpProblem(UNAUTHORIZED, detail, headers={"www-authenticate": "Bearer"})


def _html(
    text: str, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> ASGIResponse:
    return ASGIResponse(
        body=text.encode(),
        media_type="text/html",
        status_code=status,
        headers={**SECURITY, **(headers or {})},
    )


def _json(value: object) -> ASGIResponse:
    return ASGIResponse(
        body=msgspec.json.encode(value), media_type="application/json", headers=SECURITY
    )


def _go_to_page(cookie: str | None = None) -> ASGIResponse:
    cookies = {} if cookie is None else {"set-cookie": cookie}
    headers = {**SECURITY, "location": PAGE_PATH, **cookies}
    return ASGIResponse(body=b"", status_code=303, headers=headers)


def _text(name: str) -> str:
    return files("sebastian_apps.floor").joinpath("static", name).read_text("utf-8")
