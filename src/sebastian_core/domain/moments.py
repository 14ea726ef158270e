"""Moments that lie further ahead than they can: the database's clock was ahead, and was set back.

What was written meanwhile would be believed until that time comes: a chat would rest, and a reading
prove nothing, for hours. Each kind of moment has a longest time ahead; what lies beyond twice that
is brought back to now.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from attrs import evolve, frozen

from sebastian_core.domain.chat import Chat
from sebastian_core.domain.room import Room
from sebastian_core.domain.rules import Rules

#: Of a chat: moments that are over, or (`changed_at`) lie ahead no longer than a call may.
PASSED = ("arrived_at", "changed_at", "assigned_at", "asked_again_at", "closed_at")

#: Of a chat: from when readings count. Without them that follows from `changed_at`, brought back.
COUNTED = ("conclusive_from", "waiting_counts_from", "resolved_counts_from")


@frozen(kw_only=True)
class Horizon:
    """How far ahead the moments of each kind may lie."""

    passed: timedelta
    ready: timedelta
    settle: timedelta
    excluded: timedelta

    @classmethod
    def of(cls, rules: Rules) -> Horizon:
        """Twice as far as these rules ever put them."""
        return cls(
            passed=2 * (rules.reservation + rules.settle),
            ready=2 * rules.refusal_delay_limit,
            settle=2 * (rules.reservation + rules.settle + rules.settle_retry_limit),
            excluded=2 * rules.exclusion_limit,
        )

    def brought_back(self, chat: Chat, now: datetime) -> Chat:
        """The chat without moments beyond; the same one where there are none."""
        limits = dict.fromkeys(PASSED, self.passed) | {
            "ready_at": self.ready,
            "settle_at": self.settle,
            "excluded_until": self.excluded,
        }
        beyond: dict[str, Any] = {
            name: now
            for name, limit in limits.items()
            if _is_beyond(getattr(chat, name), now + limit)
        }
        beyond |= {
            name: None for name in COUNTED if _is_beyond(getattr(chat, name), now + self.passed)
        }
        return evolve(chat, **beyond) if beyond else chat

    def room_brought_back(self, room: Room, now: datetime) -> Room:
        """The room's memory without a close that lies ahead."""
        is_ahead = _is_beyond(room.closed_at, now + self.passed)
        return evolve(room, closed_at=now) if is_ahead else room


def _is_beyond(moment: datetime | None, limit: datetime) -> bool:
    return moment is not None and moment > limit
