"""From when on a reading of the platform proves something about a chat (section 4a of the design).

The platform lags by up to `settle`: what a reading shows may be that much older than its request.
"""

from __future__ import annotations

from datetime import datetime

from sebastian_core.domain.chat import Chat, ChatState, Doubt
from sebastian_core.domain.rules import Rules

_CALL_UNDER_WAY = (
    None,
    Doubt.UNNAMED_RESOLVE,
    Doubt.LATE_SUCCESS,
    Doubt.RESOLVED_IN_CALL,
)
"""Doubts of a reserved chat that say nothing of its own call, which may be about to begin."""


def call_may_begin(chat: Chat) -> bool:
    """Whether an assign call for the chat may be under way, or about to begin."""
    return chat.state is ChatState.RESERVED and chat.doubt in _CALL_UNDER_WAY


def proven_from(chat: Chat, rules: Rules) -> datetime:
    """From when on the beginning of a reading proves anything about the chat."""
    return max(chat.changed_at + rules.settle, call_shown_from(chat, rules))


def call_shown_from(chat: Chat, rules: Rules) -> datetime:
    """From when on a reading shows whatever the chat's last assign call did.

    While a reservation is under way its call may still begin, but not later than
    `reservation - call` after it was made. A resolve that came meanwhile leaves that moment with
    the chat, as the one from which it is settled: what its customer asks later does not move it.
    """
    if chat.is_resolved_in_call and chat.settle_at is not None:
        return chat.settle_at
    last_attempt = chat.changed_at
    if call_may_begin(chat):
        last_attempt += rules.reservation - rules.call
    return last_attempt + rules.settle


def first_look_at(now: datetime, last_assigned_at: datetime | None, rules: Rules) -> datetime:
    """When a doubtful room may first be read.

    *Waiting*, and *resolved* of a resolve that may mean the chat before, count as soon as the
    reading begins `settle` after the last assignment: whatever the platform then shows is younger
    than that. Without one, nothing counts before `settle` from now.
    """
    if last_assigned_at is None:
        return now + rules.settle
    return max(now, min(now + rules.settle, last_assigned_at + rules.settle))
