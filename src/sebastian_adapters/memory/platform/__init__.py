"""A stand-in for Qiscus Omnichannel as a pure state machine: no I/O, no clock of its own.

The HTTP fake, the in-memory Qiscus client and the simulation all stand on this one machine, so
that "what the platform does" is written down once. What is true is in `Platform.log` and `Truth`;
what a caller is *told* goes through the `Switches` (lag, missing counts, odd shapes).
"""

from sebastian_adapters.memory.platform.log import Event, EventKind, EventLog
from sebastian_adapters.memory.platform.machine import Platform
from sebastian_adapters.memory.platform.switches import Switches
from sebastian_adapters.memory.platform.truth import (
    ServiceTruth,
    Serving,
    Truth,
    perfect_mean_wait_seconds,
)
from sebastian_adapters.memory.platform.values import (
    AgentFilter,
    Assigned,
    Body,
    Channel,
    FakeAccount,
    FakeAgentView,
    FakePage,
    Properties,
    Refusal,
    Resolved,
    Role,
    RoomFilter,
    RoomView,
)

__all__ = [
    "AgentFilter",
    "Assigned",
    "Body",
    "Channel",
    "Event",
    "EventKind",
    "EventLog",
    "FakeAccount",
    "FakeAgentView",
    "FakePage",
    "Platform",
    "Properties",
    "Refusal",
    "Resolved",
    "Role",
    "RoomFilter",
    "RoomView",
    "ServiceTruth",
    "Serving",
    "Switches",
    "Truth",
    "perfect_mean_wait_seconds",
]
