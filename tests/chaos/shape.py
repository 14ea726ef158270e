"""What one run of chaos is like."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, TypeVar

from attrs import evolve, field, frozen

from sebastian_apps.fake_qiscus import FloorConfig
from sebastian_core.domain.rules import Rules

KILL_PAUSE_SECONDS = 15.0
"""Between two kills, on average: the one who died is back, and what they held is nearly settled."""


@frozen(kw_only=True)
class Shape:
    """How long, how busy, how often something fails, and by which durations Sebastian lives."""

    seed: int = 1
    fault_seconds: float
    """For how long things fail; then all is healed and comes to rest."""
    faults_at_most: int = 10_000
    fault_pause_seconds: float = 2.0
    """Between the beginnings of two faults, on average."""
    kills: int = 0
    """Workers that are killed beside no other fault, to measure what others notice of it."""
    rate_per_second: float = 12.0
    message_every_seconds: float = 4.0
    """How often whoever waits writes again: a long line must not drown the platform."""
    agents: int = 20
    capacity: int = 3
    workers: int = 3
    webhooks: int = 2
    settle_seconds: float = 5.0
    call_seconds: float = 6.0
    reservation_seconds: float = 10.0
    presence_seconds: float = 5.0
    reconcile_seconds: float = 10.0
    rest_seconds: float = 120.0
    """How long the floor may take to come to rest."""
    clocks_off: Mapping[str, float] = field(
        factory=lambda: {"worker 1": 120.0, "worker 2": -120.0, "webhook 1": 120.0}
    )
    """Whose wall clock is wrong from the start, by how many seconds."""
    faults_demanded: int = 0
    webhooks_demanded: int = 0
    next_demanded_seconds: float = 1.0
    """Within which, at p99, somebody else's chat is assigned after the kill of a worker."""

    @property
    def rules(self) -> Rules:
        """The durations as the core knows them."""
        return Rules(
            settle=timedelta(seconds=self.settle_seconds),
            call=timedelta(seconds=self.call_seconds),
            reservation=timedelta(seconds=self.reservation_seconds),
        )

    @property
    def settled_demanded_seconds(self) -> float:
        """Within which what a dead worker held is settled."""
        return self.reservation_seconds + self.settle_seconds + 2.0

    @property
    def kill_seconds(self) -> float:
        """How long the kills take, with the time to settle after the last."""
        return (
            self.kills * KILL_PAUSE_SECONDS + self.settled_demanded_seconds if self.kills else 0.0
        )

    @property
    def floor(self) -> FloorConfig:
        """The customers: they come for as long as things fail."""
        return FloorConfig(
            agents=self.agents,
            capacity=self.capacity,
            chats=round(self.rate_per_second * (self.fault_seconds + self.kill_seconds)),
            rate_per_second=self.rate_per_second,
            service_seconds=1.0,
            message_every_seconds=self.message_every_seconds,
            online_seconds=60.0,
            offline_seconds=3.0,
            seed=self.seed,
        )

    @property
    def settings(self) -> dict[str, Any]:
        """The part of the configuration that a shape decides."""
        return {
            "webhook": {"max_current_customer": self.capacity},
            "presence": {"interval": self.presence_seconds},
            "reconcile": {"interval": self.reconcile_seconds},
            "assign": {"timeout": self.call_seconds, "reservation": self.reservation_seconds},
            "qiscus": {
                "settle": self.settle_seconds,
                "rate_limit": 1000,
                "burst": 200,
                "in_flight": 64,
            },
            "log": {"format": "json"},
        }


FAULTS_A_MINUTE, WEBHOOKS_A_MINUTE = 20, 1334
"""What a quarter of an hour must show: 300 faults and 20,000 webhooks."""


def long_form(minutes: float, *, kills: int, rate_per_second: float) -> Shape:
    """The default durations, and what so many minutes must show."""
    return Shape(
        fault_seconds=minutes * 60,
        kills=kills,
        rate_per_second=rate_per_second,
        faults_demanded=round(minutes * FAULTS_A_MINUTE),
        webhooks_demanded=min(round(minutes * WEBHOOKS_A_MINUTE), 20_000),
    )


S = TypeVar("S", bound=Shape)


def quick(shape: S) -> S:
    """The same, with a Sebastian that lives by durations short enough for the test command."""
    return evolve(
        shape,
        settle_seconds=1.0,
        call_seconds=1.5,
        reservation_seconds=3.0,
        presence_seconds=1.0,
        reconcile_seconds=2.0,
        rest_seconds=20.0,
    )


BRIEF = quick(
    Shape(
        fault_seconds=10.0,
        fault_pause_seconds=0.5,
        rate_per_second=8.0,
        message_every_seconds=0.5,
    )
)
"""A few seconds of faults, for the test command."""
