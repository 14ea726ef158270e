"""What the webhook service is built from."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime

from attrs import field, frozen
from litestar.connection import ASGIConnection

from sebastian_adapters.memory.clock import InMemoryClock
from sebastian_adapters.memory.ended_logins import InMemoryEndedLogins
from sebastian_apps.http.counts import WebhookCounts
from sebastian_apps.http.patience import Patience
from sebastian_apps.settings import Settings
from sebastian_apps.status.probes.lately import Probe
from sebastian_core.allocator import Allocator
from sebastian_core.domain.platform import Registration
from sebastian_core.ports.ended_logins import EndedLogins

Check = Callable[[], Awaitable[object]]
"""Returns when the thing is fine, and raises when it is not."""

RegisterWebhooks = Callable[[str, str], Awaitable[list[Registration]]]
"""QiscusClient.register_webhooks."""


def _ended_logins() -> EndedLogins:
    return InMemoryEndedLogins(InMemoryClock(datetime.now(UTC)))


READ_SECONDS = 10.0
"""How long a body may take to arrive."""

COMMIT_SECONDS = 0.95
"""How long a commit may take; what is not sure by then is answered with 503."""


async def nothing() -> None:
    """Open or close nothing."""


@frozen(kw_only=True)
class WebhookParts:
    """Everything that the routes call; in memory or real, they cannot tell.

    `checks` are what `/readyz` asks, by name, and `probes` what the floor page tries beside what it
    reads. `open` is awaited before the first request and `close` after the last.
    `register_webhooks` is None if no credentials are configured. Of a customer's properties only
    the `kept_properties` are read. `floor_is_open` shows the floor page to this machine without a
    token, `ended_logins` remembers who has logged out of it. `ending` is set as soon as the service
    is told to stop, so that what streams can end. `reading` and `committing` limit how long a
    webhook may take.
    """

    settings: Settings
    allocator: Allocator
    register_webhooks: RegisterWebhooks | None = None
    checks: Mapping[str, Check] = field(factory=dict)
    probes: Sequence[Probe] = ()
    open: Callable[[], Awaitable[None]] = nothing
    close: Callable[[], Awaitable[None]] = nothing
    counts: WebhookCounts = field(factory=WebhookCounts)
    kept_properties: frozenset[str] = frozenset()
    floor_is_open: bool = False
    ended_logins: EndedLogins = field(factory=_ended_logins)
    ending: asyncio.Event = field(factory=asyncio.Event)
    reading: Patience = field(factory=lambda: Patience(READ_SECONDS))
    committing: Patience = field(factory=lambda: Patience(COMMIT_SECONDS))


def parts_of(connection: ASGIConnection) -> WebhookParts:  # type: ignore[type-arg]
    """The parts that this app was made with."""
    parts: WebhookParts = connection.app.state.parts
    return parts
