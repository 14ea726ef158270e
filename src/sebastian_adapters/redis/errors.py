"""Where Redis's errors end: beyond this, a store is unavailable or it is not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from redis.exceptions import RedisError

from sebastian_core.domain.errors import StoreUnavailable


@contextmanager
def redis_errors() -> Iterator[None]:
    """Turn whatever Redis or the way to it does wrong into StoreUnavailable, from its cause."""
    try:
        yield
    except (RedisError, OSError) as error:
        raise StoreUnavailable("Redis", f"{type(error).__name__} {error}".strip()) from error
