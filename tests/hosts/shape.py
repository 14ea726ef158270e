"""What one run on several hosts is like."""

from __future__ import annotations

from attrs import field, frozen

from tests.chaos.shape import Shape, quick
from tests.hosts.network import Cut

SERVERS, HOST_A, HOST_B = "servers", "host-a", "host-b"

MORE = 1.15
"""Customers who come back at once take the places of later ones, who should not run out."""


@frozen(kw_only=True)
class HostsShape(Shape):
    """A floor on two hosts of ours, first the one and then the other cut off."""

    calm_seconds: float = 15.0
    """How long all is well: before the first cut, between the two, and after the second."""
    cut_seconds: float = 30.0
    cuts: tuple[tuple[str, Cut], ...] = ((HOST_B, Cut.SWALLOWED), (HOST_A, Cut.UNPLUGGED))
    latency_seconds: float = 0.1
    verify: bool = True
    balancer_seconds: float | None = 1.0
    """How long a webhook service may be silent before the other is tried; None: it is not."""
    workers: int = 4
    """Half of them on each host."""
    rate_per_second: float = 20.0
    capacity: int = 4
    fault_seconds: float = field(init=False)
    """For how long customers come."""

    @fault_seconds.default
    def _fault_seconds(self) -> float:
        return MORE * ((len(self.cuts) + 1) * self.calm_seconds + len(self.cuts) * self.cut_seconds)


BRIEF = quick(HostsShape(calm_seconds=2.0, cut_seconds=9.0, cuts=((HOST_B, Cut.SWALLOWED),)))
"""Short durations, one cut."""
