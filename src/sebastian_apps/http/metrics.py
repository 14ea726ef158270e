"""What Prometheus sees of a webhook service. No room, agent or chat is ever a label."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta
from functools import cache

from attrs import define
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from sebastian_apps.floor.view import FloorView
from sebastian_apps.http.counts import WebhookCounts
from sebastian_apps.observability.metrics import FAST, LogLines, gauge, wrong_tokens
from sebastian_core.domain.matcher import Availability


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
            buckets=FAST,
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
        gauges.register(LogLines())
        return generate_latest(self.registry) + generate_latest(gauges)


@define(eq=False)
class _FloorGauges(Collector):
    """The floor of this moment."""

    _floor: FloorView | None
    _watchers: int

    def collect(self) -> Iterable[Metric]:
        """One family each."""
        yield gauge("database_up", "Whether the floor can be read.", self._floor is not None)
        yield gauge("floor_watchers", "Browsers that watch the floor page.", self._watchers)
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
    yield gauge("chats_waiting", "Chats in the waiting line.", numbers.waiting)
    yield gauge("chats_ready", "Of those, chats that may be given at once.", numbers.ready)
    yield gauge("chats_stuck", "Of those, chats refused too often.", numbers.stuck)
    yield gauge(
        "chats_left_aside",
        "Live chats with a word that this version does not know.",
        numbers.left_aside,
    )
    yield gauge("oldest_wait_seconds", "How long the first in the line waits.", oldest)
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
    for standing in Availability:
        if standing in numbers.standings or standing in _ALWAYS_TOLD:
            agents.add_metric([str(standing)], numbers.standings.get(standing, 0))
    yield slots
    yield agents
    yield gauge("workers", "Workers that reported lately.", numbers.workers)
    yield gauge(
        "policy_suspended",
        "Of those, workers that put the user's own policy aside: the shipped one serves there.",
        numbers.policies_suspended,
    )
    yield CounterMetricFamily(
        "sebastian_differences_repaired",
        "Differences from Qiscus that the living workers have repaired since they began.",
        value=numbers.repaired,
    )
    yield gauge("redis_up", "Whether Redis answers here.", numbers.agent_store_is_up)
    if floor.presence_at is not None:
        age = floor.at - floor.presence_at
        yield gauge("presence_age_seconds", "Since the last complete reading.", age)


_ALWAYS_TOLD = (Availability.FREE, Availability.FULL, Availability.OFFLINE, Availability.PAUSED)
