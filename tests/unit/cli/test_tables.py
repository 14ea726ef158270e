"""Tables for programs: plain, aligned, one row a line."""

from __future__ import annotations

from datetime import timedelta

import pytest

from sebastian_apps.cli.tables import aligned
from sebastian_apps.wording import duration, ordinal


def test_columns_are_two_spaces_apart_and_nothing_trails() -> None:
    lines = aligned(["room", "waits"], [["68303333", "5 s"], ["1", ""]])

    assert lines == ["room      waits", "68303333  5 s", "1"]


@pytest.mark.parametrize(
    ("length", "told"),
    [
        (timedelta(seconds=0.2), "0 s"),
        (timedelta(seconds=-5), "0 s"),
        (timedelta(seconds=59), "59 s"),
        (timedelta(seconds=65), "1 min 5 s"),
        (timedelta(hours=2, seconds=59), "2 h"),
        (timedelta(days=3, hours=4, minutes=5), "3 d 4 h"),
    ],
)
def test_a_duration_is_told_in_its_two_largest_units(length: timedelta, told: str) -> None:
    assert duration(length) == told


def test_ordinals_end_as_they_are_spoken() -> None:
    numbers = (1, 2, 3, 4, 11, 12, 13, 21, 101, 111)

    assert " ".join(map(ordinal, numbers)) == "1st 2nd 3rd 4th 11th 12th 13th 21st 101st 111th"
