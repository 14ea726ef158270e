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


GREATEST_AGENT_ID = 2**63 - 1
"""What a database's bigint holds."""


def parse_agent_id(raw: object) -> AgentId:
    """Read an agent's id, a whole number from 1 on; raises InvalidInput for anything else."""
    if isinstance(raw, bool) or not isinstance(raw, int) or not 1 <= raw <= GREATEST_AGENT_ID:
        raise InvalidInput("agent", "must be an agent's id, a whole number from 1")
    return AgentId(raw)


def parse_room_id(raw: object) -> RoomId:
    """Read a room id as Qiscus sends it: text, or a whole number in some variants.

    Raises InvalidInput for anything else, for more than 64 characters, and for text that holds
    spaces, control characters or anything beyond ASCII: every store can keep what is left, and
    Qiscus sends digits.
    """
    if isinstance(raw, bool) or not isinstance(raw, str | int):
        raise InvalidInput("room_id", "must be text or a whole number")
    if isinstance(raw, int) and abs(raw) >= 10**ROOM_ID_LIMIT:
        raise InvalidInput("room_id", f"must have 1 to {ROOM_ID_LIMIT} characters")
    text = str(raw)
    if not text or len(text) > ROOM_ID_LIMIT:
        raise InvalidInput("room_id", f"must have 1 to {ROOM_ID_LIMIT} characters")
    if not text.isascii() or not text.isprintable() or " " in text:
        raise InvalidInput("room_id", "must be printable ASCII text without spaces")
    return RoomId(text)
