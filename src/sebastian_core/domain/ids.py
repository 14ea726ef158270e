"""The identities that everything else refers to."""

from __future__ import annotations

from typing import NewType

from sebastian_core.domain.errors import InvalidInput

RoomId = NewType("RoomId", str)
ChatId = NewType("ChatId", int)
AgentId = NewType("AgentId", int)
ChannelId = NewType("ChannelId", int)
ServiceId = NewType("ServiceId", int)
ReservationId = NewType("ReservationId", int)

ROOM_ID_LIMIT = 64
"""The longest room id that is accepted, in characters (Qiscus sends about ten digits)."""


def parse_room_id(raw: object) -> RoomId:
    """Read a room id as Qiscus sends it: text, or a whole number in some variants.

    Raises InvalidInput for anything else, for more than 64 characters, and for text that holds
    spaces, control characters or lone surrogates, which no store could keep.
    """
    if isinstance(raw, bool) or not isinstance(raw, str | int):
        raise InvalidInput("room_id", "must be text or a whole number")
    if isinstance(raw, int) and abs(raw) >= 10**ROOM_ID_LIMIT:
        raise InvalidInput("room_id", f"must have 1 to {ROOM_ID_LIMIT} characters")
    text = str(raw)
    if not text or len(text) > ROOM_ID_LIMIT:
        raise InvalidInput("room_id", f"must have 1 to {ROOM_ID_LIMIT} characters")
    if not text.isprintable() or " " in text:
        raise InvalidInput("room_id", "must be printable text without spaces")
    return RoomId(text)
