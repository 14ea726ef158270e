"""One HTTP call to the platform: sent once, never cancelled, over at its deadline at the latest."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar

import httpx
from attrs import define, field, frozen
from yarl import URL

from sebastian_adapters.qiscus.api import ApiRequest, ApiResponse
from sebastian_adapters.qiscus.http import KEEP_ALIVE_SECONDS, AiohttpTransport
from sebastian_adapters.qiscus.lane import LaneOptions
from sebastian_adapters.qiscus.login import PlatformLogin
from sebastian_adapters.qiscus.response import check_status
from sebastian_core.domain.errors import Fault, PlatformRefused, PlatformUnavailable
from sebastian_core.ports.clock import Clock

#: Told of each call when it ended: operation, HTTP status or name of the fault, seconds.
OnCall = Callable[[str, str, float], None]

T = TypeVar("T")


@frozen(kw_only=True)
class ApiCall:
    """One request to the platform, and how its answer may be taken."""

    operation: str
    method: str
    url: URL
    content: bytes | None = None
    content_type: str = ""
    repeatable: bool = False
    """Whether a POST may be sent again over a fresh connection; a GET always may."""
    also_answers: tuple[int, ...] = ()
    """Statuses beside 2xx that answer this question instead of failing it."""
    hidden: tuple[str, ...] = field(default=(), repr=False)
    """What else must never show in an error's text."""


@define(eq=False, kw_only=True)
class Calls:
    """Asks questions over HTTP with the account's credentials.

    Each call runs in a task of its own: its caller may be cancelled, the request goes on until it
    is answered or `timeout` has passed, connecting included. Every way to fail ends as
    PlatformUnavailable or PlatformRefused.
    """

    app_id: str
    secret_key: str = field(repr=False)
    clock: Clock
    timeout: timedelta
    connect_timeout: timedelta
    in_flight: int
    login: PlatformLogin | None = None
    ssl_context: ssl.SSLContext | None = None
    proxy: str | None = field(default=None, repr=False)
    on_call: OnCall | None = None
    _transport: AiohttpTransport | None = field(default=None, init=False, repr=False)
    _under_way: set[asyncio.Task[Any]] = field(factory=set, init=False, repr=False)
    _by_token: set[str] = field(factory=set, init=False)

    async def open(self) -> None:
        """Get ready to ask; repeating it changes nothing. Nothing is sent yet."""
        if self._transport is None:
            self._transport = self._new_transport()

    async def aclose(self) -> None:
        """Let the calls under way end, which their deadlines make certain, then disconnect."""
        transport, self._transport = self._transport, None
        while self._under_way:
            await asyncio.wait(set(self._under_way))
        if transport is not None:
            await transport.aclose()

    async def ask(self, question: ApiCall, read: Callable[[ApiResponse], T]) -> T:
        """What `read` makes of the answer; it is given only statuses that the question takes."""
        transport = self._transport
        if transport is None:
            raise PlatformUnavailable(Fault.CONNECT, "the client is not open")
        call = asyncio.create_task(self._told(transport, question, read))
        self._under_way.add(call)
        call.add_done_callback(self._forget)
        return await asyncio.shield(call)

    def _forget(self, call: asyncio.Task[Any]) -> None:
        """Take the error of an ended call: if its caller was cancelled, nobody else does."""
        self._under_way.discard(call)
        if not call.cancelled():
            call.exception()

    async def _told(
        self, transport: AiohttpTransport, question: ApiCall, read: Callable[[ApiResponse], T]
    ) -> T:
        began = time.monotonic()
        outcome = "failed"

        def take(answered: ApiResponse) -> tuple[int, T]:
            if answered.status not in question.also_answers:
                secrets = (*self._secrets(), *question.hidden)
                check_status(answered, now=self.clock.now, secrets=secrets)
            return answered.status, read(answered)

        try:
            status, seen = await self._in_time(transport, question, take)
            outcome = str(status)
            return seen
        except PlatformUnavailable as error:
            outcome = _outcome(error)
            raise
        except PlatformRefused as error:
            outcome = str(error.status)
            raise
        finally:
            if self.on_call is not None:
                self.on_call(question.operation, outcome, time.monotonic() - began)

    async def _in_time(
        self, transport: AiohttpTransport, question: ApiCall, take: Callable[[ApiResponse], T]
    ) -> T:
        try:
            async with asyncio.timeout(self.timeout.total_seconds()):
                return await self._authorised(transport, question, take)
        except TimeoutError as error:
            raise PlatformUnavailable(Fault.TIMEOUT, "no complete answer in time") from error

    async def _authorised(
        self, transport: AiohttpTransport, question: ApiCall, take: Callable[[ApiResponse], T]
    ) -> T:
        """By the secret key; where that is refused and a login is known, by its token."""
        login = self.login
        if login is None:
            return await self._sent(transport, question, None, take)
        token = login.token if question.operation in self._by_token else None
        while True:
            try:
                taken = await self._sent(transport, question, token, take)
            except PlatformRefused as refused:
                if not _asks_for_login(refused.status, token):
                    raise
                fresh = await login.renewed(token, transport)
                if fresh is None:
                    raise
                token = fresh
            else:
                if token:
                    self._by_token.add(question.operation)
                return taken

    async def _sent(
        self,
        transport: AiohttpTransport,
        question: ApiCall,
        token: str | None,
        take: Callable[[ApiResponse], T],
    ) -> T:
        request = _request(question, self._headers(token))
        try:
            return await transport.exchange(request, take)
        except PlatformUnavailable as error:
            if error.fault is not Fault.BROKEN or not question.repeatable:
                raise
        return await transport.exchange(request, take)

    def _headers(self, token: str | None) -> dict[str, str]:
        proof = {"Authorization": token} if token else {"Qiscus-Secret-Key": self.secret_key}
        return {"Qiscus-App-Id": self.app_id, **proof}

    def _secrets(self) -> tuple[str, ...]:
        return (self.secret_key, *(self.login.secrets if self.login else ()))

    def _new_transport(self) -> AiohttpTransport:
        return AiohttpTransport(
            self.in_flight,
            LaneOptions(
                connect_seconds=self.connect_timeout.total_seconds(),
                call_seconds=self.timeout.total_seconds(),
                keep_alive_seconds=KEEP_ALIVE_SECONDS,
                ssl_context=self.ssl_context or httpx.create_ssl_context(),
                proxy=self.proxy,
            ),
        )


def _outcome(error: PlatformUnavailable) -> str:
    if error.status is None or error.fault is Fault.UNREADABLE:
        return str(error.fault)
    return str(error.status)


def _asks_for_login(status: int, token: str | None) -> bool:
    return status == 401 or (status == 403 and token is None)


def _request(question: ApiCall, credentials: dict[str, str]) -> ApiRequest:
    headers = credentials
    if question.content is not None:
        headers = {**credentials, "Content-Type": question.content_type}
    return ApiRequest(question.method, question.url, headers, question.content)
