"""Every word about a reservation but its confirmation, said three seconds after it was made."""

from __future__ import annotations

from collections.abc import Callable

from sebastian_core.domain.chat import Doubt
from sebastian_core.domain.reservation import (
    FenceOutcome,
    doubt_attempt,
    pass_over,
    refuse,
    release,
    release_doubtful,
)
from sebastian_core.domain.room import Decided, Room
from tests.unit.core.building import BEN, RULES, a_reservation, at

RESERVATION = a_reservation()

Word = Callable[[Room], Decided[FenceOutcome]]
NOT_APPLIED: dict[str, Word] = {
    "release": lambda room: release(RESERVATION, "", RULES, room, at(3)),
    "release doubtful": lambda room: release_doubtful(RESERVATION, RULES, room, at(3)),
    "pass over": lambda room: pass_over(RESERVATION, [BEN], RULES, room, at(3)),
    "refuse": lambda room: refuse(RESERVATION, "", RULES, room, at(3)),
}
"""After a call that surely was not applied: as a rule the chat goes back into the line."""


def doubt(room: Room) -> Decided[FenceOutcome]:
    """After a call of unknown end."""
    return doubt_attempt(RESERVATION, Doubt.UNKNOWN_ANSWER, RULES, room, at(3))
