"""The floor page as people meet it: in a real Chromium, by eye, keyboard, phone and axe."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.browser.shown import AXE, chromium, chromium_path, stage_shown
from tests.browser.stages import Stage, busy, empty, outage
from tests.webhook_service import some_settings

needs_chromium = [
    pytest.mark.skipif(
        chromium_path() is None,
        reason="no Chromium here: scripts/browser-tests installs it (or set CHROMIUM)",
    ),
    pytest.mark.skipif(
        importlib.util.find_spec("playwright") is None,
        reason="no Playwright here: scripts/browser-tests installs it",
    ),
]
pytestmark = needs_chromium

TOKEN = "0123456789abcdef0123456789abcdef"
PHONE = {"width": 390, "height": 844}
RULES = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
STAGES = {"busy": busy, "outage": outage, "empty": empty}


@pytest.fixture
async def browser() -> AsyncIterator[Any]:
    """A headless Chromium."""
    async with chromium() as started:
        yield started


class Visit:
    """One open page, and whatever it complained about."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.complaints: list[str] = []
        self.hosts: set[str] = set()
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", self._hear)
        page.on("request", lambda request: self.hosts.add(request.url.split("/")[2]))

    def _hear(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    async def text(self, selector: str) -> str:
        """The words of an element."""
        return str(await self.page.inner_text(selector))

    async def violations(self) -> list[str]:
        """What axe finds, each with the elements that it is about."""
        await self.page.evaluate(AXE.read_text(encoding="utf-8"))
        found = await self.page.evaluate(
            f"axe.run(document, {{runOnly: {json.dumps(RULES)}}}).then(r => r.violations)"
        )
        return [f"{each['id']}: {[node['target'] for node in each['nodes']][:5]}" for each in found]


async def visit(browser: Any, url: str, **context: Any) -> Visit:
    """The page once it is live."""
    opened = await browser.new_context(**{"reduced_motion": "reduce", **context})
    seen = Visit(await opened.new_page())
    await seen.page.goto(url)
    await seen.page.wait_for_selector("#pulse[data-state=live]")
    return seen


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("stage", STAGES)
async def test_axe_finds_nothing_in_any_light_at_any_size(
    browser: Any, stage: str, scheme: str
) -> None:
    async with stage_shown(await STAGES[stage]()) as url:
        for size in ({"width": 1360, "height": 900}, PHONE):
            seen = await visit(browser, url, viewport=size, color_scheme=scheme)

            assert await seen.violations() == []
            assert seen.complaints == []


async def test_axe_finds_nothing_in_the_dialogs_and_the_login(browser: Any) -> None:
    async with stage_shown(await busy()) as url:
        seen = await visit(browser, url)
        await seen.page.click("#line-rows .room >> nth=0")
        await seen.page.wait_for_selector("#room-acts:not([hidden])")
        assert await seen.violations() == []
        await seen.page.keyboard.press("Escape")
        await seen.page.click("#cards .name >> nth=0")
        assert await seen.violations() == []
    stage = await empty()
    stage.settings = some_settings({"QT_ADMIN_TOKEN": TOKEN})
    async with stage_shown(stage) as url:
        page = await browser.new_page()
        await page.goto(url)
        assert await Visit(page).violations() == []


async def test_the_page_asks_no_host_but_ours(browser: Any) -> None:
    async with stage_shown(await busy()) as url:
        seen = await visit(browser, url)
        await seen.page.wait_for_selector(".chart")

        assert seen.hosts == {url.split("/")[2]}


async def test_the_line_the_slots_and_the_reasons_are_seen(browser: Any) -> None:
    stage = await busy()
    async with stage_shown(stage) as url:
        seen = await visit(browser, url)
        waiting = await stage.room_repo.waiting(50)

        assert await seen.text("#n-waiting b") == str(len(waiting))
        rows = await seen.page.locator("#line-rows .room").all_inner_texts()
        assert rows == [chat.room_id for chat in waiting]
        held = await stage.journal.held(100)
        assert await seen.page.locator("#cards button.slot").count() == len(held)
        first = seen.page.locator("#cards button.slot").first
        assert "room " in str(await first.get_attribute("aria-label"))
        assert "had " in await seen.text("#decision-rows")


async def test_an_empty_line_is_told_with_the_last_customer(browser: Any) -> None:
    async with stage_shown(await empty()) as url:
        seen = await visit(browser, url)

        assert await seen.text(".calm") == "Nothing waits."
        assert (await seen.text("#last")).startswith("The last customer went to ")


async def test_what_happens_shows_without_a_reload_and_keeps_the_focus(browser: Any) -> None:
    stage = await busy()
    async with stage_shown(stage) as url:
        seen = await visit(browser, url)
        await seen.page.focus("#line-rows .room >> nth=1")
        room = await seen.page.evaluate("document.activeElement.textContent")
        await stage.arrive("room-that-came")

        await seen.page.wait_for_selector("#line-rows >> text=room-that-came")
        assert await seen.page.evaluate("document.activeElement.textContent") == room


async def test_the_stream_comes_back_by_itself(browser: Any) -> None:
    stage = await empty()
    async with stage_shown(stage) as url:
        seen = await visit(browser, url)
        await seen.page.context.set_offline(True)
        await seen.page.evaluate("window.dispatchEvent(new Event('offline'))")
        await stage.arrive("while-away")
        await seen.page.context.set_offline(False)

        await seen.page.wait_for_selector("#line-rows >> text=while-away")
        await seen.page.wait_for_selector("#pulse[data-state=live]")


async def test_the_keyboard_alone_asks_why_and_takes_a_room_out(browser: Any) -> None:
    stage = await busy()
    room = (await stage.room_repo.waiting(1))[0].room_id
    async with stage_shown(stage) as url:
        seen = await visit(browser, url)
        page = seen.page
        await page.keyboard.press("/")
        await page.keyboard.type(room)
        await page.keyboard.press("Enter")
        await page.wait_for_selector("#room-acts:not([hidden])")
        assert f"Room {room} waits for an agent" in await seen.text("#room-told")

        await page.focus("[data-act=drop]")
        await page.keyboard.press("Enter")

        await page.wait_for_selector("#room-done[data-done=true]")
        assert "was taken out of the line" in await seen.text("#room-done")
        (row, *_) = await stage.journal.history(room)
        assert row.actor == "page"
        await page.keyboard.press("Escape")
        assert await page.locator("dialog[open]").count() == 0


async def test_an_agent_is_paused_from_the_page(browser: Any) -> None:
    stage = await empty()
    async with stage_shown(stage) as url:
        seen = await visit(browser, url)
        await seen.page.click("#cards .name >> nth=0")
        await seen.page.click("#agent-pause")

        await seen.page.wait_for_selector("#agent-done[data-done=true]")
        await seen.page.wait_for_selector("#cards li[data-paused=true]")


@pytest.mark.parametrize("width", [320, 390, 768, 1360])
async def test_nothing_is_cut_off_at_any_width(browser: Any, width: int) -> None:
    async with stage_shown(await busy()) as url:
        seen = await visit(browser, url, viewport={"width": width, "height": 800})

        overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert await seen.page.evaluate(overflow) == 0


async def test_the_login_leads_to_the_floor_and_out_again(browser: Any) -> None:
    stage: Stage = await empty()
    stage.settings = some_settings({"QT_ADMIN_TOKEN": TOKEN})
    async with stage_shown(stage) as url:
        page = await browser.new_page()
        await page.goto(url)
        await page.fill("#token", "wrong")
        await page.keyboard.press("Enter")
        await page.wait_for_selector(".wrong:not([hidden])")
        await page.fill("#token", TOKEN)
        await page.keyboard.press("Enter")
        await page.wait_for_selector("#pulse[data-state=live]")

        await page.click("text=Log out")

        await page.wait_for_selector("#token")


async def test_a_name_cannot_smuggle_markup_into_the_page(browser: Any) -> None:
    stage = await empty()
    await stage.arrive("<img/src=x>")
    async with stage_shown(stage) as url:
        seen = await visit(browser, url)

        await seen.page.wait_for_selector("#line-rows li")
        assert await seen.text("#line-rows .room") == "<img/src=x>"
        assert await seen.page.locator("#line-rows img").count() == 0
