"""What the doctor makes of what a Redis server tells of itself."""

from __future__ import annotations

import pytest

from sebastian_adapters.redis.health import RedisHealth
from sebastian_apps.status.checks import Level
from sebastian_apps.status.probes.stores import condition


def a_reading(version: str, compatible_with: str) -> RedisHealth:
    return RedisHealth(
        version=version,
        compatible_with=compatible_with,
        memory_limit_bytes=0,
        eviction_policy="noeviction",
    )


@pytest.mark.parametrize("version", ["5.0.14", "2.8.24"])
def test_a_redis_in_which_no_listener_can_wait_is_a_problem(version: str) -> None:
    found = condition("redis", a_reading(version, version))

    assert (found.name, found.level) == ("redis-too-old", Level.PROBLEM)
    assert version in found.text


@pytest.mark.parametrize(
    ("version", "compatible_with"),
    [("6.0.16", "6.0.16"), ("10.1.0", "10.1.0"), ("9.1.0", "7.2.4"), ("?", "?")],
)
def test_any_newer_one_and_valkey_are_fine(version: str, compatible_with: str) -> None:
    found = condition("redis", a_reading(version, compatible_with))

    assert (found.name, found.level) == ("redis", Level.OK)
