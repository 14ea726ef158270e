"""The tokens that keep strangers out, as the configuration has them."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from ipaddress import ip_address
from urllib.parse import urlsplit

from sebastian_apps.settings import (
    NEW_TOKEN,
    Secret,
    Settings,
    exposure,
    file_for_all_eyes,
    is_loopback,
    weakness,
)
from sebastian_apps.status.checks import CheckResult, fine, problem, warning

NEW = f"Set a long random one: {NEW_TOKEN}"


def check_secrets(settings: Settings) -> list[CheckResult]:
    """Whether strangers could forge webhooks, steer the floor or read our secrets."""
    return [
        *_webhook_token(settings),
        *_admin_tokens(settings),
        *_metrics(settings),
        *_file(settings),
        *_base_url(settings),
    ]


def _webhook_token(settings: Settings) -> Iterator[CheckResult]:
    tokens = settings.webhook.token
    exposed = [each for each in exposure(settings) if each.key == "listen.host"]
    weak = [found for token in tokens for found in _weak(settings, "webhook.token", token)]
    if exposed:
        yield problem("webhook-exposed", f"{exposed[0]}.", f"Set webhook.token: {NEW_TOKEN}")
    elif not tokens:
        text = "webhook.token is not set: whoever reaches the service can forge webhooks."
        yield warning("webhook-token-missing", text, f"Set webhook.token: {NEW_TOKEN}")
    yield from weak or ([fine("webhook-token", "webhook.token is set.")] if tokens else [])


def _admin_tokens(settings: Settings) -> Iterator[CheckResult]:
    tokens = settings.admin.by_path
    if not tokens:
        text = "admin.token is not set: there is no floor page and no /agents."
        yield warning("admin-token-missing", text, f"Set admin.token: {NEW_TOKEN}")
    weak = [found for path, token in tokens.items() for found in _weak(settings, path, token)]
    yield from weak or ([fine("admin-token", f"{', '.join(tokens)}: set.")] if tokens else [])


def _weak(settings: Settings, path: str, token: Secret) -> Iterator[CheckResult]:
    """A warning, or a problem where the service does not start with such a token."""
    why = weakness(token, settings)
    if why is None:
        return
    name = "webhook-token-weak" if path == "webhook.token" else "admin-token-weak"
    is_refused = any(each.key == path for each in exposure(settings))
    yield (problem if is_refused else warning)(name, f"{path} is {why}.", NEW)


def _metrics(settings: Settings) -> Iterator[CheckResult]:
    metrics = settings.metrics
    if metrics.port and not is_loopback(metrics.host) and not settings.admin.by_path:
        text = f"metrics.host is {metrics.host}, and without an admin token no metrics are shown."
        remedy = "Set admin.token, and let Prometheus send it (bearer), or listen on 127.0.0.1."
        yield warning("metrics-token-missing", text, remedy)


def _file(settings: Settings) -> Iterator[CheckResult]:
    path = file_for_all_eyes(settings)
    if path is not None:
        text = f"{path} holds secrets, and every user of this machine can read it."
        yield warning("config-readable", text, f"Run: chmod o= {shlex.quote(str(path))}")


def _base_url(settings: Settings) -> Iterator[CheckResult]:
    base_url = settings.webhook.base_url
    if base_url is None:
        text = "webhook.base_url is not set: Sebastian cannot tell Qiscus where it is."
        yield warning("webhook-url-missing", text, "Set it to the public address of the service.")
    elif _is_local(base_url) and not _is_local(settings.qiscus.base_url):
        text = f"webhook.base_url is {base_url}: only this machine can reach that."
        yield warning("webhook-url-local", text, "Set it to the public address of the service.")


def _is_local(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return address.is_loopback
