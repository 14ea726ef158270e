"""Where the webhooks are: their paths, and the URLs under which Qiscus reaches them."""

from __future__ import annotations

from sebastian_apps.settings import Settings
from sebastian_core.domain.errors import InvalidInput

ARRIVAL_PATH = "/webhook-incoming-message"
RESOLVE_PATH = "/webhook-mark-as-resolved"


def webhook_urls(settings: Settings) -> tuple[str, str]:
    """Where Qiscus is to send arrivals and resolves, the first of the tokens included.

    Raises InvalidInput without a `webhook.base_url`.
    """
    base_url = settings.webhook.base_url
    if base_url is None:
        raise InvalidInput("webhook.base_url", "is not configured; set it to the public address")
    tokens = settings.webhook.token
    suffix = f"/{tokens[0].reveal()}" if tokens else ""
    base = base_url.rstrip("/")
    return f"{base}{ARRIVAL_PATH}{suffix}", f"{base}{RESOLVE_PATH}{suffix}"
