"""Posts the webhooks: late, doubled, out of order or not at all where told so, and never again."""

import asyncio
import random
from collections import deque
from collections.abc import Callable

import msgspec
from attrs import define

from sebastian_adapters.memory.platform import Body, Platform
from sebastian_apps.fake_qiscus.faults import WebhookFaults
from sebastian_apps.fake_qiscus.http_client import Lines, Target

WEBHOOK_PATHS = {
    "allocation": "/webhook-incoming-message",
    "resolved": "/webhook-mark-as-resolved",
}


@define(eq=False)
class Delivery:
    """One copy of one webhook, and what became of it; moments are on the platform's clock."""

    number: int
    kind: str
    room_id: str
    service_id: int | None
    copy: int
    """0 for the first, 1 for the second of a doubled one."""
    fired_at: float
    is_lost: bool = False
    sent_at: float | None = None
    answered_at: float | None = None
    status: int | None = None
    """None while under way, and where no answer came."""
    error: str | None = None


class WebhookPoster:
    """Sends each webhook once, as the platform does: only a further message brings another.

    Whatever it is told to do wrong is in `faults`, by kind; whatever became of each copy in
    `deliveries`.
    """

    def __init__(
        self,
        platform: Platform,
        rng: random.Random,
        *,
        timeout_seconds: float,
        log_limit: int | None = None,
    ) -> None:
        self._platform = platform
        self._rng = rng
        self._timeout_seconds = timeout_seconds
        self._lines = Lines()
        self._tasks: set[asyncio.Task[None]] = set()
        self._timers: set[asyncio.TimerHandle] = set()
        self._held: dict[str, list[Callable[[], None]]] = {}
        self._count = 0
        self._under_way = 0
        self._quiet = asyncio.Event()
        self._quiet.set()
        self.faults = {kind: WebhookFaults() for kind in WEBHOOK_PATHS}
        self.deliveries: deque[Delivery] = deque(maxlen=log_limit)

    def post(self, kind: str, body: Body, room_id: str, service_id: int | None) -> None:
        """Fire one webhook, to whatever URL is registered now; nothing where none is."""
        url = self._platform.app.webhook_url(kind)
        if url is None:
            return
        faults = self.faults[kind]
        copies = [self._note(kind, room_id, service_id, 0)]
        if self._happens(faults.lost):
            copies[0].is_lost = True
            return
        if self._happens(faults.doubled):
            copies.append(self._note(kind, room_id, service_id, 1))
        payload, target = msgspec.json.encode(body), Target.of(url)
        held = self._held.pop(kind, [])
        for delivery in copies:
            self._dispatch(faults, delivery, target, payload)
        for release in held:
            release()

    async def settled(self) -> None:
        """Wait until nothing is held back or unanswered."""
        await self._quiet.wait()

    async def stop(self) -> None:
        """Forget what has not left yet, give up on what is not answered."""
        for timer in self._timers:
            timer.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._lines.close()

    def _note(self, kind: str, room_id: str, service_id: int | None, copy: int) -> Delivery:
        now = self._platform.clock()
        delivery = Delivery(self._count, kind, room_id, service_id, copy, now)
        self._count += 1
        self.deliveries.append(delivery)
        return delivery

    def _dispatch(
        self, faults: WebhookFaults, delivery: Delivery, target: Target, payload: bytes
    ) -> None:
        self._under_way += 1
        self._quiet.clear()

        def send() -> None:
            task = asyncio.get_running_loop().create_task(self._send(delivery, target, payload))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        if self._happens(faults.late):
            self._later(faults.late_seconds, send)
        elif self._happens(faults.swapped):
            self._hold(delivery.kind, faults.swap_seconds, send)
        else:
            send()

    def _hold(self, kind: str, at_most_seconds: float, send: Callable[[], None]) -> None:
        waiting = self._held.setdefault(kind, [])

        def release() -> None:
            timer.cancel()
            self._timers.discard(timer)
            if release in waiting:
                waiting.remove(release)
            send()

        timer = asyncio.get_running_loop().call_later(at_most_seconds, release)
        self._timers.add(timer)
        waiting.append(release)

    def _later(self, seconds: float, send: Callable[[], None]) -> None:
        def fire() -> None:
            self._timers.discard(timer)
            send()

        timer = asyncio.get_running_loop().call_later(seconds, fire)
        self._timers.add(timer)

    async def _send(self, delivery: Delivery, target: Target, payload: bytes) -> None:
        delivery.sent_at = self._platform.clock()
        try:
            async with asyncio.timeout(self._timeout_seconds):
                delivery.status = await self._carry(target, payload)
            delivery.answered_at = self._platform.clock()
        except (OSError, TimeoutError) as error:
            delivery.error = f"{type(error).__name__}: {error}"
        finally:
            self._note_end()

    async def _carry(self, target: Target, payload: bytes) -> int:
        """One request; the status of its answer."""
        return await self._lines.post(target, payload)

    def _note_end(self) -> None:
        self._under_way -= 1
        if not self._under_way:
            self._quiet.set()

    def _happens(self, share: float) -> bool:
        return share > 0.0 and self._rng.random() < share
