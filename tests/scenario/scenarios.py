"""The scenarios: what the floor is like, how the platform misbehaves, and how we are configured."""

from __future__ import annotations

from typing import Any, Literal

from attrs import field, frozen

from sebastian_apps.fake_qiscus.config import FloorConfig


@frozen(kw_only=True)
class Scenario:
    """One run of the floor. Shares are of webhooks or calls; seconds everywhere."""

    name: str
    what: str
    floor: FloorConfig = field(factory=FloorConfig)
    latest_service: Literal["as_docs", "always_null"] = "as_docs"
    latency_seconds: float = 0.0
    counts_lag_seconds: float = 0.0
    doubled_share: float = 0.05
    lost_share: float = 0.0
    failed_after_applied_share: float = 0.0
    verify: bool = True
    workers: int = 2
    presence_interval_seconds: float = 10.0
    reconcile_interval_seconds: float = 60.0
    settle_seconds: float = 5.0
    doorbell: Literal["dramatiq", "postgres"] = "dramatiq"
    wait_within_seconds: float | None = None
    """How far the mean wait may lie above the perfect allocator's; None: only told."""
    calls_may_not_cross: bool = False
    """Whether nobody may reach the platform noticeably after somebody who came after them."""
    left_at_most: int | None = None
    """How many chats may be given to somebody who left during the last call; None: only told."""
    quiet_seconds: float = 60.0
    """How long after its last arrival the floor may take to come to rest."""
    call_seconds: float = 0.5
    """How long the last call takes at most: who left within it counts as left during it."""

    @property
    def settings(self) -> dict[str, Any]:
        """The part of the configuration that a scenario decides."""
        return {
            "webhook": {"max_current_customer": self.floor.capacity},
            "presence": {"interval": self.presence_interval_seconds},
            "reconcile": {"interval": self.reconcile_interval_seconds},
            "assign": {"verify": self.verify},
            "queue": {"doorbell": self.doorbell},
            "qiscus": {
                "settle": self.settle_seconds,
                "rate_limit": 1000,
                "burst": 200,
                "in_flight": 64,
            },
        }


FLOOR = FloorConfig(
    agents=20,
    capacity=2,
    chats=500,
    rate_per_second=50.0,
    service_seconds=1.0,
    returning_share=1 / 3,
    quick_return_share=0.1,
    quick_return_seconds=0.3,
    by_hand_share=0.05,
)
"""500 chats at 50 a second, 20 agents with capacity 2, a second of service each."""

MOVING_FLOOR = FloorConfig(
    agents=20,
    capacity=2,
    chats=500,
    rate_per_second=50.0,
    service_seconds=1.0,
    returning_share=1 / 3,
    quick_return_share=0.1,
    quick_return_seconds=0.3,
    by_hand_share=0.05,
    online_seconds=20.0,
    offline_seconds=4.0,
)
"""The same, with agents who stay for twenty seconds and are away for four, on average."""


def _under_faults(name: str, what: str, *, verify: bool) -> Scenario:
    return Scenario(
        name=name,
        what=what,
        floor=MOVING_FLOOR,
        latency_seconds=0.04,
        counts_lag_seconds=0.5,
        lost_share=0.05,
        failed_after_applied_share=0.02,
        verify=verify,
        left_at_most=2 if verify else None,
        presence_interval_seconds=2.0,
        reconcile_interval_seconds=5.0,
    )


SCENARIOS = {
    each.name: each
    for each in (
        Scenario(
            name="A",
            what="a busy floor, webhooks doubled, rooms that come back, chats taken by hand",
            floor=FLOOR,
            wait_within_seconds=0.1,
            calls_may_not_cross=True,
        ),
        Scenario(
            name="A2",
            what="the same, with latest_service always null",
            floor=FLOOR,
            latest_service="always_null",
            wait_within_seconds=0.3,
            calls_may_not_cross=True,
        ),
        _under_faults(
            "B",
            "lost webhooks, lagging counts, agents off and on, calls that fail when applied",
            verify=True,
        ),
        _under_faults("B-unverified", "the same, with assign.verify off", verify=False),
    )
}
