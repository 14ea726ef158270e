"""Leadership: which worker does the duties, and what each process last said of itself."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol

from attrs import field, frozen

REPORTS_KEPT = timedelta(hours=1)
"""For how long a process that says nothing more of itself is remembered."""

REPORTS_AHEAD = timedelta(minutes=1)
"""How far a report may lie ahead, by a clock that was just corrected."""


@frozen(kw_only=True)
class Report:
    """What one process last said of itself, and when."""

    name: str
    at: datetime
    state: Mapping[str, Any] = field(factory=dict)


class Leadership(Protocol):
    """Lets one worker lead the others, and lets all see how each of them is.

    Every method is one transaction, by the store's clock. All raise StoreUnavailable when the store
    is down; calling again is safe. A store that belongs to another account raises ForeignAccount.
    """

    @abstractmethod
    async def hold_duty(self, holder: str, lease: timedelta) -> bool:
        """Take or renew the lease of the duties; False while somebody else holds it.

        A lease that ends more than twice `lease` from now is none: the clock was set back since.
        """

    @abstractmethod
    async def report(self, name: str, state: Mapping[str, Any]) -> None:
        """Keep what a process says of itself (plain JSON values), in place of its last word."""

    @abstractmethod
    async def reports(self) -> Sequence[Report]:
        """The last word of every process, by name; of the silent ones for an hour.

        One that lies more than `REPORTS_AHEAD` ahead is none: the clock was set back since.
        """
