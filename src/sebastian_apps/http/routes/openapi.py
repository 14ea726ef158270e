"""The service's own description: Litestar makes it of the routes and what they say of themselves.

Every kind of problem that a route can answer with is named where the route is. Bodies are read by
ourselves and forgive much, so the two of Qiscus are described here, as we understand them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from typing import Annotated, Any, Literal

import msgspec
from litestar import Litestar, MediaType, get
from litestar.enums import ParamType
from litestar.handlers import ASGIRouteHandler, HTTPRouteHandler
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import (
    Components,
    Link,
    OpenAPIHeader,
    OpenAPIMediaType,
    OpenAPIResponse,
    OpenAPIType,
    Operation,
    Parameter,
    Reference,
    RequestBody,
    Schema,
    SecurityScheme,
)
from msgspec import Meta, Struct

from sebastian_apps.http.payloads import ID_LIMIT
from sebastian_apps.http.problems import (
    PROBLEM_MEDIA_TYPE,
    STORE_UNAVAILABLE,
    TOO_MANY_GUESSES,
    UNAUTHORIZED,
    ProblemKind,
)
from sebastian_core.domain.ids import ROOM_ID_LIMIT

OPENAPI_PATH = "/schema/openapi.json"
GUARDED = (UNAUTHORIZED, TOO_MANY_GUESSES)
"""What every route answers that wants an admin token."""

_REFS = "#/components/schemas/{name}"
_TEXT = Schema(type=OpenAPIType.STRING)
_HEADERS: Mapping[ProblemKind, str] = {
    UNAUTHORIZED: "WWW-Authenticate",
    TOO_MANY_GUESSES: "Retry-After",
    STORE_UNAVAILABLE: "Retry-After",
}

ROOM_PATTERN = f"^[!-~]{{1,{ROOM_ID_LIMIT}}}$"
RoomNumber = Annotated[
    Annotated[str, Meta(pattern=ROOM_PATTERN)] | Annotated[int, Meta(ge=0, le=ID_LIMIT)],
    Meta(description="The room, as text (digits, as a rule) or as a whole number."),
]


class Ok(Struct):
    """It was done."""

    status: Literal["ok"]


class ProblemDocument(Struct):
    """What an answer says when it is not what was asked for (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str


class ArrivalBody(Struct):
    """Qiscus's allocation webhook; everything else in it is passed over."""

    room_id: RoomNumber
    channel: Annotated[Any, Meta(description="An object with its id; else unknown.")] = None
    source: Annotated[Any, Meta(description="Text; else unknown.")] = None
    latest_service: Annotated[
        Any, Meta(description="An object with id and is_resolved; else unknown.")
    ] = None


class ActionBody(Struct):
    """Which of them an action wants is in its name; it refuses what it cannot use."""

    room: Annotated[Any, Meta(description="A room's id.")] = None
    agent: Annotated[Any, Meta(description="An agent's id.")] = None
    capacity: Annotated[Any, Meta(description="A whole number, or null for the default.")] = None
    over: Annotated[Any, Meta(description="true: though the agent is full.")] = None
    offline: Annotated[Any, Meta(description="true: though the agent is offline.")] = None


class ResolvedService(Struct):
    """The room that was marked as resolved."""

    room_id: RoomNumber
    id: Annotated[Any, Meta(description="A number; else unknown.")] = None


class ResolveBody(Struct):
    """Qiscus's mark-as-resolved webhook; everything else in it is passed over."""

    service: ResolvedService


_EXAMPLES: Mapping[type[Struct], Mapping[str, Any]] = {
    ArrivalBody: {
        "room_id": "210501",
        "channel": {"id": 31},
        "source": "wa",
        "latest_service": {"id": 501, "is_resolved": True},
    },
    ResolveBody: {"service": {"room_id": "210501", "id": 502}},
    ActionBody: {"room": "210501"},
}


def described(
    summary: str,
    *problems: ProblemKind,
    answer: type | None = None,
    guarded: bool = False,
    operation_id: str | None = None,
    links: Mapping[str, Link] | None = None,
    **more: Any,
) -> dict[str, Any]:
    """What a route's decorator is told for the description, beside its path.

    `answer` is what a 200 holds, where the function that answers gives bytes. `guarded` routes
    want an admin token. `links` say what may follow on a 200. `more` are other members of
    Litestar's Operation: `parameters`, `request_body`.
    """
    by_status: dict[int, list[ProblemKind]] = {}
    for kind in (*problems, *(GUARDED if guarded else ())):
        by_status.setdefault(kind.status, []).append(kind)
    responses = {status: _told(kinds) for status, kinds in sorted(by_status.items())}
    if answer is not None:
        responses[200] = ResponseSpec(answer, generate_examples=False, description="Done")
    return {
        "summary": summary,
        "operation_id": operation_id,
        "responses": responses,
        "security": [{"admin": []}] if guarded else None,
        "operation_class": _completed(by_status, links or {}, more),
    }


def _completed(
    problems: Mapping[int, Sequence[ProblemKind]],
    links: Mapping[str, Link],
    more: Mapping[str, Any],
) -> type[Operation]:
    """An operation with what cannot be said by arguments of a route's decorator."""

    @dataclass
    class Completed(Operation):
        def __post_init__(self) -> None:
            for name, value in more.items():
                setattr(self, name, value)
            for status, response in (self.responses or {}).items():
                assert isinstance(response, OpenAPIResponse)  # noqa: S101 - it names no components
                names = {_HEADERS.get(kind, "") for kind in problems.get(int(status), ())} - {""}
                headers = {name: OpenAPIHeader(schema=_TEXT) for name in sorted(names)}
                response.headers = dict(headers) or None
                response.links = dict(links) if status == "200" else None

    return Completed


def json_body(of: type[Struct]) -> RequestBody:
    """A body of this shape, one of `_EXAMPLES`; it must be there."""
    schema = Reference(ref=_REFS.format(name=of.__name__))
    content = {MediaType.JSON.value: OpenAPIMediaType(schema=schema, example=_EXAMPLES[of])}
    return RequestBody(content=content, required=True)


def in_query(name: str, *, pattern: str | None = None, required: bool = False) -> Parameter:
    """A text behind the path's question mark."""
    schema = Schema(type=OpenAPIType.STRING, pattern=pattern)
    return Parameter(name=name, param_in=ParamType.QUERY, schema=schema, required=required)


def openapi_routes(
    routes: Sequence[HTTPRouteHandler | ASGIRouteHandler],
) -> list[HTTPRouteHandler]:
    """The description of these routes, made when it is first asked for."""
    document = cache(lambda: openapi_document(routes))

    @get(OPENAPI_PATH, media_type=MediaType.JSON, include_in_schema=False, sync_to_thread=False)
    def openapi() -> dict[str, Any]:
        return document()

    return [openapi]


def openapi_document(routes: Sequence[HTTPRouteHandler | ASGIRouteHandler]) -> dict[str, Any]:
    """OpenAPI 3.1 for these routes; it names no secret.

    The application that Litestar wants for it serves nothing: the one that serves would get a page
    of Litestar's for every other path under `/schema`.
    """
    config = OpenAPIConfig(
        title="Sebastian's webhook service",
        version=version("sebastian-allocator"),
        description="Takes Qiscus Omnichannel's webhooks and records them durably.",
        components=Components(
            security_schemes={"admin": SecurityScheme(type="http", scheme="bearer")}
        ),
    )
    document = Litestar(routes, openapi_config=config, logging_config=None).openapi_schema
    described = document.to_schema()
    _, bodies = msgspec.json.schema_components(_EXAMPLES, ref_template=_REFS)
    described["components"]["schemas"] |= bodies
    return described


def _told(kinds: Sequence[ProblemKind]) -> ResponseSpec:
    return ResponseSpec(
        ProblemDocument,
        generate_examples=False,
        description="; ".join(kind.title for kind in kinds),
        media_type=PROBLEM_MEDIA_TYPE,
    )
