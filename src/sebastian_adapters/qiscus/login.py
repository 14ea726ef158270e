"""The fallback for accounts whose secret key may not do everything: an admin's token."""

from __future__ import annotations

import asyncio

from attrs import define, field
from yarl import URL

from sebastian_adapters.qiscus.api import ApiRequest, ApiResponse, multipart
from sebastian_adapters.qiscus.decode import login_token
from sebastian_adapters.qiscus.http import AiohttpTransport
from sebastian_adapters.qiscus.response import parse_object
from sebastian_core.domain.errors import PlatformUnavailable
from sebastian_core.ports.clock import Clock

#: How long after one login the next may be tried, whatever became of the first.
PAUSE_SECONDS = 60.0


@define(eq=False, kw_only=True)
class PlatformLogin:
    """Gets a token for e-mail and password (contract section 0), once for all who need it."""

    url: URL
    app_id: str
    email: str = field(repr=False)
    password: str = field(repr=False)
    clock: Clock
    token: str | None = field(default=None, init=False, repr=False)
    _tried_at: float | None = field(default=None, init=False)
    _one_at_a_time: asyncio.Lock = field(factory=asyncio.Lock, init=False, repr=False)

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must never be shown."""
        return (self.password, self.email, self.token or "")

    async def renewed(self, refused: str | None, transport: AiohttpTransport) -> str | None:
        """A token other than the one that was refused; None where none can be had now."""
        async with self._one_at_a_time:
            if self.token != refused:
                return self.token
            now = self.clock.monotonic()
            if self._tried_at is not None and now - self._tried_at < PAUSE_SECONDS:
                return None
            self._tried_at = now
            self.token = await self._logged_in(transport) or self.token
            return None if self.token == refused else self.token

    async def _logged_in(self, transport: AiohttpTransport) -> str | None:
        content, content_type = multipart({"email": self.email, "password": self.password})
        headers = {"Qiscus-App-Id": self.app_id, "Content-Type": content_type}
        request = ApiRequest("POST", self.url, headers, content)
        try:
            return await transport.exchange(request, _token)
        except PlatformUnavailable:
            return None


def _token(answered: ApiResponse) -> str | None:
    return login_token(parse_object(answered)) if answered.status == 200 else None
