"""One HTTP exchange with the platform: sent once, never cut off, with an end that is certain."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar

import httpx
from attrs import define, field, frozen

from sebastian_adapters.qiscus.answers import Answered, check_status
from sebastian_adapters.qiscus.exchange import exchanged
from sebastian_adapters.qiscus.http11 import Http11Transport
from sebastian_adapters.qiscus.lanes import LaneTransport
from sebastian_adapters.qiscus.login import Login
from sebastian_core.domain.errors import Fault, PlatformRefused, PlatformUnavailable
from sebastian_core.ports.clock import Clock

KEEP_ALIVE_SECONDS = 5.0

OnCall = Callable[[str, str, float], None]
"""Told of each call when it ended: operation, HTTP status or name of the fault, seconds."""

T = TypeVar("T")


@frozen(kw_only=True)
class Question:
    """One request to the platform, and how its answer may be taken."""

    operation: str
    method: str
    url: httpx.URL
    content: bytes | None = None
    content_type: str = ""
    repeatable: bool = True
    """Whether it changes nothing, so that it may be sent again over a fresh connection."""
    also_answers: tuple[int, ...] = ()
    """Statuses that are answers here, beside 2xx."""
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
    login: Login | None = None
    ssl_context: ssl.SSLContext | None = None
    on_call: OnCall | None = None
    _transport: LaneTransport | None = field(default=None, init=False, repr=False)
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

    async def ask(self, question: Question, read: Callable[[Answered], T]) -> T:
        """What `read` makes of the answer; it is given only statuses that the question takes."""
        transport = self._transport
        if transport is None:
            raise PlatformUnavailable(Fault.CONNECT, "the client is not open")
        call = asyncio.create_task(self._told(transport, question, read))
        self._under_way.add(call)
        call.add_done_callback(self._forget)
        return await asyncio.shield(call)

    def _forget(self, call: asyncio.Task[Any]) -> None:
        """A call whose caller has gone may fail unheard."""
        self._under_way.discard(call)
        if not call.cancelled():
            call.exception()

    async def _told(
        self, transport: LaneTransport, question: Question, read: Callable[[Answered], T]
    ) -> T:
        began = time.monotonic()
        outcome = "failed"
        try:
            answered = await self._in_time(transport, question)
            seen = read(answered)
            outcome = str(answered.status)
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

    async def _in_time(self, transport: LaneTransport, question: Question) -> Answered:
        try:
            async with asyncio.timeout(self.timeout.total_seconds()):
                answered = await self._authorised(transport, question)
        except TimeoutError as error:
            raise PlatformUnavailable(Fault.TIMEOUT, "no complete answer in time") from error
        if answered.status not in question.also_answers:
            secrets = (*self._secrets(), *question.hidden)
            check_status(answered, now=self.clock.now, secrets=secrets)
        return answered

    async def _authorised(self, transport: LaneTransport, question: Question) -> Answered:
        """By the secret key; where that is refused and a login is known, by its token."""
        login = self.login
        if login is None:
            return await self._sent(transport, question, None)
        token = login.token if question.operation in self._by_token else None
        answered = await self._sent(transport, question, token)
        while _asks_for_login(answered, token):
            fresh = await login.renewed(token, transport)
            if fresh is None:
                return answered
            token = fresh
            answered = await self._sent(transport, question, token)
        if token and not answered.about_credentials:
            self._by_token.add(question.operation)
        return answered

    async def _sent(
        self, transport: LaneTransport, question: Question, token: str | None
    ) -> Answered:
        headers = self._headers(token)
        try:
            return await exchanged(transport, _request(question, headers))
        except PlatformUnavailable as error:
            if error.fault is not Fault.BROKEN or not question.repeatable:
                raise
        return await exchanged(transport, _request(question, headers))

    def _headers(self, token: str | None) -> dict[str, str]:
        proof = {"Authorization": token} if token else {"Qiscus-Secret-Key": self.secret_key}
        return {"Qiscus-App-Id": self.app_id, **proof}

    def _secrets(self) -> tuple[str, ...]:
        return (self.secret_key, *(self.login.secrets if self.login else ()))

    def _new_transport(self) -> LaneTransport:
        context = self.ssl_context or httpx.create_ssl_context()
        return LaneTransport(
            self.in_flight,
            lambda: Http11Transport(context, KEEP_ALIVE_SECONDS),
            KEEP_ALIVE_SECONDS,
            connect_seconds=self.connect_timeout.total_seconds(),
        )


def _outcome(error: PlatformUnavailable) -> str:
    if error.status is None or error.fault is Fault.UNREADABLE:
        return str(error.fault)
    return str(error.status)


def _asks_for_login(answered: Answered, token: str | None) -> bool:
    return answered.status == 401 or (answered.status == 403 and token is None)


def _request(question: Question, credentials: dict[str, str]) -> httpx.Request:
    headers = {"Accept": "application/json", "Accept-Encoding": "gzip", **credentials}
    if question.content is not None:
        headers["Content-Type"] = question.content_type
    return httpx.Request(question.method, question.url, headers=headers, content=question.content)
