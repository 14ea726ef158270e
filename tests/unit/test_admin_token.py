"""Whose an admin token is, and what becomes of those who guess."""

from __future__ import annotations

from collections import Counter

import pytest
from structlog.testing import capture_logs

from sebastian_adapters.testing.waiting import until
from sebastian_apps.http.auth.admin_token import GUESSES_PER_SECOND, AdminAuth
from sebastian_apps.http.problems import HttpProblem
from sebastian_apps.settings import Secret
from sebastian_apps.settings.model import AdminSettings

TOKEN, OF_SARI = "0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210"
ADMIN = AdminSettings(token=Secret(TOKEN), tokens={"sari": Secret(OF_SARI)})


def status_of(door: AdminAuth, token: str) -> int:
    """What the door answers to this token."""
    try:
        door.holder_of(token)
    except HttpProblem as problem:
        return problem.kind.status
    return 200


async def test_each_token_has_its_holder() -> None:
    door = AdminAuth(ADMIN)

    assert door.holder_of(TOKEN).name == ""
    assert door.holder_of(OF_SARI).name == "sari"
    assert door.holder_in({"authorization": f"Bearer {OF_SARI}"}).name == "sari"


@pytest.mark.parametrize("token", ["", "x", TOKEN[:-1], f"{TOKEN}x", TOKEN.upper(), "ü", "\udcff"])
async def test_what_is_nobodys_opens_nothing(token: str) -> None:
    assert status_of(AdminAuth(ADMIN), token) == 401


async def test_without_tokens_nothing_opens() -> None:
    door = AdminAuth(AdminSettings())

    assert not door.opens
    assert status_of(door, "") == 401


async def test_of_many_guesses_in_a_second_five_are_told_that_they_are_wrong() -> None:
    counted: Counter[str] = Counter()
    door = AdminAuth(ADMIN, lambda outcome: counted.update([outcome]))

    statuses = [status_of(door, f"guess-{number}") for number in range(100)]

    assert statuses == [401] * GUESSES_PER_SECOND + [429] * (100 - GUESSES_PER_SECOND)
    assert counted == {"refused": GUESSES_PER_SECOND, "slowed": 100 - GUESSES_PER_SECOND}


async def test_a_right_token_opens_while_somebody_guesses() -> None:
    door = AdminAuth(ADMIN)
    for number in range(50):
        status_of(door, f"guess-{number}")

    assert door.holder_of(OF_SARI).name == "sari"
    assert status_of(door, "guess") == 429


async def test_a_second_later_a_mistake_is_a_mistake_again() -> None:
    door = AdminAuth(ADMIN)
    for _ in range(GUESSES_PER_SECOND):
        status_of(door, "guess")

    await until(lambda: status_of(door, "mistyped") == 401)


async def test_who_sends_no_token_is_asked_for_one_and_guesses_nothing() -> None:
    counted: Counter[str] = Counter()
    door = AdminAuth(ADMIN, lambda outcome: counted.update([outcome]))

    for _ in range(50):
        with pytest.raises(HttpProblem) as refused:
            door.holder_in({})
        assert refused.value.kind.status == 401

    assert counted == {}


async def test_guesses_are_told_at_once_and_then_a_line_for_each_minute() -> None:
    with capture_logs() as logged:
        door = AdminAuth(ADMIN, told_every_seconds=0.05)
        for number in range(40):
            status_of(door, f"guess-{number}")
        at_once = [line["number"] for line in logged]
        await until(lambda: len(logged) == 2)

    assert at_once == [1]
    assert logged[1]["number"] == 39
    assert "guess-" not in repr(logged)
