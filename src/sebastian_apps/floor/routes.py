"""The floor's routes: the page, its files, its events, and what a person may do there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, tzinfo
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

from sebastian_apps.floor.actions import FloorActions, FloorUseCases, told
from sebastian_apps.floor.entry import Entry, is_https, no_cookie
from sebastian_apps.floor.feed import Feed, View
from sebastian_apps.floor.look import FloorReader, FloorRules
from sebastian_apps.floor.sse import stream
from sebastian_apps.floor.view import FloorView
from sebastian_apps.floor.viewing import view_of
from sebastian_apps.request_headers import headers_of
from sebastian_apps.webhook.parts import WebhookParts, parts_of
from sebastian_apps.webhook.problems import (
    NOT_FOUND,
    NOT_JSON,
    UNAUTHORIZED,
    UNUSABLE,
    Problem,
    problem_response,
)
from sebastian_apps.webhook.routes.metrics import metrics_routes
from sebastian_core.domain.errors import InvalidInput
from sebastian_core.domain.ids import parse_room_id

PAGE_PATH = "/floor"
Route = HTTPRouteHandler | ASGIRouteHandler

_MEDIA_TYPES = {
    "css": "text/css",
    "js": "text/javascript",
    "svg": "image/svg+xml",
}
_STATIC = ("floor.css", "floor.js", "charts.js", "icon.svg")

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
    """Everything that shows the floor, and the feed that must be ended with the service."""

    handlers: list[Route]
    feed: Feed


def floor_routes(parts: WebhookParts) -> FloorRoutes:
    """The page for whoever knows the admin token; open to this machine where `parts` say so.

    Without either there is no page, only metrics.
    """
    token = parts.settings.admin.token
    feed = Feed(_view(parts))
    metrics = metrics_routes(parts, feed.now, lambda: feed.watchers)
    if token is None and not parts.floor_is_open:
        return FloorRoutes([*metrics], feed)
    entry = Entry(None if parts.floor_is_open else token)
    handlers = [
        *metrics,
        *_page(entry),
        _events(entry, feed, parts),
        *_static_files(),
        *(_by_hand(entry, parts.floor) if parts.floor else []),
    ]
    return FloorRoutes(handlers, feed)


def _view(parts: WebhookParts) -> View:
    rules = FloorRules.of(parts.settings)
    look = FloorReader(parts.room_repo, parts.roster, rules)

    async def view() -> FloorView:
        return view_of(await look(), rules)

    return view


async def _body(request: Request[Any, Any, Any]) -> bytes:
    return await parts_of(request).bodies.read(request.receive, request.scope["headers"])


def _page(entry: Entry) -> list[Route]:
    page, login_page = _text("floor.html"), _text("login.html")

    @get(PAGE_PATH)
    async def floor(request: Request[Any, Any, Any]) -> ASGIResponse:
        headers = headers_of(request.scope["headers"])
        if entry.admits(headers):
            proof = entry.proof(headers)
            logout = "" if entry.needs_login else "hidden"
            return _html(page.replace("{{proof}}", proof).replace("{{logout}}", logout))
        if not entry.needs_login:
            raise Problem(NOT_FOUND, "There is nothing at this address; use http://127.0.0.1.")
        return _html(login_page.replace("{{refused}}", "hidden"), status=401)

    @post(f"{PAGE_PATH}/login", status_code=303)
    async def login(request: Request[Any, Any, Any]) -> ASGIResponse:
        body = await _body(request)
        sent = parse_qs(body.decode("utf-8", "replace")).get("token", [""])
        if not entry.recognises(sent[0]):
            return _html(login_page.replace("{{refused}}", ""), status=401)
        secure = is_https(request.scope["scheme"], headers_of(request.scope["headers"]))
        return _go_to_page(entry.new_cookie(is_https=secure))

    @post(f"{PAGE_PATH}/logout", status_code=303)
    async def logout(request: Request[Any, Any, Any]) -> ASGIResponse:
        secure = is_https(request.scope["scheme"], headers_of(request.scope["headers"]))
        return _go_to_page(no_cookie(is_https=secure))

    return [floor, login, logout] if entry.needs_login else [floor]


def _events(entry: Entry, feed: Feed, parts: WebhookParts) -> ASGIRouteHandler:
    @asgi(f"{PAGE_PATH}/events", copy_scope=False)
    async def events(scope: Scope, receive: Receive, send: Send) -> None:
        if not entry.admits(headers_of(scope["headers"])):
            refusal = problem_response(_login_first()).to_asgi_response(None, Request(scope))
            await refusal(scope, receive, send)
            return
        await stream(feed, parts.ending, receive, send)

    return events


def _static_files() -> list[Route]:
    """The page's own files: the same for everybody, so nobody must log in for them."""
    return [_static_file(name) for name in _STATIC]


def _static_file(name: str) -> HTTPRouteHandler:
    body = _text(name).encode()
    media_type = _MEDIA_TYPES[name.rpartition(".")[2]]
    headers = {**SECURITY, "cache-control": "no-cache"}

    @get(f"{PAGE_PATH}/{name}", name=f"floor:{name}")
    async def static_file() -> ASGIResponse:
        return ASGIResponse(body=body, media_type=media_type, headers=headers)

    return static_file


def _by_hand(entry: Entry, use_cases: FloorUseCases) -> list[Route]:
    actions = FloorActions(use_cases)

    @get(f"{PAGE_PATH}/why/{{room:str}}")
    async def why(request: Request[Any, Any, Any]) -> ASGIResponse:
        if not entry.admits(headers_of(request.scope["headers"])):
            raise _login_first()
        try:
            room_id = parse_room_id(request.path_params["room"])
        except InvalidInput as error:
            raise Problem(UNUSABLE, f"{error}.") from error
        zone = _zone(request.query_params.get("zone", ""))
        return _json(told(await use_cases.explain(room_id), zone))

    @post(f"{PAGE_PATH}/actions/{{name:str}}", status_code=200)
    async def act(request: Request[Any, Any, Any]) -> ASGIResponse:
        if not entry.trusts_action(headers_of(request.scope["headers"])):
            raise _login_first()
        wanted = _object(await _body(request))
        try:
            done = await actions(request.path_params["name"], wanted)
        except InvalidInput as error:
            raise Problem(UNUSABLE, f"{error}.") from error
        return _json(done)

    return [why, act]


def _zone(name: str) -> tzinfo:
    """The browser's time zone, as far as this machine knows it."""
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, ZoneInfoNotFoundError):
        return UTC


def _object(body: bytes) -> Mapping[str, Any]:
    try:
        wanted = json.loads(body)
    except ValueError as error:
        raise Problem(NOT_JSON, "Send a JSON object.") from error
    if not isinstance(wanted, dict):
        raise Problem(UNUSABLE, "Send a JSON object.")
    return wanted


def _login_first() -> Problem:
    detail = "Log in at /floor, or send the admin token: Authorization: Bearer <admin.token>."
    return Problem(UNAUTHORIZED, detail, headers={"www-authenticate": "Bearer"})


def _html(text: str, *, status: int = 200) -> ASGIResponse:
    return ASGIResponse(
        body=text.encode(),
        media_type="text/html",
        status_code=status,
        headers=SECURITY,
    )


def _json(value: object) -> ASGIResponse:
    return ASGIResponse(
        body=msgspec.json.encode(value), media_type="application/json", headers=SECURITY
    )


def _go_to_page(cookie: str) -> ASGIResponse:
    headers = {**SECURITY, "location": PAGE_PATH, "set-cookie": cookie}
    return ASGIResponse(body=b"", status_code=303, headers=headers)


def _text(name: str) -> str:
    return files("sebastian_apps.floor").joinpath("static", name).read_text("utf-8")
