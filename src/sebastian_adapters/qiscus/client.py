"""The Qiscus client over HTTP (contract sections 0 and 4 to 8)."""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from types import TracebackType
from typing import Self, TypeVar
from urllib.parse import quote, urlencode

from yarl import URL

from sebastian_adapters.qiscus.api import ApiResponse, multipart
from sebastian_adapters.qiscus.calls import ApiCall, Calls, OnCall
from sebastian_adapters.qiscus.decode import (
    DecodedPage,
    account,
    agents_page,
    assign_answer,
    rooms_page,
    single_room,
    webhook_confirmed,
)
from sebastian_adapters.qiscus.login import PlatformLogin
from sebastian_adapters.qiscus.paging import IsEnough, Position, all_pages, never_enough
from sebastian_adapters.qiscus.response import Answer, parse_object, shortened, unreadable
from sebastian_core.domain import platform
from sebastian_core.domain.errors import InvalidInput, PlatformRefused
from sebastian_core.domain.ids import AgentId, RoomId
from sebastian_core.domain.in_doubt import RoomState
from sebastian_core.domain.platform import (
    Account,
    PlatformRoom,
    PlatformRooms,
    Presences,
    Reading,
    Registration,
)
from sebastian_core.ports.clock import Clock
from sebastian_core.ports.qiscus_client import Pace, QiscusClient

AGENTS_PER_PAGE = 100

#: The platform's own default, and the only size that is known to be taken (contract section 8).
ROOMS_PER_PAGE = 50

_FORM = "application/x-www-form-urlencoded"
_JSON = "application/json"

T = TypeVar("T")


class HttpxQiscusClient(QiscusClient):
    """Asks one Qiscus account over HTTP.

    Built closed: `open()` and `aclose()`, or `async with`. `timeout` is the whole call, from
    waiting for a connection to the last byte. `connect_timeout` bounds each of waiting for a free
    connection, connecting and the TLS handshake; it is a third of `timeout` at most, so that what
    was never sent is always told as such. `on_call` is told of every call when it ended.
    With `email` and `password` a call that 401 or 403 refuses to the secret key is tried once more
    with an admin's token.
    """

    def __init__(
        self,
        *,
        base_url: str,
        app_id: str,
        secret_key: str,
        clock: Clock,
        email: str | None = None,
        password: str | None = None,
        timeout: timedelta = timedelta(seconds=5),
        connect_timeout: timedelta = timedelta(seconds=1.5),
        in_flight: int = 64,
        ssl_context: ssl.SSLContext | None = None,
        proxy: str | None = None,
        on_call: OnCall | None = None,
    ) -> None:
        self._base_url = str(URL(base_url)).rstrip("/")
        self._clock = clock
        self._calls = Calls(
            app_id=_header_text("qiscus.app_id", app_id),
            secret_key=_header_text("qiscus.secret_key", secret_key),
            clock=clock,
            timeout=timeout,
            connect_timeout=min(connect_timeout, timeout / 3),
            in_flight=in_flight,
            login=self._login(app_id, email, password),
            ssl_context=ssl_context,
            proxy=proxy,
            on_call=on_call,
        )
        self._assign_url = self._url("/api/v1/admin/service/assign_agent")
        self._rooms_url = self._url("/api/v2/customer_rooms")

    async def open(self) -> None:
        """Get ready to ask; repeating it changes nothing. Nothing is sent yet."""
        await self._calls.open()

    async def aclose(self) -> None:
        """Wait for the calls under way (their deadlines end them), then disconnect."""
        await self._calls.aclose()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def agents(self, pace: Pace) -> Reading[Presences]:
        """All agents, page by page, by cursor or by number; each dated by its page's request."""
        return await self._listed(
            pace,
            lambda position: self._get(
                "agents", "/api/v2/admin/agents", _page_query(position, AGENTS_PER_PAGE)
            ),
            agents_page,
            AGENTS_PER_PAGE,
            numbered=True,
        )

    async def eligible_agents(self, room_id: RoomId, sought: AgentId) -> Reading[Presences]:
        """Whom `available_agents` lists for the room, up to the page with the sought agent."""
        return await self._listed(
            _at_once,
            lambda position: self._get(
                "eligible_agents",
                "/api/v2/admin/service/available_agents",
                {"room_id": room_id, **_page_query(position, AGENTS_PER_PAGE)},
            ),
            agents_page,
            AGENTS_PER_PAGE,
            is_enough=lambda page: page.items.get(str(sought)) is not None,
        )

    async def assign(self, room_id: RoomId, agent_id: AgentId) -> platform.Answer:
        """Assign with `max_agent=1`; sent once, whatever happens to the connection."""
        form = {"room_id": room_id, "agent_id": agent_id, "max_agent": 1}
        question = ApiCall(
            operation="assign",
            method="POST",
            url=self._assign_url,
            content=urlencode(form).encode(),
            content_type=_FORM,
        )
        return await self._calls.ask(
            question, _of_object(lambda answer: assign_answer(answer, room_id))
        )

    async def room(self, room_id: RoomId) -> Reading[PlatformRoom]:
        """One room. *Gone* needs the platform's own word for it: a 404 with a JSON object.

        Any other 404 comes from something between us and the platform, and raises.
        """

        def read(answered: ApiResponse) -> PlatformRoom:
            answer = parse_object(answered)
            if answered.status == 404:
                return PlatformRoom(room_id=room_id, state=RoomState.GONE)
            return single_room(answer, room_id)

        question = ApiCall(
            operation="room",
            method="GET",
            url=self._url(f"/api/v2/customer_rooms/{_path_segment(room_id)}"),
            also_answers=(404,),
        )
        began_at = self._clock.now()
        return Reading(began_at, await self._calls.ask(question, read))

    async def waiting_rooms(self, pace: Pace) -> Reading[PlatformRooms]:
        """The unserved list, without the resolved and served rooms that it also holds."""
        wanted = {"serve_status": "unserved", "status": "unresolved"}
        reading = await self._listed_rooms("waiting_rooms", wanted, pace)
        waiting = tuple(room for room in reading.seen if room.state is RoomState.WAITING)
        return Reading(reading.began_at, waiting, reading.unreadable)

    async def rooms_of(self, agent_id: AgentId, pace: Pace) -> Reading[PlatformRooms]:
        """What the platform lists for this agent; whether it honours `user_ids` is not known.

        A room that the list lacks counts as not theirs: with a row that cannot be read it raises.
        """
        wanted = {"user_ids": [agent_id], "serve_status": "served", "status": "unresolved"}
        reading = await self._listed_rooms("rooms_of", wanted, pace)
        if reading.unreadable:
            raise unreadable("a room of the list has no id or no state")
        unresolved = tuple(room for room in reading.seen if room.state is not RoomState.RESOLVED)
        return Reading(reading.began_at, unresolved)

    async def account(self) -> Account:
        """`get_profile`: cheap, and about no chat."""
        question = self._get("account", "/api/v1/admin/get_profile", {})
        return await self._calls.ask(question, _of_object(account))

    async def register_webhooks(self, allocation_url: str, resolve_url: str) -> list[Registration]:
        """Register both, one after the other; a refusal is told, not raised.

        Whether the platform takes the allocation URL over the API is disputed (contract section 7):
        where it does not, the dashboard does.
        """
        return [
            await self._registered(
                "allocation", "agent_allocation", "allocate_agent", allocation_url
            ),
            await self._registered("resolve", "mark_as_resolved", "mark_as_resolved", resolve_url),
        ]

    async def _registered(self, webhook: str, path: str, name: str, url: str) -> Registration:
        content, content_type = multipart({"webhook_url": url, "is_webhook_enabled": "true"})
        question = ApiCall(
            operation="register_webhooks",
            method="POST",
            url=self._url(f"/api/v1/app/webhook/{path}"),
            content=content,
            content_type=content_type,
            repeatable=True,
            hidden=(url,),
        )
        url_key, enabled_key = f"{name}_webhook_url", f"is_{name}_webhook_enabled"
        try:
            confirmed = await self._calls.ask(
                question, _of_object(lambda app: webhook_confirmed(app, url_key, enabled_key, url))
            )
        except PlatformRefused as error:
            return Registration(
                webhook=webhook, url=url, confirmed=False, detail=shortened(str(error), ())
            )
        detail = "" if confirmed else "the answer does not show this URL as set and enabled"
        return Registration(webhook=webhook, url=url, confirmed=confirmed, detail=detail)

    async def _listed_rooms(
        self, operation: str, wanted: Mapping[str, object], pace: Pace
    ) -> Reading[PlatformRooms]:
        return await self._listed(
            pace,
            lambda position: self._ask_rooms(operation, wanted, position),
            lambda answered, _: rooms_page(answered),
            ROOMS_PER_PAGE,
        )

    async def _listed(
        self,
        pace: Pace,
        question_at: Callable[[Position], ApiCall],
        page_of: Callable[[ApiResponse, datetime], DecodedPage[T]],
        page_size: int,
        *,
        numbered: bool = False,
        is_enough: IsEnough[T] = never_enough,
    ) -> Reading[tuple[T, ...]]:
        moments: list[datetime] = []

        async def ask(position: Position) -> DecodedPage[T]:
            await pace()
            asked_at = self._clock.now()
            moments.append(asked_at)
            return await self._calls.ask(
                question_at(position), lambda answered: page_of(answered, asked_at)
            )

        listing = await all_pages(ask, page_size, numbered=numbered, is_enough=is_enough)
        return Reading(moments[0], listing.wanted, len(listing.unreadable))

    def _ask_rooms(
        self, operation: str, wanted: Mapping[str, object], position: Position
    ) -> ApiCall:
        body = {**wanted, "limit": ROOMS_PER_PAGE}
        if position.cursor:
            body["cursor_after"] = position.cursor
        return ApiCall(
            operation=operation,
            method="POST",
            url=self._rooms_url,
            content=json.dumps(body).encode(),
            content_type=_JSON,
            repeatable=True,
        )

    def _get(self, operation: str, path: str, query: dict[str, str]) -> ApiCall:
        return ApiCall(operation=operation, method="GET", url=self._url(path, query))

    def _url(self, path: str, query: dict[str, str] | None = None) -> URL:
        asked = f"?{urlencode(query)}" if query else ""
        return URL(f"{self._base_url}{path}{asked}", encoded=True)

    def _login(self, app_id: str, email: str | None, password: str | None) -> PlatformLogin | None:
        if not email or not password:
            return None
        return PlatformLogin(
            url=self._url("/api/v1/auth"),
            app_id=app_id,
            email=email,
            password=password,
            clock=self._clock,
        )


async def _at_once() -> None:
    """Do not wait for the rate limit: a customer waits for this call."""


def _of_object(read: Callable[[Answer], T]) -> Callable[[ApiResponse], T]:
    return lambda answered: read(parse_object(answered))


def _page_query(position: Position, page_size: int) -> dict[str, str]:
    query = {"limit": str(page_size)}
    if position.cursor:
        query["cursor_after"] = position.cursor
    elif position.number > 1:
        query["page"] = str(position.number)
    return query


def _path_segment(text: str) -> str:
    """The text as one piece of a path, whatever is in it: `..` would lead somewhere else."""
    return quote(text, safe="").replace(".", "%2E")


def _header_text(name: str, value: str) -> str:
    if not value or not value.isascii() or not value.isprintable() or " " in value:
        raise InvalidInput(name, "must be printable ASCII text without spaces")
    return value
