"""The same worker on a plain `httpx.AsyncClient`: what the lanes are measured against."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import httpx

from sebastian_adapters.qiscus import calls
from sebastian_adapters.qiscus.api import ApiRequest, ApiResponse
from sebastian_adapters.qiscus.lane import LaneOptions
from sebastian_apps.entry.worker import main

T = TypeVar("T")


class Pooled:
    """httpx's own pool with as many connections as there would be lanes."""

    def __init__(self, count: int, options: LaneOptions) -> None:
        limits = httpx.Limits(
            max_connections=count,
            max_keepalive_connections=count,
            keepalive_expiry=options.keep_alive_seconds,
        )
        self._transport = httpx.AsyncHTTPTransport(limits=limits)

    async def exchange(self, request: ApiRequest, take: Callable[[ApiResponse], T]) -> T:
        """What `take` makes of the whole answer."""
        asked = httpx.Request(
            request.method, str(request.url), headers=request.headers, content=request.body
        )
        response = await self._transport.handle_async_request(asked)
        try:
            body = await response.aread()
            return take(ApiResponse(response.status_code, response.headers, body))
        finally:
            await response.aclose()

    async def aclose(self) -> None:
        await self._transport.aclose()


if __name__ == "__main__":
    vars(calls)["AiohttpTransport"] = Pooled
    main()
