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
from collections import deque
from collections.abc import Sequence
from contextlib import suppress

import uvloop
from attrs import field, frozen

from sebastian_adapters.memory.platform import Body, FakeAccount, Switches
from sebastian_apps.fake_qiscus.config import FakeConfig
from sebastian_apps.fake_qiscus.http_client import Target
from sebastian_apps.fake_qiscus.server import FakeQiscus
from sebastian_apps.fake_qiscus.webhooks import WebhookPoster


@frozen(kw_only=True)
class PlatformOptions:
    """What the process is told at its start; the same seed doubles the same webhooks."""

    webhook_base: str
    other_webhook_bases: Sequence[str] = ()
    """Where else the same webhooks are taken: each goes to the next in turn."""
    try_seconds: float | None = None
    """How long one of them may be silent before the next is tried; None: nobody else is."""
    host: str = "127.0.0.1"
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
    """Posts a share of all webhooks a second time, at once or late; the first is never late.

    Where there are several services it is the balancer before them as well.
    """

    def __init__(self, fake: FakeQiscus, options: PlatformOptions) -> None:
        super().__init__(
            fake.platform,
            random.Random(f"{options.seed} webhooks"),
            timeout_seconds=fake.config.webhook_timeout_seconds,
        )
        self._options = options
        self._doubles = random.Random(f"{options.seed} doubles")
        self._bases = deque([options.webhook_base, *options.other_webhook_bases])

    def post(self, kind: str, body: Body, room_id: str, service_id: int | None) -> None:
        """Fire the webhook, and perhaps once more."""
        super().post(kind, body, room_id, service_id)
        if self._doubles.random() >= self._options.doubled_share:
            return
        is_late = self._doubles.random() < self._options.late_share
        delay = self._options.late_seconds if is_late else 0.0
        loop = asyncio.get_running_loop()
        loop.call_later(delay, super().post, kind, body, room_id, service_id)

    async def _carry(self, target: Target, payload: bytes) -> int:
        """In turn to one service after the other, and to the next where one says nothing."""
        self._bases.rotate(-1)
        targets = [Target.of(f"{base}{target.path}") for base in self._bases]
        for each in targets[:-1] if self._options.try_seconds else ():
            with suppress(OSError):  # a timeout is one as well
                async with asyncio.timeout(self._options.try_seconds):
                    return await super()._carry(each, payload)
        return await super()._carry(targets[-1], payload)


async def run(options: PlatformOptions) -> None:
    """Serve until SIGTERM or SIGINT."""
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    fake = FakeQiscus(
        FakeConfig(
            host=options.host,
            account=FakeAccount(app_code=options.app_id, secret_key=options.secret_key),
            webhook_base_url=options.webhook_base,
            agents=options.agents,
            latency_seconds=options.latency_seconds,
            seed=options.seed,
            switches=Switches.untidy(),
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
