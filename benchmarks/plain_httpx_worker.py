"""The same worker on a plain `httpx.AsyncClient`: what the lanes are measured against."""

from __future__ import annotations

import httpx

from sebastian_adapters.qiscus import calls
from sebastian_adapters.qiscus.lane import LaneOptions
from sebastian_apps.worker.main import main


def pooled(count: int, options: LaneOptions) -> httpx.AsyncBaseTransport:
    """httpx's own pool with as many connections as there would be lanes."""
    limits = httpx.Limits(
        max_connections=count,
        max_keepalive_connections=count,
        keepalive_expiry=options.keep_alive_seconds,
    )
    return httpx.AsyncHTTPTransport(limits=limits)


if __name__ == "__main__":
    vars(calls)["AiohttpTransport"] = pooled
    main()
