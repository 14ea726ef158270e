"""The two webhooks that Qiscus calls; the paths are those of the original."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from hmac import compare_digest
from typing import Any

import structlog
from attrs import evolve
from litestar import Request, post
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.spec import Link
from litestar.response.base import ASGIResponse

from sebastian_apps.http.body import read_body
from sebastian_apps.http.parts import COMMIT_SECONDS, WebhookParts, parts_of
from sebastian_apps.http.patience import Patience
from sebastian_apps.http.payloads import decode_arrival, decode_resolution
from sebastian_apps.http.problems import (
    FOREIGN_APP,
    NOT_FOUND,
    OF_A_BODY,
    STORE_UNAVAILABLE,
    UNUSABLE,
    HttpProblem,
)
from sebastian_apps.http.routes.openapi import ArrivalBody, Ok, ResolveBody, described, json_body
from sebastian_apps.observability.tracing import trace_of
from sebastian_apps.settings import Settings
from sebastian_apps.settings.webhook_urls import ARRIVAL_PATH, RESOLVE_PATH
from sebastian_core.domain.errors import InvalidInput, SchemaMismatch, StoreUnavailable
from sebastian_core.domain.room import Decided

RETRY_AFTER_SECONDS = "1"
FAILED_OUTCOME = "failed"

_OK = ASGIResponse(body=b'{"status":"ok"}', media_type="application/json")
"""Made once: it keeps nothing of a request."""

_LOGGED_ELSEWHERE = (NOT_FOUND, STORE_UNAVAILABLE)
"""Strangers at the door are only counted; why a commit failed is logged where it failed."""

log = structlog.stdlib.get_logger("sebastian.webhook")
Record = Callable[[WebhookParts, bytes], Awaitable[str]]


def webhook_routes(settings: Settings) -> list[HTTPRouteHandler]:
    """Both webhooks: behind a token where one is configured, and only there."""
    suffix = "/{token:str}" if settings.webhook.token else ""

    problems = (*OF_A_BODY, FOREIGN_APP, STORE_UNAVAILABLE, *([NOT_FOUND] if suffix else []))
    arrival = described(
        "A customer asks for an agent",
        *problems,
        answer=Ok,
        operation_id="arrival",
        request_body=json_body(ArrivalBody),
        links=_may_follow(is_guarded=bool(suffix)),
    )
    resolve = described(
        "A room was marked as resolved",
        *problems,
        answer=Ok,
        operation_id="resolve",
        request_body=json_body(ResolveBody),
    )

    @post(ARRIVAL_PATH + suffix, status_code=200, **arrival)
    async def incoming_message(request: Request[Any, Any, Any]) -> ASGIResponse:
        return await _take(request, ARRIVAL_PATH, _record_arrival)

    @post(RESOLVE_PATH + suffix, status_code=200, **resolve)
    async def mark_as_resolved(request: Request[Any, Any, Any]) -> ASGIResponse:
        return await _take(request, RESOLVE_PATH, _record_resolve)

    return [incoming_message, mark_as_resolved]


def _may_follow(*, is_guarded: bool) -> dict[str, Link]:
    """On an arrival: the same customer once more, and the room's end."""
    room_id = "$request.body#/room_id"
    token = {"path.token": "$request.path.token"} if is_guarded else None
    end = {"service": {"room_id": room_id}}
    return {
        "again": Link(operation_id="arrival", parameters=token, request_body={"room_id": room_id}),
        "end": Link(operation_id="resolve", parameters=token, request_body=end),
    }


def no_route() -> HttpProblem:
    """The problem of a path that is not there; a wrong token is one of those."""
    return HttpProblem(NOT_FOUND, "There is nothing at this path.")


def store_unavailable() -> HttpProblem:
    """The problem of a webhook that is not known to be recorded."""
    detail = "The webhook is not known to be recorded; send it again."
    return HttpProblem(STORE_UNAVAILABLE, detail, headers={"retry-after": RETRY_AFTER_SECONDS})


async def _take(request: Request[Any, Any, Any], path: str, record: Record) -> ASGIResponse:
    """Answer 200 after the commit, and tell and count what became of the webhook."""
    parts, began = parts_of(request), time.perf_counter()
    try:
        _check_token(parts, request.path_params)
        body = await read_body(request)
        outcome = await _committed(record(parts, body), parts.committing)
    except HttpProblem as problem:
        parts.counts.count(path, problem.kind.slug)
        _tell_rejected(path, problem)
        raise
    except Exception:
        parts.counts.count(path, FAILED_OUTCOME)
        raise
    finally:
        parts.counts.took(path, time.perf_counter() - began)
    parts.counts.count(path, outcome)
    return _OK


async def _committed(recording: Awaitable[str], committing: Patience) -> str:
    try:
        with committing.limit():
            return await recording
    except (StoreUnavailable, SchemaMismatch, TimeoutError) as error:
        why = str(error) or f"no commit in {COMMIT_SECONDS:g} s"
        log.warning("webhook not recorded", why=why)
        raise store_unavailable() from error
    except InvalidInput as error:
        detail = "A field holds what cannot be stored; send plain text."
        raise HttpProblem(UNUSABLE, detail) from error


def _tell_rejected(path: str, problem: HttpProblem) -> None:
    if problem.kind not in _LOGGED_ELSEWHERE:
        log.info("webhook rejected", webhook=path, why=problem.kind.slug, detail=problem.detail)


async def _record_arrival(parts: WebhookParts, body: bytes) -> str:
    arrival = decode_arrival(
        body, app_id=parts.settings.qiscus.app_id, kept_properties=parts.kept_properties
    )
    try:
        decided = await parts.allocator.admit(arrival)
    except InvalidInput:
        if not arrival.source and not arrival.properties:
            raise
        decided = await parts.allocator.admit(evolve(arrival, source=None, properties={}))
        log.warning("what cannot be stored was left out of a webhook", room=arrival.room_id)
    _tell(decided)
    return decided.answer.name.lower()


async def _record_resolve(parts: WebhookParts, body: bytes) -> str:
    resolution = decode_resolution(body, app_id=parts.settings.qiscus.app_id)
    decided = await parts.allocator.resolve(resolution)
    _tell(decided)
    return decided.answer.name.lower()


def _tell(decided: Decided[Any]) -> None:
    """Log each change under the chat's trace id, which its assign call will carry too."""
    for change in decided.changes:
        chat = change.chat
        ids = {"chat": chat.id, "room": chat.room_id, "trace": trace_of(chat)}
        log.info(str(change.move), why=change.reason, **ids)


def _check_token(parts: WebhookParts, path_params: dict[str, Any]) -> None:
    """Every valid token is compared, so that time tells nothing about any of them."""
    tokens = parts.settings.webhook.token
    if not tokens:
        return
    given = str(path_params["token"]).encode("utf-8", "surrogatepass")
    matches = [compare_digest(given, token.reveal().encode()) for token in tokens]
    if not any(matches):
        raise no_route()
