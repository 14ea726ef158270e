"""Who guesses at an admin token, over real HTTP, at each door where one is asked for."""

from __future__ import annotations

from collections import Counter

import httpx
import pytest
from structlog.testing import capture_logs

from sebastian_apps.http.auth.admin_token import GUESSES_PER_SECOND
from sebastian_apps.http.metrics import WebhookMetrics
from tests.scraping import Scrape
from tests.webhook_service import WebhookService, parts_in_memory, webhook_service

TOKEN = "0123456789abcdef0123456789abcdef"
ENVIRON = {"QT_ADMIN_TOKEN": TOKEN, "QT_LISTEN_HOST": "0.0.0.0"}
GUESSES = 40
DOORS = [
    ("POST", "/floor/login"),
    ("GET", "/floor"),
    ("GET", "/floor/events"),
    ("POST", "/floor/logout"),
    ("GET", "/agents"),
    ("POST", "/set-webhook"),
    ("GET", "/metrics"),
]


async def knock(service: WebhookService, method: str, path: str, token: str) -> httpx.Response:
    """Show a token at this door, as it is wanted there."""
    if path == "/floor/login":
        return await service.http.request(method, path, data={"token": token})
    headers = {"authorization": f"Bearer {token}"}
    return await service.http.request(method, path, headers=headers)


@pytest.mark.parametrize(("method", "path"), DOORS)
async def test_guesses_are_slowed_counted_and_told_and_a_right_token_is_not(
    method: str, path: str
) -> None:
    with capture_logs() as logged:
        parts = parts_in_memory(ENVIRON, counts=WebhookMetrics())
        async with webhook_service(parts) as service:
            answers = [
                await knock(service, method, path, f"guess-{number}") for number in range(GUESSES)
            ]
            right = await knock(service, "GET", "/metrics", TOKEN)

    statuses = Counter(answer.status_code for answer in answers)
    assert set(statuses) == {401, 429}
    assert statuses[429] > GUESSES // 2
    assert all(answer.headers["retry-after"] for answer in answers if answer.status_code == 429)
    assert right.status_code == 200
    told = Scrape.of(right.text)
    assert told.value("wrong_tokens_total", outcome="refused") == statuses[401]
    assert told.value("wrong_tokens_total", outcome="slowed") == statuses[429]
    assert [line["event"] for line in logged].count("somebody sends wrong admin tokens") == 1
    assert "guess-" not in repr(logged)


async def test_the_login_page_says_what_became_of_a_guess() -> None:
    async with webhook_service(parts_in_memory(ENVIRON)) as service:
        wrong = await knock(service, "POST", "/floor/login", "guess")
        for _ in range(GUESSES_PER_SECOND):
            slowed = await knock(service, "POST", "/floor/login", "guess")

    assert "That is not the token." in wrong.text
    assert "Too many wrong tokens were sent just now. Try again in a second." in slowed.text
    assert "{{" not in wrong.text + slowed.text


async def test_a_token_that_is_sent_twice_is_nobodys() -> None:
    twice = [("authorization", f"Bearer {TOKEN}")] * 2
    async with webhook_service(parts_in_memory(ENVIRON)) as service:
        for path in ("/agents", "/floor", "/metrics"):
            assert (await service.http.get(path, headers=twice)).status_code == 400
