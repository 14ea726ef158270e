"""What uvicorn is told wherever we serve HTTP."""

from __future__ import annotations

from functools import partial
from typing import Any, Literal

import uvicorn

from sebastian_apps.http.bounded_http import BoundedHttp
from sebastian_apps.http.connection_limit import ConnectionLimit

KEEP_ALIVE_SECONDS = 75
"""How long a connection is kept between two requests: longer than proxies do (60 s: nginx, AWS).

Whoever may send the next request must be the one that ends an idle connection: a request that
crosses the end of its connection is lost.
"""


def uvicorn_config(
    app: Any,
    door: ConnectionLimit,
    *,
    grace_seconds: int,
    lifespan: Literal["on", "off"] = "off",
    backlog: int = 2048,
) -> uvicorn.Config:
    """Serve this ASGI app within the bounds of `BoundedHttp`, on connections that `door` counts.

    Requests in flight may take `grace_seconds` after the end was asked for. uvicorn logs nothing
    by itself, and takes nobody's word for the address of a client.
    """
    return uvicorn.Config(
        app,
        http=partial(BoundedHttp, door=door),  # type: ignore[arg-type]
        ws="none",
        lifespan=lifespan,
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        backlog=backlog,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=grace_seconds,
    )
