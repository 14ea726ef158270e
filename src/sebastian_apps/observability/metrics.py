"""What Prometheus sees of a worker. No room, agent or chat is ever a label."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from attrs import define
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from sebastian_apps.observability.logging import dropped_lines
from sebastian_core.domain.rate_limit import CircuitState
from sebastian_core.usecases.assign import AssignmentOutcome, AssignmentResult
from sebastian_core.usecases.circuit_breaker import CircuitBreaker

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_WAIT = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900, 3600)
FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1)
_CALL = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class LogLines(Collector):
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
            buckets=FAST,
            registry=registry,
        )
        registry.register(LogLines())
        self._wrong_tokens = wrong_tokens(registry)
        for ending in AssignmentOutcome:
            self._endings.labels(str(ending))

    def watch_breaker(self, breaker: CircuitBreaker) -> None:
        """Tell also how the account stands and what is under way."""
        self.registry.register(_WorkerGauges(breaker))

    def ended(self, ended: AssignmentResult, now: datetime) -> None:
        """A reservation came to its end."""
        self._endings.labels(str(ended.ending)).inc()
        if ended.ending is AssignmentOutcome.ASSIGNED:
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
    """How the circuit breaker stands."""

    _breaker: CircuitBreaker

    def collect(self) -> Iterable[Metric]:
        """One family each."""
        standing = GaugeMetricFamily(
            "sebastian_platform_standing",
            "How the account stands with Qiscus: 1 for what holds now.",
            labels=["standing"],
        )
        for each in CircuitState:
            standing.add_metric([str(each)], self._breaker.standing is each)
        yield standing
        yield gauge("calls_in_flight", "Assignments under way.", self._breaker.permits.in_flight)


def gauge(name: str, documentation: str, value: float | timedelta) -> GaugeMetricFamily:
    number = value.total_seconds() if isinstance(value, timedelta) else value
    return GaugeMetricFamily(f"sebastian_{name}", documentation, value=float(number))
