"""The webhook's public address: does our service answer there, with our token?"""

from __future__ import annotations

from typing import Any

import httpx

from sebastian_apps.settings import Settings
from sebastian_apps.settings.webhook_urls import webhook_urls
from sebastian_apps.status.checks import CheckResult, fine, problem
from sebastian_core.domain.reaching import why_unreached

SECONDS = 5.0
OURS = "urn:sebastian:problem:"


async def probe_webhook(settings: Settings) -> list[CheckResult]:
    """Send an empty webhook, which our service refuses in its own words; nothing is recorded."""
    base_url = settings.webhook.base_url
    if base_url is None:
        return []
    url, _ = webhook_urls(settings)
    try:
        async with httpx.AsyncClient(timeout=SECONDS, trust_env=False) as client:
            answer = await client.post(url, json={})
            is_elsewhere = answer.status_code == 404 and await _is_at_another_path(client, base_url)
    except httpx.HTTPError as error:
        reason = why_unreached(error) or type(error).__name__
        text = f"{base_url} does not answer: {reason}."
        remedy = "Start sebastian-webhook, and look at the proxy and the firewall before it."
        return [problem("webhook-unreachable", text, remedy)]
    if is_elsewhere:
        text = f"Our service answers at {base_url}, but what we ask for arrives at another path."
        remedy = (
            "Correct the path in webhook.base_url, or let the proxy take it away: "
            "the service knows /webhook-incoming-message, and no path before it."
        )
        return [problem("webhook-other-path", text, remedy)]
    return [_judged(base_url, answer)]


async def _is_at_another_path(client: httpx.AsyncClient, base_url: str) -> bool:
    """Whether our own service does not even know `/healthz` there, for which no token counts."""
    answer = await client.get(f"{base_url.rstrip('/')}/healthz")
    return answer.status_code == 404 and _problem_type(answer).startswith(OURS)


def _judged(base_url: str, answer: httpx.Response) -> CheckResult:
    kind = _problem_type(answer)
    if not kind.startswith(OURS):
        text = f"{base_url} answers {answer.status_code}, but it is not Sebastian that does."
        remedy = "Correct webhook.base_url, or what the proxy sends where."
        return problem("webhook-not-ours", text, remedy)
    if answer.status_code == 404:
        text = f"The service at {base_url} does not know this webhook.token."
        remedy = "Restart sebastian-webhook with this configuration, or correct webhook.base_url."
        return problem("webhook-other-token", text, remedy)
    return fine("webhook", f"Our service answers at {base_url}.")


def _problem_type(answer: httpx.Response) -> str:
    try:
        document: Any = answer.json()
    except ValueError:
        return ""
    return str(document.get("type", "")) if isinstance(document, dict) else ""
