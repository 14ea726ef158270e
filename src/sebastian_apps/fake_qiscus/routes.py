"""The platform's paths, and which call each one is; faults and counts use these names."""

import re
from collections.abc import Callable
from typing import TypeAlias
from urllib.parse import unquote

from attrs import frozen

from sebastian_apps.fake_qiscus.http_server import Request, Response

#: Method, path and call. Two braces in a path stand for the id in it, the call's `subject`.
ROUTES = (
    # people
    ("GET", "/api/v2/admin/agents", "agents"),
    ("GET", "/api/v1/admin/agents", "agents_v1"),
    ("GET", "/api/v1/admin/agents/get_by_ids", "agents_by_ids"),
    ("GET", "/api/v2/admin/agents/by_division", "agents_by_division"),
    ("GET", "/api/v2/admin/agent/{}", "agent"),
    ("GET", "/api/v2/admin/service/available_agents", "available_agents"),
    ("GET", "/api/v2/admin/service/other_agents", "other_agents"),
    ("GET", "/api/v2/divisions", "divisions"),
    # who serves a room
    ("POST", "/api/v1/admin/service/assign_agent", "assign_agent"),
    ("POST", "/api/v1/admin/service/remove_agent", "remove_agent"),
    ("POST", "/api/v1/admin/service/allocate_agent", "allocate_agent"),
    ("POST", "/api/v1/admin/service/allocate_assign_agent", "allocate_assign_agent"),
    ("POST", "/api/v1/admin/service/mark_as_resolved", "mark_as_resolved"),
    # the same by an agent, with the agent's own token
    ("POST", "/api/v1/agent/service/assign_agent", "agent_assign_agent"),
    ("POST", "/api/v1/agent/service/mark_as_resolved", "agent_mark_as_resolved"),
    ("GET", "/api/v2/agent/service/available_agents", "agent_available_agents"),
    ("GET", "/api/v2/agent/service/total_unserved", "agent_total_unserved"),
    ("POST", "/api/v2/agent/service/takeover_unserved", "agent_takeover_unserved"),
    # rooms
    ("POST", "/api/v2/customer_rooms", "customer_rooms"),
    ("GET", "/api/v2/customer_rooms", "customer_rooms"),
    ("GET", "/api/v2/customer_rooms/{}", "customer_room"),
    ("GET", "/api/v1/qiscus/room/{}/user_info", "user_info"),
    ("POST", "/api/v1/qiscus/room/{}/user_info", "set_user_info"),
    ("GET", "/api/v1/room_tag/{}", "room_tags"),
    ("GET", "/api/v2/room_tags/{}", "room_tags"),
    ("POST", "/api/v1/room_tag/create", "create_room_tag"),
    ("POST", "/api/v2/room_tags/{}", "create_room_tag"),
    ("POST", "/{}/bot", "bot_message"),
    # the account
    ("POST", "/api/v1/auth", "auth"),
    ("GET", "/api/v1/admin/get_profile", "profile"),
    ("GET", "/api/v1/admin/office_hours", "office_hours"),
    ("GET", "/api/v2/channels", "channels"),
    ("POST", "/api/v1/app/webhook/agent_allocation", "register_allocation"),
    ("POST", "/api/v1/app/webhook/mark_as_resolved", "register_resolved"),
    ("GET", "/api/v2/admin/webhook_config", "webhook_config"),
)

OPERATIONS = frozenset(operation for _, _, operation in ROUTES)

#: What only an agent may do, with the token of the agent's own login.
AGENTS_OWN = frozenset(operation for _, path, operation in ROUTES if "/agent/service/" in path)

_EXACT = {(method, path): operation for method, path, operation in ROUTES if "{}" not in path}
_WITH_SUBJECT = [
    (method, re.compile(re.escape(path).replace(r"\{\}", "([^/]+)")), operation)
    for method, path, operation in ROUTES
    if "{}" in path
]


@frozen
class Call:
    """A request that has found its operation; `subject` is the id in its path."""

    operation: str
    request: Request
    subject: str = ""


#: Who answers each operation.
Answers: TypeAlias = dict[str, Callable[[Call], Response]]


def find_call(request: Request) -> Call | None:
    """The operation that the request means; None for a path or method that is none."""
    path = "/" + request.path.lstrip("/")  # a base URL that ends in a slash gives //api/...
    operation = _EXACT.get((request.method, path))
    if operation:
        return Call(operation, request)
    for method, pattern, operation in _WITH_SUBJECT:
        match = pattern.fullmatch(path) if method == request.method else None
        if match:
            return Call(operation, request, unquote(match[1]))
    return None
