"""All areas at once."""

from __future__ import annotations

import asyncio

from sebastian_apps.cli.diagnosis.findings import Finding
from sebastian_apps.cli.diagnosis.platform import look_at_platform
from sebastian_apps.cli.diagnosis.policy import look_at_policy
from sebastian_apps.cli.diagnosis.secrets import look_at_secrets
from sebastian_apps.cli.diagnosis.stores import look_at_database, look_at_redis
from sebastian_apps.cli.diagnosis.webhook import look_at_webhook
from sebastian_apps.settings import Settings


async def examine(settings: Settings, *, running: bool = True) -> list[Finding]:
    """Look at everything; with `running` also at whether the services do their work.

    What two areas find in the same words is told once.
    """
    policy, *areas = await asyncio.gather(
        asyncio.to_thread(look_at_policy, settings),
        look_at_database(settings, running=running),
        look_at_redis(settings),
        look_at_platform(settings, running=running),
        look_at_webhook(settings),
    )
    found = [*look_at_secrets(settings), *policy]
    return list(dict.fromkeys([*found, *(finding for area in areas for finding in area)]))
