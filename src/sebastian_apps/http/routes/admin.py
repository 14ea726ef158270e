"""What only the administrator may see and do: the roster, and registering the webhooks."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any

from litestar import Request, get, post
from litestar.connection import ASGIConnection
from litestar.handlers import HTTPRouteHandler
from litestar.handlers.base import BaseRouteHandler
from litestar.params import Parameter
from msgspec import Struct

from sebastian_apps.http.auth.admin_token import AdminAuth
from sebastian_apps.http.headers import headers_of
from sebastian_apps.http.parts import WebhookParts, parts_of
from sebastian_apps.http.problems import (
    NOT_CONFIGURED,
    PLATFORM_REFUSED,
    PLATFORM_UNAVAILABLE,
    STORE_UNAVAILABLE,
    HttpProblem,
)
from sebastian_apps.http.routes.openapi import described
from sebastian_apps.observability.logging import Redactor
from sebastian_apps.settings import Settings
from sebastian_apps.settings.webhook_urls import webhook_urls
from sebastian_core.domain.agent_loads import AgentLoads, AgentSetting, CapacityRules
from sebastian_core.domain.errors import InvalidInput, PlatformRefused, PlatformUnavailable
from sebastian_core.domain.ids import AgentId
from sebastian_core.domain.platform import Registration
from sebastian_core.domain.roster import Presence, Roster

DASHBOARD_NOTE = (
    "Qiscus may ignore the allocation webhook when it is set from here. Look it up in the "
    "dashboard (Settings > Custom Agent Allocation), and set its toggle and its URL there."
)


Moment = Annotated[str, Parameter(schema_extra={"format": "date-time"})]


class AgentRow(Struct):
    """An agent, as the roster was last read and as our record has them."""

    id: int
    name: str
    online: bool
    channels: list[int]
    capacity: int
    load: int
    paused: bool
    read_at: Moment | None


class AllAgents(Struct):
    """Everybody, and when the roster was read."""

    read_at: Moment | None
    agents: list[AgentRow]


class RegistrationRow(Struct):
    """One webhook, and whether Qiscus told that it is set as we asked."""

    webhook: str
    url: str
    confirmed: bool
    detail: str


class Registered(Struct):
    """What became of both."""

    registrations: list[RegistrationRow]
    note: str


def admin_routes(settings: Settings) -> list[HTTPRouteHandler]:
    """The administrator's routes; none without any admin token."""
    if not settings.admin.by_path:
        return []

    floor = described("All agents", STORE_UNAVAILABLE, guarded=True)
    registered = described(
        "Register both webhooks at Qiscus",
        *(NOT_CONFIGURED, PLATFORM_REFUSED, PLATFORM_UNAVAILABLE),
        guarded=True,
    )

    @get("/agents", guards=[require_admin], **floor)
    async def agents(request: Request[Any, Any, Any]) -> AllAgents:
        parts = parts_of(request)
        roster = await parts.allocator.roster.roster()
        agent_loads = await parts.allocator.agent_settings.agent_loads()
        return floor_document(roster, agent_loads, parts.settings.capacity_rules)

    @post("/set-webhook", guards=[require_admin], status_code=200, **registered)
    async def set_webhook(request: Request[Any, Any, Any]) -> Registered:
        parts = parts_of(request)
        registrations = await register(parts)
        hide = Redactor.for_settings(parts.settings).text
        rows = [_registration(each, hide) for each in registrations]
        return Registered(rows, DASHBOARD_NOTE)

    return [agents, set_webhook]


async def require_admin(connection: ASGIConnection, _: BaseRouteHandler) -> None:  # type: ignore[type-arg]
    """Let through who sends an admin token as a bearer token; raises HttpProblem for others.

    Asynchronous, because Litestar gives other guards to a thread.
    """
    door_of(connection).holder_in(headers_of(connection.scope["headers"]))


def door_of(connection: ASGIConnection) -> AdminAuth:  # type: ignore[type-arg]
    """The door that this app was made with."""
    door: AdminAuth = connection.app.state.door
    return door


async def register(parts: WebhookParts) -> list[Registration]:
    """Register both webhooks at Qiscus, under the configured address and no other."""
    if parts.register_webhooks is None:
        raise HttpProblem(NOT_CONFIGURED, "Set qiscus.app_id and qiscus.secret_key first.")
    try:
        return await parts.register_webhooks(*webhook_urls(parts.settings))
    except InvalidInput as error:
        raise HttpProblem(NOT_CONFIGURED, f"{error}.") from error
    except PlatformRefused as error:
        detail = f"Qiscus answered {error.status}; check qiscus.app_id and qiscus.secret_key."
        raise HttpProblem(PLATFORM_REFUSED, detail) from error
    except PlatformUnavailable as error:
        detail = f"Qiscus did not answer usably ({error.fault}); try again later."
        raise HttpProblem(PLATFORM_UNAVAILABLE, detail, headers={"retry-after": "10"}) from error


def floor_document(
    roster: Roster | None, agent_loads: AgentLoads, capacity_rules: CapacityRules
) -> AllAgents:
    """All agents of the roster, and those who hold chats without being in it."""
    known = roster.agents if roster else {}
    rows = [
        _agent(agent_id, known.get(agent_id), agent_loads, capacity_rules)
        for agent_id in sorted({*known, *agent_loads.loads})
    ]
    return AllAgents(_moment(roster.read_at if roster else None), rows)


def _agent(
    agent_id: AgentId,
    presence: Presence | None,
    agent_loads: AgentLoads,
    capacity_rules: CapacityRules,
) -> AgentRow:
    setting = agent_loads.settings.get(agent_id, AgentSetting())
    return AgentRow(
        id=agent_id,
        name=presence.name if presence else "",
        online=bool(presence and presence.online),
        channels=sorted(presence.channels) if presence else [],
        capacity=capacity_rules.of(agent_id, setting, agent_loads),
        load=agent_loads.loads.get(agent_id, 0),
        paused=setting.paused,
        read_at=_moment(presence.read_at if presence else None),
    )


def _registration(registration: Registration, hide: Callable[[str], str]) -> RegistrationRow:
    return RegistrationRow(
        webhook=registration.webhook,
        url=hide(registration.url),
        confirmed=registration.confirmed,
        detail=hide(registration.detail),
    )


def _moment(at: datetime | None) -> str | None:
    return at.isoformat() if at else None
