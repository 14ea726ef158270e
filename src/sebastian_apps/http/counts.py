"""What became of the webhooks, in numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from attrs import define, field

from sebastian_apps.floor.view import FloorView


@define
class WebhookCounts:
    """Counts webhooks by route and outcome since the process began; for one event loop."""

    _counts: Counter[tuple[str, str]] = field(factory=Counter, init=False)
    connections_ended: Counter[str] = field(factory=Counter, init=False)

    def count(self, webhook: str, outcome: str) -> None:
        """One more webhook with this outcome."""
        self._counts[webhook, outcome] += 1

    def took(self, webhook: str, seconds: float) -> None:
        """A webhook waited so long for its answer; of no interest here."""

    def wrong_token(self, outcome: str) -> None:
        """Somebody sent an admin token that is nobody's; of no interest here."""

    def ended(self, why: str) -> None:
        """A connection was ended for what its other side did."""
        self.connections_ended[why] += 1

    def exposed(self, floor: FloorView | None, watchers: int) -> bytes:
        """All numbers in Prometheus's text format; these counts have none of their own."""
        return b""

    def of(self, webhook: str, outcome: str) -> int:
        """How many there were so far."""
        return self._counts[webhook, outcome]

    def rows(self) -> Iterator[tuple[str, str, int]]:
        """Route, outcome and number, for whoever exports them."""
        for (webhook, outcome), number in sorted(self._counts.items()):
            yield webhook, outcome, number
