"""What `sebastian dev` can be told."""

from __future__ import annotations

from pathlib import Path

from attrs import frozen

from sebastian_apps.fake_qiscus.config import FloorConfig


@frozen(kw_only=True)
class DevOptions:
    """How the floor of `sebastian dev` is to be.

    `run_seconds` ends it by itself; `data` keeps the line over a restart. `policy` is what
    `assign.policy` is in a configuration.
    """

    data: Path | None = None
    memory: bool = False
    port: int = 3000
    agents: int = 8
    capacity: int = 2
    customers_per_minute: float = 45.0
    service_seconds: float = 15.0
    day_seconds: float = 300.0
    seed: int = 1
    policy: str | None = None
    run_seconds: float | None = None

    @property
    def floor(self) -> FloorConfig:
        """The customers' day on the fake platform."""
        return FloorConfig(
            agents=self.agents,
            capacity=self.capacity,
            chats=0,
            rate_per_second=self.customers_per_minute / 60,
            arrivals="day",
            day_seconds=self.day_seconds,
            service_seconds=self.service_seconds,
            service_spread="exponential",
            message_every_seconds=self.service_seconds / 2,
            by_hand_share=0.03,
            online_seconds=self.day_seconds / 2,
            offline_seconds=self.day_seconds / 15,
            seed=self.seed,
        )
