"""What Prometheus gets to see. No room, agent or chat is ever a label."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import structlog
from attrs import define
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from sebastian_apps.floor.view import FloorView
from sebastian_apps.logging import dropped_lines
from sebastian_apps.request_headers import Headers
from sebastian_apps.settings import Settings, is_loopback
from sebastian_apps.webhook.counts import WebhookCounts
from sebastian_core.domain.permits import Standing
from sebastian_core.domain.plan import Standing as AgentStanding
from sebastian_core.usecases.assign_chat import Ended, Ending
from sebastian_core.usecases.platform_gate import PlatformGate

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_WAIT = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900, 3600)
_FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1)
_CALL = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

log = structlog.stdlib.get_logger("sebastian.worker")


class WebhookMetrics(WebhookCounts):
    """Counts webhooks for Prometheus, and times how long they waited for their answer."""

    def __init__(self) -> None:
        super().__init__()
        self.registry = CollectorRegistry()
        self._outcomes = Counter(
            "sebastian_webhooks",
            "Webhooks by what became of them.",
            ("webhook", "outcome"),
            registry=self.registry,
        )
        self._seconds = Histogram(
            "sebastian_webhook_seconds",
            "From the head of a webhook to its answer.",
            ("webhook",),
            buckets=_FAST,
            registry=self.registry,
        )
        self._wrong_tokens = wrong_tokens(self.registry)

        self._ended = Counter(
            "sebastian_connections_ended",
            "Connections that were ended for what their other side did.",
            ("why",),
            registry=self.registry,
        )
        self._outcome = cache(lambda path, word: self._outcomes.labels(path.strip("/"), word))
        self._waits = cache(lambda path: self._seconds.labels(path.strip("/")))

    def count(self, webhook: str, outcome: str) -> None:
        """See WebhookCounts.count."""
        super().count(webhook, outcome)
        self._outcome(webhook, outcome).inc()

    def took(self, webhook: str, seconds: float) -> None:
        """See WebhookCounts.took."""
        self._waits(webhook).observe(seconds)

    def wrong_token(self, outcome: str) -> None:
        """See WebhookCounts.wrong_token."""
        self._wrong_tokens.labels(outcome).inc()

    def ended(self, why: str) -> None:
        """See WebhookCounts.ended."""
        super().ended(why)
        self._ended.labels(why).inc()

    def exposed(self, floor: FloorView | None, watchers: int) -> bytes:
        """Everything in Prometheus's text format; `floor` is None while it cannot be read."""
        gauges = CollectorRegistry()
        gauges.register(_FloorGauges(floor, watchers))
        gauges.register(_LogLines())
        return generate_latest(self.registry) + generate_latest(gauges)


class _LogLines(Collector):
    """The log lines of this process."""

    def collect(self) -> Iterable[Metric]:
        """One family."""
        yield CounterMetricFamily(
            "sebastian_log_lines_dropped",
            "Log lines that could not be written, because nobody read them or the disk was full.",
            value=dropped_lines(),
        )


def wrong_tokens(registry: CollectorRegistry) -> Counter:
    """Counts admin tokens that were nobody's: both services are asked with them."""
    return Counter(
        "sebastian_wrong_tokens",
        "Admin tokens that are nobody's, by answer: refused (401), or slowed (429).",
        ("outcome",),
        registry=registry,
    )


@define(eq=False)
class _FloorGauges(Collector):
    """The floor of this moment."""

    _floor: FloorView | None
    _watchers: int

    def collect(self) -> Iterable[Metric]:
        """One family each."""
        yield _gauge("database_up", "Whether the floor can be read.", self._floor is not None)
        yield _gauge("floor_watchers", "Browsers that watch the floor page.", self._watchers)
        if self._floor is not None:
            yield _checks(self._floor)
            yield from _line(self._floor)
            yield from _slots(self._floor)


def _checks(floor: FloorView) -> Metric:
    checks = GaugeMetricFamily(
        "sebastian_check",
        "1 for each thing that is not as it should be, by the name that sebastian doctor tells.",
        labels=["check", "about", "level"],
    )
    for each in floor.banners:
        checks.add_metric([each.name, each.about, each.level], 1.0)
    return checks


def _line(floor: FloorView) -> Iterator[Metric]:
    numbers = floor.numbers
    oldest = floor.at - numbers.oldest_at if numbers.oldest_at else timedelta()
    yield _gauge("chats_waiting", "Chats in the waiting line.", numbers.waiting)
    yield _gauge("chats_ready", "Of those, chats that may be given at once.", numbers.ready)
    yield _gauge("chats_stuck", "Of those, chats refused too often.", numbers.stuck)
    yield _gauge(
        "chats_left_aside",
        "Live chats with a word that this version does not know.",
        numbers.left_aside,
    )
    yield _gauge("oldest_wait_seconds", "How long the first in the line waits.", oldest)
    held = GaugeMetricFamily(
        "sebastian_chats_held", "Chats that hold a slot, by state.", labels=["state"]
    )
    held.add_metric(["reserved"], numbers.reserved)
    held.add_metric(["assigned"], numbers.assigned)
    yield held


def _slots(floor: FloorView) -> Iterator[Metric]:
    numbers = floor.numbers
    slots = GaugeMetricFamily(
        "sebastian_slots", "Slots of the agents who are online and not paused.", labels=["state"]
    )
    slots.add_metric(["free"], numbers.free)
    slots.add_metric(["taken"], numbers.taken)
    agents = GaugeMetricFamily("sebastian_agents", "Agents by standing.", labels=["standing"])
    for standing in AgentStanding:
        if standing in numbers.standings or standing in _ALWAYS_TOLD:
            agents.add_metric([str(standing)], numbers.standings.get(standing, 0))
    yield slots
    yield agents
    yield _gauge("workers", "Workers that reported lately.", numbers.workers)
    yield _gauge(
        "policy_suspended",
        "Of those, workers that put the user's own policy aside: the shipped one serves there.",
        numbers.policies_suspended,
    )
    yield CounterMetricFamily(
        "sebastian_differences_repaired",
        "Differences from Qiscus that the living workers have repaired since they began.",
        value=numbers.repaired,
    )
    yield _gauge("redis_up", "Whether Redis answers here.", numbers.agent_store_is_up)
    if floor.presence_at is not None:
        age = floor.at - floor.presence_at
        yield _gauge("presence_age_seconds", "Since the last complete reading.", age)


_ALWAYS_TOLD = (AgentStanding.FREE, AgentStanding.FULL, AgentStanding.OFFLINE, AgentStanding.PAUSED)


class WorkerMetrics:
    """What one worker counts."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self._endings = Counter(
            "sebastian_assignments",
            "Reservations by how they ended.",
            ("ending",),
            registry=registry,
        )
        self._wait = Histogram(
            "sebastian_wait_seconds",
            "From a customer's request to the confirmed assignment.",
            buckets=_WAIT,
            registry=registry,
        )
        self._calls = Counter(
            "sebastian_platform_calls",
            "Calls to Qiscus by operation and HTTP status, or what went wrong.",
            ("operation", "code"),
            registry=registry,
        )
        self._call_seconds = Histogram(
            "sebastian_platform_call_seconds",
            "How long calls to Qiscus took.",
            ("operation",),
            buckets=_CALL,
            registry=registry,
        )
        self._findings = Counter(
            "sebastian_findings",
            "Differences that refresh and reconcile found.",
            ("duty", "finding"),
            registry=registry,
        )
        self._failures = Counter(
            "sebastian_duty_failures",
            "Runs of duties that failed and are tried again.",
            ("duty",),
            registry=registry,
        )
        self._bell = Histogram(
            "sebastian_bell_to_dispatch_seconds",
            "From hearing the doorbell to looking at the line.",
            buckets=_FAST,
            registry=registry,
        )
        registry.register(_LogLines())
        self._wrong_tokens = wrong_tokens(registry)
        for ending in Ending:
            self._endings.labels(str(ending))

    def watch_gate(self, gate: PlatformGate) -> None:
        """Tell also how the account stands and what is under way."""
        self.registry.register(_WorkerGauges(gate))

    def ended(self, ended: Ended, now: datetime) -> None:
        """A reservation came to its end."""
        self._endings.labels(str(ended.ending)).inc()
        if ended.ending is Ending.ASSIGNED:
            waited = (ended.assigned_at or now) - ended.reservation.chat.arrived_at
            self._wait.observe(max(0.0, waited.total_seconds()))

    def called(self, operation: str, code: str, seconds: float) -> None:
        """A call to the platform ended."""
        self._calls.labels(operation, code).inc()
        self._call_seconds.labels(operation).observe(seconds)

    def duty_ended(self, duty: str, found: Mapping[str, Any] | None) -> None:
        """A duty found differences, or failed if there is nothing that it found."""
        if found is None:
            self._failures.labels(duty).inc()
            return
        for finding, number in found.get("findings", found).items():
            if finding != "listed":
                self._findings.labels(duty, finding).inc(number)

    def wrong_token(self, outcome: str) -> None:
        """Somebody sent an admin token that is nobody's."""
        self._wrong_tokens.labels(outcome).inc()

    def bell_answered(self, seconds: float) -> None:
        """The line was looked at because the bell rang."""
        self._bell.observe(seconds)


@define(eq=False)
class _WorkerGauges(Collector):
    """How the gate before the platform stands."""

    _gate: PlatformGate

    def collect(self) -> Iterable[Metric]:
        """One family each."""
        standing = GaugeMetricFamily(
            "sebastian_platform_standing",
            "How the account stands with Qiscus: 1 for what holds now.",
            labels=["standing"],
        )
        for each in Standing:
            standing.add_metric([str(each)], self._gate.standing is each)
        yield standing
        yield _gauge("calls_in_flight", "Assignments under way.", self._gate.permits.in_flight)


def serve_metrics(metrics: WorkerMetrics, settings: Settings) -> AbstractAsyncContextManager[int]:
    """Serve a worker's numbers in its event loop, to whom the webhook service would show its own.

    Gives the port; see metrics_server.showing.
    """
    from sebastian_apps.admin_door import AdminDoor
    from sebastian_apps.metrics_server import Page, healthz, showing

    door = AdminDoor(settings.admin, metrics.wrong_token)
    on_loopback = is_loopback(settings.metrics.host)
    if not on_loopback and not door.opens:
        why = "others can reach them, and there is no admin token"
        log.warning("metrics are shown to nobody", why=why, host=settings.metrics.host)

    async def show(headers: Headers) -> Page:
        door.check_metrics(headers, on_loopback=on_loopback)
        return Page(generate_latest(metrics.registry), MEDIA_TYPE)

    return showing({"/metrics": show, "/healthz": healthz}, settings)


def _gauge(name: str, documentation: str, value: float | timedelta) -> GaugeMetricFamily:
    number = value.total_seconds() if isinstance(value, timedelta) else value
    return GaugeMetricFamily(f"sebastian_{name}", documentation, value=float(number))
