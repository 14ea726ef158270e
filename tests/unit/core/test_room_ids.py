"""Room ids as Qiscus sends them: text or a whole number, and nothing that no store could keep."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sebastian_core.domain.errors import InvalidInput
from sebastian_core.domain.ids import ROOM_ID_LIMIT, parse_room_id


@pytest.mark.parametrize(
    ("raw", "room_id"),
    [
        ("68303333", "68303333"),
        (68303333, "68303333"),
        (2**63, "9223372036854775808"),
        ("0068303333", "0068303333"),
        ("raum-9", "raum-9"),
        ("x" * ROOM_ID_LIMIT, "x" * ROOM_ID_LIMIT),
        (0, "0"),
    ],
)
def test_a_room_id_can_be_text_or_a_whole_number(raw: object, room_id: str) -> None:
    assert parse_room_id(raw) == room_id


@pytest.mark.parametrize(
    "raw",
    [
        None,
        True,
        False,
        1.0,
        b"1",
        [],
        {},
        "",
        " ",
        "1 2",
        "1\x00",
        "1\n",
        "1\u200b",
        "raum-ä-9",
        "\ud800",
        "x" * (ROOM_ID_LIMIT + 1),
        10**ROOM_ID_LIMIT,
    ],
)
def test_a_room_id_cannot_be_anything_else(raw: object) -> None:
    with pytest.raises(InvalidInput, match="room_id"):
        parse_room_id(raw)


def test_a_number_of_millions_of_digits_is_refused_like_any_other_long_one() -> None:
    with pytest.raises(InvalidInput, match="room_id"):
        parse_room_id(10**5000)


@given(st.text(max_size=80))
def test_whatever_is_accepted_can_be_kept_as_it_is(text: str) -> None:
    try:
        room_id = parse_room_id(text)
    except InvalidInput:
        return

    assert room_id == text
    assert room_id.encode("ascii").decode() == text
    assert "\x00" not in room_id
