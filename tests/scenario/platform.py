"""The fake platform as a process of its own, one that sends some webhooks twice.

`python -m tests.scenario.platform '{"agents": 20, …}'` prints where it listens and serves until
SIGTERM. The rest is told through its control API.
"""

from __future__ import annotations

import asyncio
import json
import random
import signal
import sys

import uvloop
from attrs import field, frozen

from sebastian_adapters.memory.platform import Account, Body
from sebastian_apps.fake_qiscus.config import FakeConfig
from sebastian_apps.fake_qiscus.server import FakeQiscus
from sebastian_apps.fake_qiscus.webhooks import WebhookPoster


@frozen(kw_only=True)
class PlatformOptions:
    """What the process is told at its start; the same seed doubles the same webhooks."""

    webhook_base: str
    app_id: str
    secret_key: str = field(repr=False)
    agents: int = 20
    latency_seconds: float = 0.0
    doubled_share: float = 0.0
    late_share: float = 0.5
    """How many of the doubles come `late_seconds` after the first; the others come with it."""
    late_seconds: float = 2.0
    seed: int = 1


class DoublingPoster(WebhookPoster):
    """Posts a share of all webhooks a second time, at once or late; the first is never late."""

    def __init__(self, fake: FakeQiscus, options: PlatformOptions) -> None:
        super().__init__(
            fake.platform,
            random.Random(f"{options.seed} webhooks"),
            timeout_seconds=fake.config.webhook_timeout_seconds,
        )
        self._options = options
        self._doubles = random.Random(f"{options.seed} doubles")

    def post(self, kind: str, body: Body, room_id: str, service_id: int | None) -> None:
        """Fire the webhook, and perhaps once more."""
        super().post(kind, body, room_id, service_id)
        if self._doubles.random() >= self._options.doubled_share:
            return
        is_late = self._doubles.random() < self._options.late_share
        delay = self._options.late_seconds if is_late else 0.0
        loop = asyncio.get_running_loop()
        loop.call_later(delay, super().post, kind, body, room_id, service_id)


async def run(options: PlatformOptions) -> None:
    """Serve until SIGTERM or SIGINT."""
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    fake = FakeQiscus(
        FakeConfig(
            account=Account(app_code=options.app_id, secret_key=options.secret_key),
            webhook_base_url=options.webhook_base,
            agents=options.agents,
            latency_seconds=options.latency_seconds,
            seed=options.seed,
        )
    )
    fake.webhooks = DoublingPoster(fake, options)
    await fake.start()
    try:
        sys.stdout.write(f"{fake.url}\n")
        sys.stdout.flush()
        await stopped.wait()
    finally:
        await fake.stop()


if __name__ == "__main__":
    uvloop.run(run(PlatformOptions(**json.loads(sys.argv[1]))))
