"""How a Redis server is set up, read once for the checks that look for what is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import frozen
from redis.exceptions import RedisError

from sebastian_adapters.redis.client import read_script, redis_client
from sebastian_adapters.redis.errors import redis_errors
from sebastian_adapters.redis.keys import probe_key

#: Older ones cannot let a listener wait for less than a second.
OLDEST_MAJOR = 6


@frozen(kw_only=True)
class RedisHealth:
    """What the server tells of itself; nothing where our user may not ask (INFO).

    `memory_limit_bytes` 0 means none. `compatible_with` is the version of Redis that it behaves
    like: Valkey has numbers of its own.
    """

    version: str = ""
    compatible_with: str = ""
    memory_limit_bytes: int = 0
    eviction_policy: str = ""

    @property
    def is_told(self) -> bool:
        """Whether it tells anything of itself."""
        return bool(self.version)

    @property
    def is_too_old(self) -> bool:
        """Whether it lacks what a listener asks of it."""
        major, _, _ = self.compatible_with.partition(".")
        return major.isdigit() and int(major) < OLDEST_MAJOR

    @property
    def evicts(self) -> bool:
        """Whether it may throw keys away when its memory is full."""
        return self.memory_limit_bytes > 0 and self.eviction_policy != "noeviction"


async def try_store(url: str) -> None:
    """Do what the roster's store does, to a key beside it, within a few seconds.

    Raises StoreUnavailable, or StoreRefused with what is missing.
    """
    client = redis_client(url)
    try:
        with redis_errors():
            await client.register_script(read_script("probe"))(keys=[probe_key()], args=["1"])
    finally:
        await client.aclose()


async def read_redis(url: str) -> RedisHealth:
    """Ask the server what it is, within a few seconds.

    A user who may not ask (INFO) gets an empty reading; our work does not need that right.
    """
    client = redis_client(url)
    try:
        return _reading(await client.info())
    except (RedisError, OSError):
        return RedisHealth()
    finally:
        await client.aclose()


def _reading(info: Mapping[str, Any]) -> RedisHealth:
    return RedisHealth(
        version=str(info.get("valkey_version") or info.get("redis_version", "?")),
        compatible_with=str(info.get("redis_version", "?")),
        memory_limit_bytes=int(info.get("maxmemory", 0)),
        eviction_policy=str(info.get("maxmemory_policy", "noeviction")),
    )
