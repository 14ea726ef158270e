"""What Sebastian decides: pure rules, the ports it needs, its use cases, and their front door."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sebastian_core.allocator import Allocator
    from sebastian_core.domain.policy import Candidate, LeastLoaded, Placement, Policy, ReadyChat
    from sebastian_core.domain.webhooks import Arrival, Resolution
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

_HOMES = {"Allocator": "allocator", "Duty": "usecases.duties"}
_HOMES |= dict.fromkeys(("Arrival", "Resolution"), "domain.webhooks")


def __getattr__(name: str) -> Any:
    """A public name, loaded when it is first asked for: commands need few of them."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES.get(name, 'domain.policy')}"), name)
