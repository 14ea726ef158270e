"""Qiscus: does it answer, to our account, and does anybody else hand rooms out?"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager

from sebastian_adapters.memory.clock import InMemoryClock
from sebastian_adapters.qiscus.health import AppHealth, Credentials, Hook, read_app
from sebastian_apps.settings import Settings, SettingsError
from sebastian_apps.settings.proxy import platform_proxy
from sebastian_apps.settings.webhook_urls import webhook_urls
from sebastian_apps.status.checks import (
    CheckResult,
    agents_unreadable,
    fine,
    problem,
    user_ids_ignored,
    warning,
)
from sebastian_apps.wording import counted
from sebastian_core.domain.errors import PlatformRefused, PlatformUnavailable, SebastianError
from sebastian_core.domain.platform import Presences
from sebastian_core.ports.qiscus_client import QiscusClient
from sebastian_core.usecases.refresh import NOBODY

DASHBOARD = "In the dashboard of Qiscus: Settings > Custom Agent Allocation."
BY_HAND = "sebastian set-webhook tells what Qiscus confirms; the dashboard shows the rest."


OpenClient = Callable[[Settings], AbstractAsyncContextManager[QiscusClient]]


async def probe_platform(
    settings: Settings, open_client: OpenClient, *, running: bool
) -> list[CheckResult]:
    """How the account stands; with `running` also whether anybody is there to serve."""
    qiscus = settings.qiscus
    credentials = Credentials(
        app_id=qiscus.app_id or "",
        secret_key=qiscus.secret_key.reveal() if qiscus.secret_key else "",
        email=qiscus.email,
        password=qiscus.password.reveal() if qiscus.password else None,
    )
    try:
        proxy = platform_proxy(settings)
    except SettingsError as error:
        return [problem("proxy-unusable", f"{error}.", "Qiscus is not asked without the proxy.")]
    through = f" through {proxy}" if proxy else ""
    try:
        app = await read_app(
            qiscus.base_url,
            credentials,
            InMemoryClock(),
            qiscus.timeout,
            proxy=proxy.url.reveal() if proxy else None,
        )
    except PlatformRefused as error:
        return [_refused(error)]
    except PlatformUnavailable as error:
        remedy = "Look at qiscus.base_url, the network, and the platform's status page."
        return [problem("platform-unreachable", f"{qiscus.base_url}{through}: {error}", remedy)]
    findings = [*_account(app, settings, through), *_flags(app), *_hooks(app, settings)]
    return findings + await _ask(settings, open_client, running=running)


def _refused(error: PlatformRefused) -> CheckResult:
    if error.about_credentials:
        remedy = "Copy qiscus.app_id and qiscus.secret_key anew: Settings > App Information."
        return problem("credentials-refused", f"{error}.", remedy)
    return problem("platform-unreachable", f"{error}.", "Look at qiscus.base_url.")


def _account(app: AppHealth, settings: Settings, through: str) -> Iterator[CheckResult]:
    if app.app_code is not None and app.app_code != settings.qiscus.app_id:
        text = f"These credentials belong to {app.app_code}, not to {settings.qiscus.app_id}."
        yield problem("account-differs", text, "Set qiscus.app_id and secret_key of one account.")
    else:
        yield fine("platform", f"Qiscus answers at {settings.qiscus.base_url}{through}.")


def _flags(app: AppHealth) -> Iterator[CheckResult]:
    for flag, (name, text, remedy) in _HAND_OUT.items():
        if app.flags.get(flag):
            yield warning(name, text, remedy)


_HAND_OUT = {
    "is_agent_allocation_enabled": (
        "platform-allocates",
        "Qiscus hands rooms out by itself as well (agent allocation is on).",
        "Switch agent allocation off in the dashboard.",
    ),
    "use_latest": (
        "platform-uses-latest",
        "Qiscus gives returning customers to their last agent, full or not.",
        "Switch that off in the dashboard.",
    ),
    "is_agent_takeover_enabled": (
        "agents-take-over",
        "Agents may take waiting rooms themselves, full or not.",
        "Switch the takeover off in the dashboard, or live with it: it is counted.",
    ),
    "is_bot_enabled": (
        "bot-answers",
        "A bot answers first; rooms may be in its hands.",
        "Nothing, if that is meant.",
    ),
}


def _hooks(app: AppHealth, settings: Settings) -> Iterator[CheckResult]:
    if not (app.allocation.is_shown and app.resolve.is_shown):
        yield _unseen(app, settings)
    if settings.webhook.base_url is None:
        return
    allocation, resolve = webhook_urls(settings)
    yield from _hook("allocation", app.allocation, allocation, DASHBOARD)
    yield from _hook("resolve", app.resolve, resolve, "Run: sebastian set-webhook")


def _unseen(app: AppHealth, settings: Settings) -> CheckResult:
    text = "Qiscus does not show where the webhooks go"
    if not app.flags:
        text += ", nor whether it hands rooms out itself"
    if app.login_error is not None:
        text += f"; the login of qiscus.email failed: {app.login_error}"
        way = "Correct qiscus.email and qiscus.password, so that doctor may look. "
    elif settings.qiscus.email and settings.qiscus.password:
        way = ""
    else:
        way = "Set qiscus.email and qiscus.password, so that doctor may look. "
    return warning("webhooks-unseen", f"{text}.", way + BY_HAND)


def _hook(name: str, hook: Hook, ours: str, remedy: str) -> Iterator[CheckResult]:
    if not hook.is_shown:
        return
    if hook.url != ours:
        text = f"Qiscus sends the {name} webhook elsewhere, or nowhere."
        yield problem(f"{name}-webhook-elsewhere", text, remedy)
    elif hook.is_enabled is False:
        text = f"The {name} webhook is switched off at Qiscus."
        yield problem(f"{name}-webhook-off", text, remedy)
    else:
        yield fine(f"{name}-webhook", f"Qiscus sends the {name} webhook to us.")


async def _ask(settings: Settings, open_client: OpenClient, *, running: bool) -> list[CheckResult]:
    try:
        async with open_client(settings) as client:
            unfiltered = await client.rooms_of(NOBODY, _at_once)
            agents = await client.agents(_at_once)
    except SebastianError as error:
        remedy = "May this secret key list agents and rooms? An admin's login may help (email)."
        return [problem("platform-listing-fails", f"{error}.", remedy)]
    findings = []
    if unfiltered.seen:
        findings.append(user_ids_ignored())
    if agents.unreadable:
        findings.append(agents_unreadable(agents.unreadable))
    return findings + ([_presence(agents.seen)] if running else [])


def _presence(agents: Presences) -> CheckResult:
    online = sum(presence.online for presence in agents)
    listed = counted(len(agents), "agent")
    if not online:
        text = f"None of {listed} is online."
        return warning("nobody-online", text, "An agent logs in to Qiscus and is set available.")
    return fine("agents", f"{online} of {listed} online.")


async def _at_once() -> None:
    await asyncio.sleep(0)
