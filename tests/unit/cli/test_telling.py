"""Whatever can be recorded of a chat has a sentence, for the commands and for the page."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from sebastian_apps.wording import Phrases
from sebastian_core.domain.chat import LEGAL_TRANSITIONS, ChatState, Transition
from sebastian_core.domain.history import HistoryRow
from sebastian_core.domain.ids import AgentId, ChatId, RoomId

NOW = datetime(2030, 1, 2, tzinfo=UTC)


@pytest.mark.parametrize("move", list(Transition))
def test_everything_that_can_happen_to_a_chat_is_told(move: Transition) -> None:
    row = HistoryRow(
        chat_id=ChatId(1),
        room_id=RoomId("101"),
        version=1,
        at=NOW,
        move=move,
        before=ChatState.WAITING,
        after=ChatState.WAITING,
        agent_id=AgentId(7),
        reason="because of this",
    )

    sentence = Phrases(NOW).row(row)

    assert "because of this" in sentence or "agent 7" in sentence


def test_everything_that_can_happen_to_a_chat_is_legal_somewhere_or_only_read() -> None:
    assert LEGAL_TRANSITIONS.keys() == set(Transition)
    assert [move for move, ways in LEGAL_TRANSITIONS.items() if not ways] == [Transition.UNKNOWN]
