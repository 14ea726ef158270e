"""What happened to chats, one row for each change."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from attrs import field, frozen

from sebastian_core.domain.chat import ChatState, Transition
from sebastian_core.domain.ids import AgentId, ChatId, ReservationId, RoomId


@frozen(kw_only=True)
class HistoryRow:
    """One change of one chat: what, when, which agent, why, by whom.

    A move that only a newer version knows is `unknown`, and its word stands in `details["move"]`.
    """

    chat_id: ChatId
    room_id: RoomId
    version: int
    at: datetime
    move: Transition
    before: ChatState | None
    after: ChatState
    agent_id: AgentId | None = None
    reservation_id: ReservationId | None = None
    reason: str = ""
    actor: str = ""
    details: Mapping[str, Any] = field(factory=dict)
