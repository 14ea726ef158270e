"""Building Redis clients that give up in time."""

from __future__ import annotations

from importlib.resources import files

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ReadOnlyError

CONNECT_TIMEOUT_SECONDS = 1.0
READ_TIMEOUT_SECONDS = 1.5


def redis_client(url: str) -> Redis:
    """A client that connects when it is first used; timeouts in the URL win over ours.

    A broken connection is opened again once, without a pause: that heals a restart of Redis. So is
    one to a server that takes no writes any more: after a failover behind one address the new
    connection goes to the new primary. A command that was not answered in time is not sent again.
    The Retry must be the asyncio one: the other silently switches retries off.
    """
    return Redis.from_url(
        url,
        socket_connect_timeout=CONNECT_TIMEOUT_SECONDS,
        socket_timeout=READ_TIMEOUT_SECONDS,
        retry=Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError, ReadOnlyError)),
    )


def read_script(name: str) -> str:
    """The text of one of our scripts."""
    return files("sebastian_adapters.redis").joinpath(f"{name}.lua").read_text(encoding="utf-8")
