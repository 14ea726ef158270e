"""From when on a reading of the platform proves something about a chat (section 4a of the design).

The platform lags by up to `settle`: what a reading shows may be that much older than its request.
"""

from __future__ import annotations

from datetime import datetime

from sebastian_core.domain.chat import Chat, ChatState, Doubt
from sebastian_core.domain.rules import Rules

_CALL_UNDER_WAY = (None, Doubt.UNNAMED_RESOLVE, Doubt.LATE_SUCCESS)
"""Doubts of a reserved chat that say nothing of its own call, which may be about to begin."""


def call_may_begin(chat: Chat) -> bool:
    """Whether an assign call for the chat may be under way, or about to begin."""
    return chat.state is ChatState.RESERVED and (
        chat.doubt in _CALL_UNDER_WAY or chat.doubt is Doubt.RESOLVED_IN_CALL
    )


def last_attempt_at(chat: Chat, rules: Rules) -> datetime:
    """The chat's last attempt or change; while its call may begin, the last moment at which it may.

    That is `reservation - call` after the reservation was made. A chat that is resolved meanwhile
    carries that moment on.
    """
    if chat.state is ChatState.RESERVED and chat.doubt in _CALL_UNDER_WAY:
        return chat.changed_at + (rules.reservation - rules.call)
    return chat.changed_at


def call_shown_from(chat: Chat, rules: Rules) -> datetime:
    """From when on a reading shows whatever the chat's last attempt did."""
    return last_attempt_at(chat, rules) + rules.settle


def proven_from(chat: Chat, rules: Rules) -> datetime:
    """From when on the beginning of a reading proves anything about the chat, whatever it shows."""
    shown_from = call_shown_from(chat, rules)
    if chat.is_resolved_in_call and chat.asked_again_at is not None:
        return max(shown_from, chat.asked_again_at + rules.settle)
    return shown_from


def first_look_at(now: datetime, last_assigned_at: datetime | None, rules: Rules) -> datetime:
    """When a doubtful room may first be read.

    *Waiting*, and *resolved* of a resolve that may mean the chat before, count as soon as the
    reading begins `settle` after the last assignment: whatever the platform then shows is younger
    than that. Without one, nothing counts before `settle` from now.
    """
    if last_assigned_at is None:
        return now + rules.settle
    return max(now, min(now + rules.settle, last_assigned_at + rules.settle))
