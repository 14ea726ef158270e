"""The service's own description: every route, and every status that it can answer with."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from litestar import MediaType, get
from litestar.handlers import HTTPRouteHandler

from sebastian_apps.settings import Settings
from sebastian_apps.webhook.addresses import ARRIVAL_PATH, RESOLVE_PATH
from sebastian_apps.webhook.decoding import ID_LIMIT
from sebastian_apps.webhook.problems import (
    FOREIGN_APP,
    INCOMPLETE,
    NOT_CONFIGURED,
    NOT_FOUND,
    NOT_JSON,
    NOT_READY,
    NOT_UTF8,
    PLATFORM_REFUSED,
    PLATFORM_UNAVAILABLE,
    PROBLEM_MEDIA_TYPE,
    STORE_UNAVAILABLE,
    TOO_LARGE,
    TOO_MANY_GUESSES,
    TOO_SLOW,
    UNAUTHORIZED,
    UNSUPPORTED,
    UNUSABLE,
    ProblemKind,
)
from sebastian_core.domain.ids import ROOM_ID_LIMIT

OPENAPI_PATH = "/schema/openapi.json"

Document = dict[str, Any]

_RECORDING = (
    *(NOT_UTF8, NOT_JSON, INCOMPLETE, FOREIGN_APP, TOO_SLOW),
    *(TOO_LARGE, UNSUPPORTED, UNUSABLE, STORE_UNAVAILABLE),
)
_REGISTERING = (
    UNAUTHORIZED,
    TOO_MANY_GUESSES,
    NOT_CONFIGURED,
    PLATFORM_REFUSED,
    PLATFORM_UNAVAILABLE,
)


def openapi_routes(settings: Settings) -> list[HTTPRouteHandler]:
    """The document, made once."""
    document = openapi_document(settings)

    @get(OPENAPI_PATH, media_type=MediaType.JSON, sync_to_thread=False)
    def openapi() -> dict[str, Any]:
        return document

    return [openapi]


def openapi_document(settings: Settings) -> Document:
    """OpenAPI 3.1 for the routes that these settings open; it names no secret."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Sebastian's webhook service",
            "version": version("sebastian-allocator"),
            "description": "Takes Qiscus Omnichannel's webhooks and records them durably.",
        },
        "paths": {
            **_webhook_paths(settings),
            "/healthz": {"get": _operation("Whether the process lives", _json(_STATUS))},
            "/readyz": {
                "get": _operation("Whether webhooks can be recorded", _json(_READY), (NOT_READY,))
            },
            **(_admin_paths() if settings.admin.by_path else {}),
        },
        "components": {
            "schemas": {"Problem": _PROBLEM, "RoomId": _ROOM_ID},
            "securitySchemes": {"admin": {"type": "http", "scheme": "bearer"}},
        },
    }


def _webhook_paths(settings: Settings) -> Document:
    suffix = "/{token}" if settings.webhook.token else ""
    token = {"name": "token", "in": "path", "required": True, "schema": {"type": "string"}}
    shared: Document = {"parameters": [token]} if suffix else {}
    problems = (*_RECORDING, NOT_FOUND) if suffix else _RECORDING
    answer = {**_json(_STATUS), "links": _links(is_guarded=bool(suffix))}
    arrival = _operation("A customer asks for an agent", answer, problems)
    arrival |= {"operationId": "arrival", "requestBody": _body(_ARRIVAL, _ARRIVAL_EXAMPLE)}
    resolve = _operation("A room was marked as resolved", _json(_STATUS), problems)
    resolve |= {"operationId": "resolve", "requestBody": _body(_RESOLUTION, _RESOLUTION_EXAMPLE)}
    return {
        ARRIVAL_PATH + suffix: {**shared, "post": arrival},
        RESOLVE_PATH + suffix: {**shared, "post": resolve},
    }


def _links(*, is_guarded: bool) -> Document:
    """What may follow on an arrival: the same customer once more, and the room's end."""
    room_id = "$request.body#/room_id"
    shared = {"parameters": {"path.token": "$request.path.token"}} if is_guarded else {}
    return {
        "again": {**shared, "operationId": "arrival", "requestBody": {"room_id": room_id}},
        "end": {
            **shared,
            "operationId": "resolve",
            "requestBody": {"service": {"room_id": room_id}},
        },
    }


def _admin_paths() -> Document:
    guarded: Document = {"security": [{"admin": []}]}
    problems = (UNAUTHORIZED, TOO_MANY_GUESSES, STORE_UNAVAILABLE)
    agents = _operation("All agents", _json(_FLOOR), problems)
    set_webhook = _operation("Register both webhooks at Qiscus", _json(_REGISTERED), _REGISTERING)
    return {
        "/agents": {"get": {**agents, **guarded}},
        "/set-webhook": {"post": {**set_webhook, **guarded}},
    }


def _operation(summary: str, answer: Document, problems: tuple[ProblemKind, ...] = ()) -> Document:
    by_status: dict[int, list[ProblemKind]] = {}
    for kind in problems:
        by_status.setdefault(kind.status, []).append(kind)
    told = {str(status): _problem_answer(kinds) for status, kinds in sorted(by_status.items())}
    return {"summary": summary, "responses": {"200": answer, **told}}


def _problem_answer(kinds: list[ProblemKind]) -> Document:
    schema = {"$ref": "#/components/schemas/Problem"}
    answer: Document = {
        "description": "; ".join(kind.title for kind in kinds),
        "content": {PROBLEM_MEDIA_TYPE: {"schema": schema}},
    }
    headers = {name for kind in kinds for name in _HEADERS.get(kind, ())}
    if headers:
        answer["headers"] = {name: {"schema": {"type": "string"}} for name in sorted(headers)}
    return answer


_HEADERS: Mapping[ProblemKind, tuple[str, ...]] = {
    UNAUTHORIZED: ("WWW-Authenticate",),
    TOO_MANY_GUESSES: ("Retry-After",),
    STORE_UNAVAILABLE: ("Retry-After",),
}


def _json(schema: Document) -> Document:
    return {"description": "Done", "content": {"application/json": {"schema": schema}}}


def _body(schema: Document, example: Document) -> Document:
    content = {"application/json": {"schema": schema, "example": example}}
    return {"required": True, "content": content}


def _object(**properties: Document) -> Document:
    return {"type": "object", "required": list(properties), "properties": properties}


_TEXT: Document = {"type": "string"}
_FLAG: Document = {"type": "boolean"}
_NUMBER: Document = {"type": "integer"}
_MOMENT: Document = {"type": ["string", "null"], "format": "date-time"}
_STATUS = _object(status={"const": "ok"})
_READY = _object(
    status={"const": "ok"}, checks={"type": "object", "additionalProperties": {"const": "ok"}}
)
_PROBLEM: Document = _object(type=_TEXT, title=_TEXT, status=_NUMBER, detail=_TEXT)
_ROOM_ID: Document = {
    "description": "The room, as text (digits, as a rule) or as a whole number.",
    "anyOf": [
        {"type": "string", "pattern": f"^[!-~]{{1,{ROOM_ID_LIMIT}}}$"},
        {"type": "integer", "minimum": 0, "maximum": ID_LIMIT},
    ],
}
_ROOM: Document = {"$ref": "#/components/schemas/RoomId"}
_ARRIVAL: Document = {
    "type": "object",
    "required": ["room_id"],
    "properties": {
        "room_id": _ROOM,
        "channel": {"description": "An object with the channel's id; else unknown."},
        "source": {"description": "Text; else unknown."},
        "latest_service": {"description": "An object with id and is_resolved; else unknown."},
    },
    "description": "Qiscus's allocation webhook; everything else in it is passed over.",
}
_RESOLUTION: Document = {
    "type": "object",
    "required": ["service"],
    "properties": {
        "service": {
            "type": "object",
            "required": ["room_id"],
            "properties": {"room_id": _ROOM, "id": {"description": "A number; else unknown."}},
        },
    },
    "description": "Qiscus's mark-as-resolved webhook; everything else in it is passed over.",
}
_ARRIVAL_EXAMPLE: Document = {
    "room_id": "210501",
    "channel": {"id": 31},
    "source": "wa",
    "latest_service": {"id": 501, "is_resolved": True},
}
_RESOLUTION_EXAMPLE: Document = {"service": {"room_id": "210501", "id": 502}}
_AGENT = _object(
    id=_NUMBER,
    name=_TEXT,
    online=_FLAG,
    channels={"type": "array", "items": _NUMBER},
    capacity=_NUMBER,
    load=_NUMBER,
    paused=_FLAG,
    read_at=_MOMENT,
)
_FLOOR = _object(read_at=_MOMENT, agents={"type": "array", "items": _AGENT})
_REGISTRATION = _object(webhook=_TEXT, url=_TEXT, confirmed=_FLAG, detail=_TEXT)
_REGISTERED = _object(registrations={"type": "array", "items": _REGISTRATION}, note=_TEXT)
