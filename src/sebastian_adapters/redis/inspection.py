"""How a Redis server is set up, read once for whoever looks for what is wrong."""

from __future__ import annotations

from attrs import frozen

from sebastian_adapters.redis.client import redis_client
from sebastian_adapters.redis.errors import redis_errors

OLDEST_MAJOR = 6
"""Older ones cannot let a listener wait for less than a second."""


@frozen(kw_only=True)
class RedisReading:
    """What the server tells of itself. `memory_limit_bytes` 0 means none.

    `compatible_with` is the version of Redis that it behaves like: Valkey has numbers of its own.
    """

    version: str
    compatible_with: str
    memory_limit_bytes: int
    eviction_policy: str

    @property
    def is_too_old(self) -> bool:
        """Whether it lacks what a listener asks of it."""
        major, _, _ = self.compatible_with.partition(".")
        return major.isdigit() and int(major) < OLDEST_MAJOR

    @property
    def evicts(self) -> bool:
        """Whether it may throw keys away when its memory is full."""
        return self.memory_limit_bytes > 0 and self.eviction_policy != "noeviction"


async def read_redis(url: str) -> RedisReading:
    """Ask the server, a few seconds at most; raises StoreUnavailable."""
    client = redis_client(url)
    try:
        with redis_errors():
            found = await client.info()
    finally:
        await client.aclose()
    return RedisReading(
        version=str(found.get("valkey_version") or found.get("redis_version", "?")),
        compatible_with=str(found.get("redis_version", "?")),
        memory_limit_bytes=int(found.get("maxmemory", 0)),
        eviction_policy=str(found.get("maxmemory_policy", "noeviction")),
    )
