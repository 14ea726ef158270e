"""When two crashes left the same behind."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from tests.crash.remains import Rows, told_rows

NOW = datetime(2025, 6, 22, 12, 0, tzinfo=UTC)


def rows(*, chat: int = 1, reservation: int = 5, deadline: str = "12:01", **history: Any) -> Rows:
    """A reserved chat with one row of history."""
    told = {"id": 3, "chat_id": chat, "reservation_id": reservation, "move": "reserve"}
    return Rows(
        NOW,
        {
            "chat": [
                {
                    "id": chat,
                    "reservation_id": reservation,
                    "settle_at": f"2025-06-22T{deadline}:00+00:00",
                }
            ],
            "history": [told | history],
        },
    )


def test_other_ids_and_other_moments_are_the_same() -> None:
    assert told_rows(rows()) == told_rows(rows(chat=7, reservation=9, deadline="12:02", id=8))


def test_a_row_that_points_elsewhere_differs() -> None:
    assert told_rows(rows()) != told_rows(rows(chat_id=2))
    assert told_rows(rows()) != told_rows(rows(reservation_id=6))


def test_a_deadline_that_is_past_differs_from_one_to_come() -> None:
    assert told_rows(rows()) != told_rows(rows(deadline="11:59"))


def test_another_change_differs() -> None:
    assert told_rows(rows()) != told_rows(rows(move="confirm"))


def test_what_a_process_calls_itself_is_no_difference() -> None:
    one, other = (
        Rows(NOW, {"duty": [{"name": "duties", "holder": f"office {number}"}]})
        for number in (17, 4711)
    )

    assert told_rows(one) == told_rows(other)
