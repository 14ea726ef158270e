"""What Prometheus is told, against what truly happened."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from attrs import frozen
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from sebastian_adapters.memory import InMemoryArguments, in_memory
from sebastian_adapters.memory.clock import InMemoryClock
from sebastian_adapters.testing.waiting import until
from sebastian_apps.dev.servers import free_port
from sebastian_apps.fake_qiscus.config import FakeConfig, FloorConfig
from sebastian_apps.fake_qiscus.server import FakeQiscus, serve
from sebastian_apps.http.metrics import WebhookMetrics
from sebastian_apps.policy.load import GuardedPolicy
from sebastian_apps.settings import Settings, load_settings
from sebastian_apps.wiring import build_webhook, build_worker
from sebastian_core.domain.chat import Transition
from sebastian_core.domain.errors import InvalidInput
from sebastian_core.domain.policy import LeastLoaded
from sebastian_core.usecases.duties import Duty
from tests.browser.stages import busy
from tests.scraping import Scrape
from tests.webhook_service import WebhookService, parts_in_memory, webhook_service

TOKEN = "0123456789abcdef0123456789abcdef"
CUSTOMERS = 60


@frozen
class Floor:
    """A whole deployment in this event loop, and where its metrics are."""

    fake: FakeQiscus
    stores: InMemoryArguments
    webhook: WebhookService
    metrics_port: int

    async def webhook_metrics(self) -> Scrape:
        """The webhook service's."""
        return Scrape.of((await self.webhook.http.get("/metrics")).text)

    async def worker_metrics(self) -> Scrape:
        """The worker's."""
        async with httpx.AsyncClient() as http:
            answer = await http.get(f"http://127.0.0.1:{self.metrics_port}/metrics")
        return Scrape.of(answer.text)


@asynccontextmanager
async def deployment(
    policy: GuardedPolicy | None = None, duty: Duty | None = None
) -> AsyncIterator[Floor]:
    """A stand-in Qiscus, the webhook service and one worker, which end with the block."""
    port = free_port()
    async with serve(FakeConfig(agents=5)) as fake:
        settings = settings_for(fake, port)
        stores = in_memory(clock=InMemoryClock(datetime.now(UTC)))
        async with webhook_service(build_webhook(settings, stores)) as webhook:
            fake.send_webhooks_to(f"http://127.0.0.1:{webhook.port}")
            report = timedelta(milliseconds=50)
            worker = build_worker(settings, stores=stores, policy=policy, report=report)
            if duty is not None:
                worker.allocator.add(duty)
            running = asyncio.create_task(worker.run())
            try:
                yield Floor(fake, stores, webhook, port)
            finally:
                worker.stop()
                await running


def settings_for(fake: FakeQiscus, metrics_port: int) -> Settings:
    """Settings for this platform."""
    account = fake.config.account
    return load_settings(
        None,
        {
            "QT_QISCUS_BASE_URL": fake.url,
            "QT_QISCUS_APP_ID": account.app_code,
            "QT_QISCUS_SECRET_KEY": account.secret_key,
            "QT_QISCUS_RATE_LIMIT": "1000",
            "QT_QISCUS_BURST": "500",
            "QT_WEBHOOK_MAX_CURRENT_CUSTOMER": "2",
            "QT_METRICS_PORT": str(metrics_port),
        },
    )


async def test_the_numbers_are_those_of_the_platform_and_of_the_history() -> None:
    async with deployment() as floor:
        floor.fake.start_floor(
            FloorConfig(
                agents=5,
                chats=CUSTOMERS,
                rate_per_second=40,
                service_seconds=0.1,
                by_hand_share=0,
            )
        )
        await floor.fake.floor_done()
        await quiet(floor, assigned=0)
        webhook, worker = await floor.webhook_metrics(), await floor.worker_metrics()
        rows = await floor.stores["journal"].decisions(10_000)
        events = list(floor.fake.platform.log)

    moves = Counter(row.move for row in rows)
    ours = sum(event.kind == "assigned" and event.by == "api" for event in events)
    assert ours
    assert worker.value("assignments_total", ending="assigned") == ours == moves[Transition.CONFIRM]
    assert worker.value("wait_seconds_count") == ours
    assert worker.value("platform_calls_total", operation="assign", code="200") == ours
    opened = ("admitted", "doubtful", "succeeded", "closed_and_next")
    admitted = sum(webhook.total("webhooks_total", outcome=each) for each in opened)
    assert admitted == moves[Transition.ADMIT]
    assert webhook.value("chats_waiting") == 0
    assert webhook.value("workers") == 1
    assert webhook.value("slots", state="free") == 10
    assert worker.value("platform_standing", standing="up") == 1
    assert worker.value("bell_to_dispatch_seconds_count") > 0


@pytest.mark.parametrize(("ends", "suspended"), [(1, 0), (2, 1)])
async def test_workers_that_put_the_own_policy_aside_are_counted(ends: int, suspended: int) -> None:
    policy = GuardedPolicy(LeastLoaded(), "theirs:Policy", ends=ends)
    async with deployment(policy) as floor:
        await quiet(floor)
        told = await floor.webhook_metrics()

    assert told.value("workers") == 1
    assert told.value("policy_suspended") == suspended


async def test_a_duty_of_which_nobody_else_knows_is_told_by_its_name_when_it_fails() -> None:
    async def sweep() -> None:
        raise InvalidInput("floor", "cannot be swept")

    told = None
    async with deployment(duty=Duty("sweep", timedelta(milliseconds=20), sweep)) as floor:
        async with asyncio.timeout(20):
            while not told or not told.total("check", check="duty-failing", about="sweep"):
                await asyncio.sleep(0.05)
                told = await floor.webhook_metrics()


async def test_no_room_agent_or_chat_is_a_label() -> None:
    async with deployment() as floor:
        room = floor.fake.customer_message()
        await quiet(floor)
        scrapes = [await floor.webhook_metrics(), await floor.worker_metrics()]

    for scrape in scrapes:
        for name, value in scrape.labels():
            assert room not in value
            assert not re.fullmatch(r"\d{4,}", value), (name, value)
            assert name in {
                *("webhook", "outcome", "le", "state", "standing", "ending", "operation"),
                *("code", "duty", "finding", "check", "about", "level"),
            }


async def test_one_trace_id_runs_from_the_webhook_to_the_assign_call() -> None:
    with capture_logs(processors=[merge_contextvars]) as logged:
        async with deployment() as floor:
            room = floor.fake.customer_message()
            await quiet(floor)

    told = {
        each["event"]: each["trace"]
        for each in logged
        if each.get("room") == room and "trace" in each
    }
    assert {"admit", "assigned"} <= told.keys()
    assert len(set(told.values())) == 1


async def test_two_workers_of_one_machine_take_two_ports() -> None:
    with capture_logs() as logged:
        async with deployment() as floor, httpx.AsyncClient() as http:
            settings = settings_for(floor.fake, floor.metrics_port)
            second = build_worker(settings, stores=floor.stores)
            async with second.allocator.opened():
                await until(lambda: len(served_at(logged)) == 2)
                answers = [
                    await http.get(f"http://127.0.0.1:{port}/metrics") for port in served_at(logged)
                ]

    assert len(set(served_at(logged))) == 2
    assert all("sebastian_assignments_total" in answer.text for answer in answers)


def served_at(logged: Sequence[Mapping[str, Any]]) -> list[int]:
    """The ports at which workers say that they serve their metrics."""
    return [each["port"] for each in logged if each["event"] == "metrics are served"]


async def test_the_busy_floor_in_numbers() -> None:
    stage = await busy()
    async with webhook_service(stage.parts()) as service:
        told = Scrape.of((await service.http.get("/metrics")).text)

    waiting = await stage.room_repo.waiting(100)
    held = await stage.journal.held(100)
    assert told.value("chats_waiting") == len(waiting)
    assert told.value("chats_held", state="assigned") == len(held)
    assert told.value("slots", state="free") == 0
    assert told.value("agents", standing="paused") == 1
    assert told.value("database_up") == 1
    assert told.value("oldest_wait_seconds") >= 40


async def test_the_webhooks_are_timed_and_counted_by_outcome() -> None:
    async with webhook_service(parts_in_memory(counts=WebhookMetrics())) as service:
        await service.post("/webhook-incoming-message", {"room_id": "1"})
        await service.post("/webhook-incoming-message", {"room_id": "1"})
        await service.post("/webhook-incoming-message", b"{")
        told = Scrape.of((await service.http.get("/metrics")).text)

    webhook = "webhook-incoming-message"
    outcomes = {
        outcome: told.value("webhooks_total", webhook=webhook, outcome=outcome)
        for outcome in ("admitted", "repeated", "not-json")
    }
    assert outcomes == {"admitted": 1, "repeated": 1, "not-json": 1}
    assert told.value("webhook_seconds_count", webhook=webhook) == 3


@pytest.mark.parametrize(
    ("environ", "headers", "status"),
    [
        ({}, {}, 200),
        ({"QT_ADMIN_TOKEN": TOKEN}, {}, 200),
        ({}, {"host": "localhost:3000"}, 200),
        ({}, {"host": "rebound.example"}, 404),
        ({}, {"origin": "https://evil.example"}, 404),
        ({}, {"sec-fetch-site": "cross-site"}, 404),
        ({"QT_ADMIN_TOKEN": TOKEN}, {"host": "rebound.example"}, 401),
        (
            {"QT_ADMIN_TOKEN": TOKEN},
            {"host": "proxy.example", "authorization": f"Bearer {TOKEN}"},
            200,
        ),
        ({"QT_LISTEN_HOST": "0.0.0.0", "QT_WEBHOOK_INSECURE": "true"}, {}, 404),
        ({"QT_LISTEN_HOST": "0.0.0.0", "QT_ADMIN_TOKEN": TOKEN}, {}, 401),
        (
            {"QT_LISTEN_HOST": "0.0.0.0", "QT_ADMIN_TOKEN": TOKEN},
            {"authorization": f"Bearer {TOKEN}"},
            200,
        ),
    ],
)
async def test_metrics_are_open_to_this_machine_and_else_under_the_admin_token(
    environ: dict[str, str], headers: dict[str, str], status: int
) -> None:
    async with webhook_service(parts_in_memory(environ)) as service:
        answer = await service.http.get("/metrics", headers=headers)

    assert answer.status_code == status


async def quiet(floor: Floor, assigned: int | None = None) -> None:
    """Wait until nothing waits and nothing is under way, and the worker has reported.

    With `assigned`, also until so many chats are with agents: a resolve may be on its way yet.
    """
    journal, leadership = floor.stores["journal"], floor.stores["leadership"]
    async with asyncio.timeout(20):
        while True:
            summary = await journal.summary(5)
            is_still = not summary.waiting + summary.reserved and await leadership.reports()
            if is_still and assigned in (None, summary.assigned):
                return
            await asyncio.sleep(0.02)
