"""Waiting for what must come true, with a deadline."""

import asyncio
from collections.abc import Callable

DEADLINE_SECONDS = 10.0
PAUSE_SECONDS = 0.005


async def until(holds: Callable[[], object]) -> None:
    """Come back as soon as it holds; fail if it does not within ten seconds."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not holds():
            await asyncio.sleep(PAUSE_SECONDS)
