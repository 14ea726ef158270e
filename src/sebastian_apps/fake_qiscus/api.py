"""The platform's REST API: decodes a request, asks the state machine, encodes its answer."""

from collections.abc import Callable, Mapping
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any, TypeAlias
from urllib.parse import parse_qsl, unquote

import msgspec
from attrs import frozen

from sebastian_adapters.memory.platform import (
    AgentView,
    Body,
    Page,
    Platform,
    Refusal,
    RoomFilter,
    RoomView,
)
from sebastian_apps.fake_qiscus.http_server import Request, Response

PostWebhook: TypeAlias = Callable[[str, Body, str, int | None], None]
Fields: TypeAlias = Mapping[str, Any]
_REGISTRATIONS = {"register_allocation": "allocation", "register_resolved": "resolved"}
OPERATIONS = {
    ("GET", "/api/v2/admin/agents"): "agents",
    ("GET", "/api/v1/admin/agents/get_by_ids"): "agents_by_ids",
    ("GET", "/api/v2/admin/agent/"): "agent",
    ("GET", "/api/v2/admin/service/available_agents"): "available_agents",
    ("POST", "/api/v1/admin/service/assign_agent"): "assign_agent",
    ("POST", "/api/v1/admin/service/remove_agent"): "remove_agent",
    ("POST", "/api/v1/admin/service/mark_as_resolved"): "mark_as_resolved",
    ("POST", "/api/v2/customer_rooms"): "customer_rooms",
    ("GET", "/api/v2/customer_rooms"): "customer_rooms",
    ("GET", "/api/v2/customer_rooms/"): "customer_room",
    ("POST", "/api/v1/app/webhook/agent_allocation"): "register_allocation",
    ("POST", "/api/v1/app/webhook/mark_as_resolved"): "register_resolved",
    ("POST", "/api/v1/auth"): "auth",
    ("GET", "/api/v1/admin/get_profile"): "profile",
    ("GET", "/api/v2/admin/webhook_config"): "webhook_config",
}
"""What a fault rule calls each call. A path that ends in a slash takes an id behind it."""
_NOTHING = (None, "", "null")
"""What clients send in a form for an argument that they leave out."""
_JSON = msgspec.json.Encoder()


class NotUnderstoodError(ValueError):
    """The request lacks something, or holds something of the wrong type."""


@frozen
class Call:
    """A request that has found its operation; `subject` is the id in its path."""

    operation: str
    request: Request
    subject: str = ""


class PlatformApi:
    """Answers calls out of a `Platform`; a resolve posts its webhook."""

    def __init__(self, platform: Platform, post_webhook: PostWebhook) -> None:
        self._platform = platform
        self._post_webhook = post_webhook
        self._encoded: dict[int, tuple[AgentView, msgspec.Raw]] = {}
        self._answers: dict[str, Callable[[Call], Response]] = {
            "agents": self._agents,
            "agents_by_ids": self._agents_by_ids,
            "agent": self._agent,
            "available_agents": self._available_agents,
            "assign_agent": self._assign_agent,
            "remove_agent": self._remove_agent,
            "mark_as_resolved": self._mark_as_resolved,
            "customer_rooms": self._customer_rooms,
            "customer_room": self._customer_room,
            "register_allocation": self._register,
            "register_resolved": self._register,
            "auth": self._auth,
            "profile": self._profile,
            "webhook_config": lambda _: _ok(self._platform.app.webhook_configs()),
        }

    def apply(self, call: Call) -> Response:
        """Do what the call asks, and answer; whatever cannot be understood answers 400."""
        refusal = self._check_credential(call)
        if refusal:
            return self.refuse(refusal)
        try:
            return self._answers[call.operation](call)
        except ValueError as error:
            return self.refuse(Refusal(400, f"{error}"))

    def refuse(self, refusal: Refusal) -> Response:
        """A refusal in the shape that the account's errors have, marked as words of our own."""
        errors: object = f"FAKE: {refusal.message}"
        if self._platform.switches.errors_shape == "object":
            errors = {"message": errors}
        elif self._platform.switches.errors_shape == "list":
            errors = [errors]
        return Response(refusal.status, _JSON.encode({"errors": errors}))

    def _check_credential(self, call: Call) -> Refusal | None:
        if call.operation == "auth":
            return None
        headers, account = call.request.headers, self._platform.account
        has_token = self._platform.app.knows_token(headers.get("authorization", ""))
        app_id = headers.get("qiscus-app-id", account.app_code if has_token else None)
        if app_id != account.app_code:
            return Refusal(401, "unknown app id")
        has_secret = headers.get("qiscus-secret-key") == account.secret_key
        if not (has_secret or has_token):
            return Refusal(401, "unauthorized")
        wanted = self._platform.switches.webhook_registration
        if call.operation not in _REGISTRATIONS or wanted == "both":
            return None
        is_wanted = has_secret if wanted == "secret" else has_token
        return None if is_wanted else Refusal(403, "forbidden")

    def _profile(self, _: Call) -> Response:
        shows_app = self._platform.switches.profile_shows_app
        return _ok(self._platform.app.profile(shows_app=shows_app))

    def _agents(self, call: Call) -> Response:
        request = call.request
        page = self._platform.agents(
            page=_number(request.first("page")) or 1,
            cursor_after=request.first("cursor_after"),
            limit=_number(request.first("limit")),
        )
        bodies, by_cursor = self._platform.bodies, self._platform.switches.agents_paging == "cursor"
        meta = bodies.cursors(page) if by_cursor else bodies.counted(page)
        return self._paged({"agents": self._listed(page)}, meta)

    def _agents_by_ids(self, call: Call) -> Response:
        texts = call.request.query.get("ids[]", []) + call.request.query.get("ids", [])
        agents = self._platform.agents_by_ids(tuple(int(each) for each in texts))
        return _ok({"data": [self._platform.bodies.full_agent(agent) for agent in agents]})

    def _agent(self, call: Call) -> Response:
        agent = self._platform.agent(int(call.subject))
        if agent is None:
            return self.refuse(Refusal(404, "no such agent"))
        return _ok(self._platform.bodies.agent_detail(agent))

    def _available_agents(self, call: Call) -> Response:
        request = call.request
        page = self._platform.available_agents(
            request.first("room_id") or "",
            cursor_after=request.first("cursor_after"),
            limit=_number(request.first("limit")),
        )
        if isinstance(page, Refusal):
            return self.refuse(page)
        meta, listed = self._platform.bodies.cursors(page), self._listed(page)
        if self._platform.switches.available_agents_shape == "array":
            return _ok({"data": listed, "meta": meta, "status": 200})
        return self._paged({"agents": listed}, meta)

    def _assign_agent(self, call: Call) -> Response:
        fields = _fields(call.request)
        answer = self._platform.assign(
            _text(fields, "room_id"),
            _whole(fields, "agent_id"),
            max_agent=_number(fields.get("max_agent")),
            replace_latest_agent=_flag(fields.get("replace_latest_agent")),
        )
        if isinstance(answer, Refusal):
            return self.refuse(answer)
        with_service = self._platform.switches.assign_answers_service
        return _ok(self._platform.bodies.assignment(answer, with_service=with_service))

    def _remove_agent(self, call: Call) -> Response:
        fields = _fields(call.request)
        answer = self._platform.remove_agent(_text(fields, "room_id"), _whole(fields, "agent_id"))
        if isinstance(answer, Refusal):
            return self.refuse(answer)
        return _ok({"data": {"removed_agent": self._platform.bodies.listed_agent(answer)}})

    def _mark_as_resolved(self, call: Call) -> Response:
        fields = _fields(call.request)
        notes = fields.get("notes")
        answer = self._platform.mark_as_resolved(
            _text(fields, "room_id"), notes=None if notes is None else str(notes)
        )
        if isinstance(answer, Refusal):
            return self.refuse(answer)
        self._post_webhook("resolved", answer.webhook, answer.room_id, answer.service_id)
        return _ok(answer.answer)

    def _customer_rooms(self, call: Call) -> Response:
        fields = _fields(call.request)
        page = self._platform.rooms(
            _room_filter(fields),
            cursor_after=fields.get("cursor_after"),
            limit=_number(fields.get("limit")),
        )
        bodies = self._platform.bodies
        rooms = [bodies.room(room) for room in page.items]
        return self._paged({"customer_rooms": rooms}, bodies.cursors(page))

    def _customer_room(self, call: Call) -> Response:
        room: RoomView | None = self._platform.room(call.subject)
        if room is None:
            return self.refuse(Refusal(404, "no such room"))
        return _ok(self._platform.bodies.room_detail(room))

    def _register(self, call: Call) -> Response:
        fields = _fields(call.request)
        answer = self._platform.app.set_webhook(
            _REGISTRATIONS[call.operation],
            _text(fields, "webhook_url"),
            is_enabled=_flag(fields.get("is_webhook_enabled")),
        )
        return _ok(answer)

    def _auth(self, call: Call) -> Response:
        fields = _fields(call.request)
        answer = self._platform.app.login(_text(fields, "email"), _text(fields, "password"))
        return self.refuse(answer) if isinstance(answer, Refusal) else _ok(answer)

    def _listed(self, page: Page[AgentView]) -> list[msgspec.Raw]:
        return [self._encode(agent) for agent in page.items]

    def _encode(self, agent: AgentView) -> msgspec.Raw:
        known = self._encoded.get(agent.id)
        if known and known[0] is agent:
            return known[1]
        raw = msgspec.Raw(_JSON.encode(self._platform.bodies.listed_agent(agent)))
        self._encoded[agent.id] = (agent, raw)
        return raw

    def _paged(self, data: Body, meta: Body) -> Response:
        if self._platform.switches.meta_place == "data":
            return _ok({"data": {**data, "meta": meta}, "status": 200})
        return _ok({"data": data, "meta": meta, "status": 200})


def find_call(request: Request) -> Call | None:
    """The operation that the request means; None for a path or method that is none."""
    path = "/" + request.path.lstrip("/")  # a base URL that ends in a slash gives //api/...
    operation = OPERATIONS.get((request.method, path))
    if operation:
        return Call(operation, request)
    folder, _, subject = path.rpartition("/")
    operation = OPERATIONS.get((request.method, f"{folder}/"))
    return Call(operation, request, unquote(subject)) if operation and subject else None


def _ok(body: Body) -> Response:
    return Response(200, _JSON.encode(body))


def _fields(request: Request) -> Fields:
    """The body's fields, whichever of the three encodings it came in."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not request.body:
        return {}
    if kind == "application/json":
        return _json_fields(request.body)
    if kind == "multipart/form-data":
        return _multipart_fields(request)
    return dict(parse_qsl(request.body.decode()))


def _json_fields(body: bytes) -> Fields:
    fields = msgspec.json.decode(body)
    if not isinstance(fields, dict):
        raise NotUnderstoodError("the body is not an object")
    return fields


def _multipart_fields(request: Request) -> Fields:
    head = f"content-type: {request.headers['content-type']}\r\n\r\n".encode("latin-1")
    message = BytesParser(policy=HTTP).parsebytes(head + request.body)
    return {
        str(part.get_param("name", header="content-disposition")): part.get_content().strip()
        for part in message.iter_parts()
    }


def _text(fields: Fields, name: str) -> str:
    value = fields.get(name)
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        raise NotUnderstoodError(f"{name} is required")
    return str(value)


def _whole(fields: Fields, name: str) -> int:
    number = _number(fields.get(name))
    if number is None:
        raise NotUnderstoodError(f"{name} is required")
    return number


def _number(value: object) -> int | None:
    """A whole number, also as 3.0 or as text; nothing for the ways to send nothing."""
    if value in _NOTHING:
        return None
    if isinstance(value, float) and value.is_integer():
        return int(value)
    text = str(value).removesuffix(".0")
    if not text.lstrip("-").isdecimal():
        raise NotUnderstoodError(f"{value!r} is not a whole number")
    return int(text)


def _flag(value: object) -> bool:
    return str(value).lower() in {"true", "1"}


def _room_filter(fields: Fields) -> RoomFilter:
    channels = fields.get("channels") or []
    return RoomFilter(
        status=fields.get("status"),
        serve_status=fields.get("serve_status"),
        user_ids=tuple(int(each) for each in fields.get("user_ids") or ()),
        channel_ids=tuple(int(each["channel_id"]) for each in channels),
        name=fields.get("name"),
    )
