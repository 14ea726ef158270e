"""A stage behind real HTTP, and a real Chromium before it."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from tests.browser.stages import Stage
from tests.webhook_service import webhook_service

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
AXE = Path(__file__).parent / "vendor" / "axe.min.js"
SPEAK_SECONDS = 2.0


def chromium_path() -> str | None:
    """The Chromium of this machine: CHROMIUM, else the first on the path."""
    named = os.environ.get("CHROMIUM")
    return named or next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None)


@asynccontextmanager
async def stage_shown(stage: Stage, **other: Any) -> AsyncIterator[str]:
    """The address of the stage's floor page."""
    async with webhook_service(stage.parts(**other)) as service:
        speaking = asyncio.create_task(_keep_speaking(stage))
        try:
            yield f"http://127.0.0.1:{service.port}/floor"
        finally:
            speaking.cancel()
            with suppress(asyncio.CancelledError):
                await speaking


async def _keep_speaking(stage: Stage) -> None:
    while True:
        await asyncio.sleep(SPEAK_SECONDS)
        await stage.speak()


@asynccontextmanager
async def chromium() -> AsyncIterator[Any]:
    """A headless Chromium with nothing in it; root needs it without its own sandbox."""
    from playwright.async_api import async_playwright

    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium_path(), args=arguments)
        try:
            yield browser
        finally:
            await browser.close()
