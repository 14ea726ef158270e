"""Waiting for what must come true, with a deadline."""

import asyncio
from collections.abc import Callable

DEADLINE_SECONDS = 10.0
PAUSE_SECONDS = 0.005


async def until(holds: Callable[[], object], seconds: float = DEADLINE_SECONDS) -> None:
    """Come back as soon as it holds; fail if it does not within so many seconds."""
    async with asyncio.timeout(seconds):
        while not holds():
            await asyncio.sleep(PAUSE_SECONDS)
