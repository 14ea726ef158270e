"""What Sebastian decides: pure rules, the ports it needs, its use cases, and their front door."""

from sebastian_core.allocator import Allocator
from sebastian_core.domain.arrivals import Arrival, Resolution
from sebastian_core.domain.policy import Candidate, LeastLoaded, Placement, Policy, ReadyChat
from sebastian_core.usecases.duties import Duty

__all__ = [
    "Allocator",
    "Arrival",
    "Candidate",
    "Duty",
    "LeastLoaded",
    "Placement",
    "Policy",
    "ReadyChat",
    "Resolution",
]
