"""Text of others on a terminal."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sebastian_apps.printable import as_argument, printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Ayu Lestari, 客服 😀", "Ayu Lestari, 客服 😀"),
        ("page\x1b[31m\nadmin", "page�[31m�admin"),
        ("\x9b31m", "�31m"),
        ("evil\u202egnp.exe", "evil�gnp.exe"),
        ("\udcff\x00", "��"),
    ],
)
def test_what_would_not_be_printed_as_it_is_shows_as_a_sign(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.text())
def test_what_comes_out_can_be_printed(text: str) -> None:
    assert printable(text).isprintable()


@given(st.text().filter(lambda text: "\0" not in text))
def test_a_shell_takes_it_for_one_argument_and_a_command_for_no_option(text: str) -> None:
    words = shlex.split(as_argument(text))

    assert words[-1] == text
    assert words[:-1] == (["--"] if text.startswith("-") else [])
