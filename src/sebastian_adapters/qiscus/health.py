"""How the account's app is set up, read once for the checks that look for what is wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from datetime import timedelta

import httpx
from attrs import evolve, field, frozen
from yarl import URL

from sebastian_adapters.qiscus.api import ApiRequest, ApiResponse, multipart
from sebastian_adapters.qiscus.http import KEEP_ALIVE_SECONDS, AiohttpTransport
from sebastian_adapters.qiscus.lane import LaneOptions
from sebastian_adapters.qiscus.response import Answer, check_status, parse_object
from sebastian_core.domain.errors import Fault, PlatformRefused, PlatformUnavailable
from sebastian_core.ports.clock import Clock

#: Switches of the app by which rooms reach agents without us (contract section 1).
FLAGS = (
    "is_agent_allocation_enabled",
    "is_agent_takeover_enabled",
    "use_latest",
    "is_bot_enabled",
)


@frozen(kw_only=True)
class Credentials:
    """How we prove who we are."""

    app_id: str
    secret_key: str = field(repr=False)
    email: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)


@frozen(kw_only=True)
class Hook:
    """A webhook as the platform has it; None where it does not tell."""

    url: str | None = field(default=None, repr=False)
    is_enabled: bool | None = None

    @property
    def is_shown(self) -> bool:
        """Whether the platform tells anything of it."""
        return self.url is not None or self.is_enabled is not None


@frozen(kw_only=True)
class AppHealth:
    """What the platform tells of our app; whatever it does not tell is None or absent."""

    app_code: str | None = None
    flags: Mapping[str, bool] = field(factory=dict)
    allocation: Hook = Hook()
    resolve: Hook = Hook()
    login_error: PlatformRefused | PlatformUnavailable | None = None
    """Why a login told nothing more, if one was tried and failed."""

    @property
    def shows_app(self) -> bool:
        """Whether it tells who hands rooms out and where both webhooks go."""
        return bool(self.flags) and self.allocation.is_shown and self.resolve.is_shown


async def read_app(
    base_url: str,
    credentials: Credentials,
    clock: Clock,
    timeout: timedelta,
    *,
    proxy: str | None = None,
) -> AppHealth:
    """Read the profile; where it does not show the app, what a login answers (contract 7).

    Raises PlatformUnavailable, or PlatformRefused where the credentials are.
    """
    seconds = timeout.total_seconds()
    options = LaneOptions(
        connect_seconds=seconds / 3,
        call_seconds=seconds,
        keep_alive_seconds=KEEP_ALIVE_SECONDS,
        ssl_context=httpx.create_ssl_context(),
        proxy=proxy,
    )
    async with AiohttpTransport(1, options) as transport:
        session = _Session(transport, base_url.rstrip("/"), credentials, clock, timeout)
        profile = await session.profile()
        if profile.shows_app or not (credentials.email and credentials.password):
            return profile
        try:
            return await session.login()
        except (PlatformRefused, PlatformUnavailable) as error:
            return evolve(profile, login_error=error)


@frozen
class _Session:
    _transport: AiohttpTransport
    _base_url: str
    _credentials: Credentials
    _clock: Clock
    _timeout: timedelta

    async def profile(self) -> AppHealth:
        own = self._credentials
        headers = {"Qiscus-App-Id": own.app_id, "Qiscus-Secret-Key": own.secret_key}
        url = f"{self._base_url}/api/v1/admin/get_profile"
        return await self._read(ApiRequest("GET", URL(url), headers))

    async def login(self) -> AppHealth:
        own = self._credentials
        content, content_type = multipart(
            {"email": own.email or "", "password": own.password or ""}
        )
        headers = {"Qiscus-App-Id": own.app_id, "Content-Type": content_type}
        url = f"{self._base_url}/api/v1/auth"
        return await self._read(ApiRequest("POST", URL(url), headers, content))

    async def _read(self, request: ApiRequest) -> AppHealth:
        try:
            async with asyncio.timeout(self._timeout.total_seconds()):
                return await self._transport.exchange(request, self._taken)
        except TimeoutError as error:
            raise PlatformUnavailable(Fault.TIMEOUT, "no complete answer in time") from error

    def _taken(self, answered: ApiResponse) -> AppHealth:
        own = self._credentials
        secrets = [each for each in (own.secret_key, own.password, own.email) if each]
        check_status(answered, now=self._clock.now, secrets=secrets)
        return app_health(parse_object(answered))


def app_health(answer: Answer) -> AppHealth:
    """The app in the answer of the profile or of a login, wherever it stands in it."""
    app = next((place for place in _places(answer) if place.get("app_code")), {})
    return AppHealth(
        app_code=_text(app.get("app_code")),
        flags={name: app[name] for name in FLAGS if isinstance(app.get(name), bool)},
        allocation=_hook(app, "allocate_agent"),
        resolve=_hook(app, "mark_as_resolved"),
    )


def _places(answer: Answer) -> Iterator[Answer]:
    data = _part(answer, "data")
    user = _part(data, "user")
    yield from (_part(data, "app"), _part(user, "app"), data, user)


def _hook(app: Answer, name: str) -> Hook:
    enabled = app.get(f"is_{name}_webhook_enabled")
    return Hook(
        url=_text(app.get(f"{name}_webhook_url")),
        is_enabled=enabled if isinstance(enabled, bool) else None,
    )


def _part(answer: Answer, key: str) -> Answer:
    part = answer.get(key)
    return part if isinstance(part, dict) else {}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
