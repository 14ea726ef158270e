"""The fake platform, put together: state machine, HTTP, webhooks, faults, floor and control."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

from sebastian_adapters.memory.platform import Channel, Platform, Properties, Refusal
from sebastian_adapters.memory.platform.values import LIVE_CHAT
from sebastian_apps.fake_qiscus.api import PlatformApi
from sebastian_apps.fake_qiscus.config import FakeConfig, FloorConfig
from sebastian_apps.fake_qiscus.control import PREFIX, Control
from sebastian_apps.fake_qiscus.faults import RUBBISH, SECOND_ANSWER_SECONDS, Faults, InjectedFault
from sebastian_apps.fake_qiscus.floor import FloorScript
from sebastian_apps.fake_qiscus.http_server import Exchange, HttpServer, Response
from sebastian_apps.fake_qiscus.routes import Call, find_call
from sebastian_apps.fake_qiscus.webhooks import WEBHOOK_PATHS, WebhookPoster

UNIX_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class FakeQiscus:
    """One fake platform on one event loop; `start` it, `stop` it, and read `platform.log`.

    Its clock is Unix time that never goes back. Drive it from Python through `platform`,
    `faults`, `webhooks` and the verbs below, or from outside through `/_fake/…`.
    """

    def __init__(self, config: FakeConfig) -> None:
        self.config = config
        rng = random.Random(config.seed)
        self.platform = Platform(
            clock=_steady_unix_time(),
            rng=rng,
            switches=config.switches,
            account=config.account,
            epoch=UNIX_EPOCH,
            log_limit=config.log_limit,
        )
        self.faults = Faults(random.Random(f"{config.seed} faults"))
        self.webhooks = WebhookPoster(
            self.platform,
            random.Random(f"{config.seed} webhooks"),
            timeout_seconds=config.webhook_timeout_seconds,
            log_limit=config.log_limit,
        )
        self.floor: FloorScript | None = None
        self.calls: Counter[str] = Counter()
        """How often each call was answered how: `assign_agent 200`."""
        self._api = PlatformApi(self.platform, self.webhooks.post)
        self._control = Control(self)
        self._server = HttpServer(self._receive)
        self._floor_task: asyncio.Task[None] | None = None
        self._port = 0

    @property
    def url(self) -> str:
        """Where it listens, for `qiscus.base_url`."""
        host = f"[{self.config.host}]" if ":" in self.config.host else self.config.host
        return f"http://{host}:{self._port}"

    async def start(self) -> None:
        """Listen, with the agents, webhooks, latency and floor of the configuration."""
        config = self.config
        for _ in range(config.agents):
            self.platform.add_agent()
        if config.webhook_base_url:
            self.send_webhooks_to(config.webhook_base_url, config.webhook_token)
        if config.latency_seconds or config.latency_jitter_seconds:
            self.add_fault(
                InjectedFault(
                    kind="latency",
                    seconds=config.latency_seconds,
                    jitter_seconds=config.latency_jitter_seconds,
                )
            )
        self._port = await self._server.start(config.host, config.port)
        if config.floor:
            self.start_floor(config.floor)

    async def stop(self) -> None:
        """Close the floor, drop what is under way, stop listening."""
        try:
            await self.stop_floor()
        finally:
            await self.webhooks.stop()
            await self._server.stop()

    def customer_message(
        self,
        room_id: str | None = None,
        *,
        channel: Channel = LIVE_CHAT,
        name: str | None = None,
        properties: Properties | None = None,
    ) -> str:
        """A customer writes (in a new room, if none is given), and the webhook goes out."""
        room = room_id or self.platform.new_room_id()
        body = self.platform.customer_message(
            room, channel=channel, name=name, properties=properties
        )
        if body:
            service_id = self.platform.open_service_id(room)
            self.webhooks.post("allocation", body, room, service_id)
        return room

    def resolve(self, room_id: str, by: int | None = None) -> Refusal | None:
        """Somebody resolves the room in the dashboard, and the webhook goes out."""
        resolved = self.platform.mark_as_resolved(
            room_id, by=by, actor="person" if by is None else "agent"
        )
        if isinstance(resolved, Refusal):
            return resolved
        self.webhooks.post("resolved", resolved.webhook, room_id, resolved.service_id)
        return None

    def send_webhooks_to(self, base_url: str, token: str | None = None) -> None:
        """Register both webhooks under that base, on the paths that Sebastian listens on."""
        for kind, path in WEBHOOK_PATHS.items():
            url = base_url.rstrip("/") + path + (f"/{token}" if token else "")
            self.platform.app.set_webhook(kind, url, is_enabled=True)

    def add_fault(self, fault: InjectedFault) -> int:
        """Bring a fault into force from now on; the number takes it back."""
        return self.faults.add(fault, self.platform.clock())

    def start_floor(self, config: FloorConfig) -> FloorScript:
        """Open a floor beside whatever else happens; one at a time."""
        if self._floor_task and not self._floor_task.done():
            raise RuntimeError("a floor is open already; stop it first")
        self.floor = FloorScript(self.platform, self.webhooks, config)
        self._floor_task = asyncio.get_running_loop().create_task(self.floor.run())
        return self.floor

    async def floor_done(self) -> None:
        """Wait for the floor's last customer; raises whatever went wrong on it."""
        if self._floor_task:
            await asyncio.shield(self._floor_task)

    async def stop_floor(self) -> None:
        """No more customers and no more service; what is open stays open."""
        self.close_floor()
        if self._floor_task:
            with suppress(asyncio.CancelledError):
                await self._floor_task
            self._floor_task = None

    def close_floor(self) -> None:
        """The same, without waiting for it."""
        if self._floor_task:
            self._floor_task.cancel()

    def _receive(self, exchange: Exchange) -> None:
        request = exchange.request
        if request.path.startswith(PREFIX):
            exchange.send(self._control.answer(request))
            return
        call = find_call(request)
        if call is None:
            self.calls["unknown 404"] += 1
            exchange.send(self._api.refuse(Refusal(404, "no such path")))
            return
        fate = self.faults.fate(call.operation, self.platform.clock())
        one_way = fate.latency_seconds / 2
        _after(one_way, lambda: self._arrive(exchange, call, fate.fault, one_way))

    def _arrive(
        self, exchange: Exchange, call: Call, fault: InjectedFault | None, way_back: float
    ) -> None:
        is_answered = fault is None or fault.kind == "twice"
        response = self._api.apply(call) if is_answered or (fault and fault.is_applied) else None
        if is_answered and response:
            self.calls[f"{call.operation} {response.status}"] += 1
            _after(way_back, lambda: exchange.send(response))
            if fault:
                again = way_back + SECOND_ANSWER_SECONDS
                _after(again, lambda: exchange.send_once_more(response))
        elif fault:
            self.calls[f"{call.operation} {fault.kind}"] += 1
            _after(way_back, lambda: self._go_wrong(exchange, fault))

    def _go_wrong(self, exchange: Exchange, fault: InjectedFault) -> None:
        if fault.kind == "reset":
            exchange.reset()
        elif fault.kind == "status":
            exchange.send(self._failure(fault))
        elif fault.kind == "rubbish":
            body, content_type = RUBBISH[fault.rubbish]
            exchange.send(Response(200, body, content_type))

    def _failure(self, fault: InjectedFault) -> Response:
        headers: tuple[tuple[str, str], ...] = ()
        if fault.retry_after_seconds is not None:
            headers = (("retry-after", _retry_after(fault)),)
        return Response(fault.status, b'{"errors":"FAKE: told to fail"}', headers=headers)


@asynccontextmanager
async def serve(config: FakeConfig) -> AsyncIterator[FakeQiscus]:
    """A fake platform that listens while the block runs, on the loop that runs it."""
    fake = FakeQiscus(config)
    await fake.start()
    try:
        yield fake
    finally:
        await fake.stop()


def _after(seconds: float, act: Callable[[], None]) -> None:
    if seconds > 0:
        asyncio.get_running_loop().call_later(seconds, act)
    else:
        act()


def _retry_after(fault: InjectedFault) -> str:
    seconds = fault.retry_after_seconds or 0
    if not fault.retry_after_as_date:
        return str(seconds)
    return format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)


def _steady_unix_time() -> Callable[[], float]:
    start = time.time() - time.monotonic()
    return lambda: start + time.monotonic()
