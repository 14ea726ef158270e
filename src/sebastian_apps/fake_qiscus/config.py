"""What the fake platform and its floor can be told at the start."""

from typing import Literal

from attrs import field, frozen
from attrs.validators import ge, gt, in_, le

from sebastian_adapters.memory.platform import FakeAccount, Switches

_share = [ge(0.0), le(1.0)]


@frozen(kw_only=True)
class FloorConfig:
    """A floor of agents and a stream of customers. Same seed, same customers."""

    agents: int = field(default=20, validator=ge(0))
    """How many agents there should be; those that the platform has already count."""
    capacity: int = field(default=2, validator=ge(1))
    """How many chats an agent may hold in the perfect allocator that a run is compared with."""
    chats: int = field(default=500, validator=ge(0))
    """How many requests for service to make; 0 goes on until stopped."""
    rate_per_second: float = field(default=50.0, validator=gt(0.0))
    arrivals: Literal["poisson", "uniform", "day"] = field(
        default="poisson", validator=in_(("poisson", "uniform", "day"))
    )
    """`day` lets the rate rise and fall like a working day, with the given rate as its mean."""
    day_seconds: float = field(default=600.0, validator=gt(0.0))
    """How long that day lasts."""
    service_seconds: float = field(default=1.0, validator=ge(0.0))
    service_spread: Literal["fixed", "exponential"] = field(
        default="fixed", validator=in_(("fixed", "exponential"))
    )
    returning_share: float = field(default=1 / 3, validator=_share)
    """Arrivals that come back in a room that was resolved, while there is one."""
    quick_return_share: float = field(default=0.1, validator=_share)
    """Resolved customers who come back at once; each takes the place of a later arrival."""
    quick_return_seconds: float = field(default=0.3, validator=gt(0.0))
    """How soon, at the latest."""
    message_every_seconds: float = field(default=2.0, validator=ge(0.0))
    """How often a waiting customer writes again, on average; 0 is never."""
    by_hand_share: float = field(default=0.05, validator=_share)
    """Chats that a person tries to give to somebody online, full or not."""
    by_hand_seconds: float = field(default=0.5, validator=ge(0.0))
    """How late that person tries it, at most; half of them try at once."""
    online_seconds: float = field(default=0.0, validator=ge(0.0))
    """How long an agent stays online, on average; 0 is for ever."""
    offline_seconds: float = field(default=5.0, validator=gt(0.0))
    """How long an agent is away, on average. Chats are served to their end all the same."""
    seed: int = 1


@frozen(kw_only=True)
class FakeConfig:
    """Where the fake platform listens, whose account it is, and how it starts."""

    host: str = "127.0.0.1"
    port: int = field(default=0, validator=[ge(0), le(65535)])
    """0 takes a free one."""
    account: FakeAccount = field(factory=FakeAccount)
    webhook_base_url: str | None = None
    """Where the webhooks go, as if registered in the dashboard; None until registered."""
    webhook_token: str | None = field(default=None, repr=False)
    """The secret last segment of the webhooks' paths."""
    webhook_timeout_seconds: float = field(default=10.0, validator=gt(0.0))
    agents: int = field(default=0, validator=ge(0))
    seed: int = 0
    switches: Switches = field(factory=Switches)
    latency_seconds: float = field(default=0.0, validator=ge(0.0))
    """How long each answer takes: half on the way in, half on the way back."""
    latency_jitter_seconds: float = field(default=0.0, validator=ge(0.0))
    log_limit: int | None = None
    """How many events and deliveries to keep; None keeps all, which an oracle needs."""
    floor: FloorConfig | None = None
    """A floor that starts at once; None until started."""
