"""Everything that can be found out about a deployment, by `doctor` and by `config check`."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from sebastian_apps.own_adapters import OwnAdapter, own_adapters
from sebastian_apps.policy.trial import try_policy
from sebastian_apps.settings import Settings, SettingsError
from sebastian_apps.status.checks import (
    DATABASE_REFUSES,
    CheckResult,
    Level,
    check_floor,
    fine,
    once,
    problem,
)
from sebastian_apps.status.configuration import check_secrets
from sebastian_apps.status.floor_state import FloorRules, FloorState
from sebastian_apps.status.probes.platform import probe_platform
from sebastian_apps.status.probes.stores import probe_database, probe_redis
from sebastian_apps.status.probes.webhook import probe_webhook
from sebastian_apps.wiring import open_client, open_stores
from sebastian_core.domain.errors import SebastianError

POLICY_UNUSABLE = "policy-unusable"
ADAPTER_UNUSABLE = "adapter-unusable"
ADAPTER_UNWELL = "adapter-not-well"


async def examine(settings: Settings, *, running: bool = True) -> list[CheckResult]:
    """Look at everything; with `running` also at whether the services do their work."""
    policy, adapters, database, redis, platform, webhook = await asyncio.gather(
        asyncio.to_thread(try_own_policy, settings),
        check_own_adapters(settings),
        probe_database(settings),
        probe_redis(settings),
        probe_platform(settings, open_client, running=running),
        probe_webhook(settings),
    )
    floor = await _floor(settings, database) if running else []
    return once(
        [
            *check_secrets(settings),
            *policy,
            *adapters,
            *database,
            *floor,
            *redis,
            *platform,
            *webhook,
        ]
    )


def try_own_policy(settings: Settings) -> list[CheckResult]:
    """Whether this machine's Python can make the policy; nothing if the shipped one is used."""
    if settings.assign.policy is None:
        return []
    try:
        try_policy(settings)
    except SettingsError as error:
        remedy = "Correct it, mend the policy, or install its package where the workers run."
        return [problem(POLICY_UNUSABLE, f"{error}.", remedy)]
    return [fine("policy", f"{settings.assign.policy} can be made.")]


async def check_own_adapters(settings: Settings) -> list[CheckResult]:
    """Whether each adapter that the configuration names can be made, and says that it is well."""
    try:
        return [await _own_adapter(role, each) for role, each in own_adapters(settings).items()]
    except SettingsError as error:
        return [_unusable_adapter(error)]


async def _own_adapter(role: str, adapter: OwnAdapter) -> CheckResult:
    try:
        async with adapter:
            await adapter.check()
    except SettingsError as error:
        return _unusable_adapter(error)
    except Exception as error:  # noqa: BLE001 - whatever somebody's adapter raises
        text = f"adapters.{role} is not well: {type(error).__name__}: {error}."
        return problem(ADAPTER_UNWELL, text, "See to what it stands on.")
    return fine("adapters", f"adapters.{role} can be made and is well.")


def _unusable_adapter(error: SettingsError) -> CheckResult:
    remedy = "Correct it, mend the adapter, or install its package on this machine."
    return problem(ADAPTER_UNUSABLE, f"{error}.", remedy)


async def _floor(settings: Settings, database: Iterable[CheckResult]) -> list[CheckResult]:
    """What the floor shows, unless its tables cannot be read: that is told already."""
    problems = {each.name for each in database if each.level is Level.PROBLEM}
    if problems - {DATABASE_REFUSES}:
        return []
    rules = FloorRules.of(settings)
    try:
        async with open_stores(settings) as stores:
            state = await FloorState.read(stores, rules)
    except SebastianError:
        return []
    return check_floor(state, rules, takes_writes=DATABASE_REFUSES not in problems)
