"""A trace id that runs from the webhook to the assign call, without being carried along.

It is made from the chat's own row, so every process that touches the chat writes the same id into
its log lines, however often the chat changes hands and whatever dies in between.
"""

from __future__ import annotations

from hashlib import blake2b

import structlog

from sebastian_apps.observability.logging import log_context
from sebastian_core.domain.chat import Chat
from sebastian_core.domain.reservation import Reservation
from sebastian_core.usecases.assign import AssignChat, AssignmentResult

log = structlog.stdlib.get_logger("sebastian.assign")


def trace_of(chat: Chat) -> str:
    """The chat's trace id: 32 hexadecimal digits, as W3C's traceparent has them."""
    named = f"{chat.id} {chat.room_id} {chat.arrived_at.timestamp():.6f}"
    return blake2b(named.encode(), digest_size=16).hexdigest()


class TracedAssignChat(AssignChat):
    """Carries out reservations under the ids of their chats: every line and call tells them."""

    async def __call__(self, reservation: Reservation, reserving_from: float) -> AssignmentResult:
        """See AssignChat; how it ended is logged."""
        chat = reservation.chat
        with log_context(
            chat=chat.id, room=chat.room_id, reservation=reservation.id, trace=trace_of(chat)
        ):
            ended = await super().__call__(reservation, reserving_from)
            log.info(str(ended.ending), agent=reservation.agent_id, why=ended.reason)
            return ended
