"""The tokens that keep strangers out, as the configuration has them."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address
from urllib.parse import urlsplit

from sebastian_apps.cli.diagnosis.findings import Finding, fine, problem, warning
from sebastian_apps.settings import Secret, Settings
from sebastian_apps.settings.checks import exposure

SHORTEST = 20
FEWEST_DIFFERENT = 8
NEW_TOKEN = "openssl rand -hex 24"


def look_at_secrets(settings: Settings) -> list[Finding]:
    """Whether strangers could forge webhooks or steer the floor."""
    return [*_webhook_token(settings), *_admin_token(settings), *_base_url(settings)]


def _webhook_token(settings: Settings) -> Iterator[Finding]:
    tokens = settings.webhook.token
    exposed = next(exposure(settings), None)
    if exposed is not None:
        yield problem("webhook-exposed", f"{exposed}.", f"Set webhook.token: {NEW_TOKEN}")
    elif not tokens:
        text = "webhook.token is not set: whoever reaches the service can forge webhooks."
        yield warning("webhook-token-missing", text, f"Set webhook.token: {NEW_TOKEN}")
    elif any(is_weak(token) for token in tokens):
        text = "webhook.token is short or simple enough to be guessed."
        yield warning("webhook-token-weak", text, f"Set a long random one: {NEW_TOKEN}")
    else:
        yield fine("webhook-token", "webhook.token is set.")


def _admin_token(settings: Settings) -> Iterator[Finding]:
    token = settings.admin.token
    if token is None:
        text = "admin.token is not set: there is no floor page and no /agents."
        yield warning("admin-token-missing", text, f"Set admin.token: {NEW_TOKEN}")
    elif is_weak(token):
        text = "admin.token is short or simple enough to be guessed."
        yield warning("admin-token-weak", text, f"Set a long random one: {NEW_TOKEN}")
    else:
        yield fine("admin-token", "admin.token is set.")


def _base_url(settings: Settings) -> Iterator[Finding]:
    base_url = settings.webhook.base_url
    if base_url is None:
        text = "webhook.base_url is not set: Sebastian cannot tell Qiscus where it is."
        yield warning("webhook-url-missing", text, "Set it to the public address of the service.")
    elif _is_local(base_url) and not _is_local(settings.qiscus.base_url):
        text = f"webhook.base_url is {base_url}: only this machine can reach that."
        yield warning("webhook-url-local", text, "Set it to the public address of the service.")


def is_weak(token: Secret) -> bool:
    """Whether a token is too short, or made of too few different characters."""
    text = token.reveal()
    return len(text) < SHORTEST or len(set(text)) < FEWEST_DIFFERENT


def _is_local(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return address.is_loopback
