"""From when on a reading of the platform counts for a chat, and what a doubt writes on it.

The platform lags by up to `settle`: what a reading shows may be that much older than its request.
So a reading counts if its request began `settle` after the chat's last attempt, admission or
change; while the chat's call may still begin, after the last moment at which it may.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sebastian_core.domain.chat import NO_DOUBT, Chat, Doubt, OutlivesCall, ResolvedInCall
from sebastian_core.domain.rules import Rules

#: What follows from a doubt beside the moments; from one that is not named here: nothing.
_FACTS: Mapping[str, Mapping[str, Any]] = {
    Doubt.UNKNOWN_ANSWER: {"counts_as_refusal": True},
    Doubt.LATE_SUCCESS: {"outlives_call": OutlivesCall.SUCCESS},
    Doubt.UNNAMED_RESOLVE: {"outlives_call": OutlivesCall.RESOLVE},
    Doubt.RESOLVED_IN_CALL: {"resolved_in_call": ResolvedInCall.PENDING},
    Doubt.RESOLVED_UNSURE: {"resolved_in_call": ResolvedInCall.UNSURE},
}


def doubtful(
    doubt: Doubt,
    now: datetime,
    conclusive_from: datetime,
    *,
    waiting_counts_from: datetime | None = None,
    resolved_counts_from: datetime | None = None,
) -> dict[str, Any]:
    """What a doubt writes on a chat; a doubt before it is forgotten.

    The chat is settled as soon as a reading can prove something. A moment that is later than
    `conclusive_from` says nothing more, and counts as that one.
    """
    earlier = [each for each in (waiting_counts_from, resolved_counts_from) if each is not None]
    return {
        **NO_DOUBT,
        **_FACTS.get(doubt, {}),
        "doubt": doubt,
        "settle_at": max(now, min([conclusive_from, *earlier])),
        "conclusive_from": conclusive_from,
        "waiting_counts_from": _at_latest(waiting_counts_from, conclusive_from),
        "resolved_counts_from": _at_latest(resolved_counts_from, conclusive_from),
    }


def conclusive_from(chat: Chat, rules: Rules) -> datetime:
    """From when on a reading proves something about the chat, whatever it shows.

    Where the version before changed the chat last, nobody wrote that moment: then it is later than
    that version itself would have it, so that nothing is believed too early.
    """
    if chat.conclusive_from is not None:
        return chat.conclusive_from
    shown_from = chat.changed_at + rules.call_shows
    if chat.asked_again_at is None:
        return shown_from
    return max(shown_from, chat.asked_again_at + rules.settle)


def facts_of(doubt: str | None) -> dict[str, Any]:
    """The facts of a chat that the version before changed last: it writes its doubt alone.

    Raises KeyError for a word that this version does not know.
    """
    if doubt is None:
        return {}
    return {**_FACTS.get(Doubt(doubt), {})}


def _at_latest(moment: datetime | None, latest: datetime) -> datetime | None:
    return None if moment is None else min(moment, latest)
