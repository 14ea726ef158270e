"""Makes the pictures of the floor page for the documentation: `scripts/browser-tests pictures`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from itertools import product
from pathlib import Path
from typing import Any

from tests.browser.shown import chromium, stage_shown
from tests.browser.stages import Stage, busy, empty, outage

STAGES: dict[str, Callable[[], Awaitable[Stage]]] = {"busy": busy, "outage": outage, "empty": empty}
SIZES = {"desktop": (1360, 900), "phone": (390, 844)}
IMAGES = Path(__file__).parents[2] / "docs" / "images"


async def make(folder: Path) -> None:
    """One picture for each stage, scheme and size."""
    async with chromium() as browser:
        for name, staged in STAGES.items():
            async with stage_shown(await staged()) as url:
                for scheme, size in product(("light", "dark"), SIZES):
                    path = folder / f"{name}-{scheme}-{size}.png"
                    await _take(browser, url, scheme, size, path)


async def _take(browser: Any, url: str, scheme: str, size: str, path: Path) -> None:
    width, height = SIZES[size]
    context = await browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme=scheme,
        timezone_id="Asia/Jakarta",
        locale="en-GB",
        reduced_motion="reduce",
    )
    page = await context.new_page()
    await page.goto(url)
    await page.wait_for_selector("#pulse[data-state=live]")
    await page.wait_for_selector(".chart")
    await page.screenshot(path=path, full_page=size == "desktop")
    await context.close()


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else IMAGES
    target.mkdir(parents=True, exist_ok=True)
    asyncio.run(make(target))
