"""What an HTTP answer means before anybody reads what it is about."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from sebastian_adapters.qiscus.api import ApiResponse
from sebastian_adapters.qiscus.response import (
    SEARCHED_TEXT_LIMIT,
    check_status,
    refusal_text,
    retry_after_seconds,
    shortened,
)
from sebastian_core.domain.errors import Fault, PlatformRefused, PlatformUnavailable

NOON = datetime(2024, 5, 2, 12, tzinfo=UTC)


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_a_2xx_passes(status: int) -> None:
    check(status)


@pytest.mark.parametrize(
    ("status", "fault"),
    [
        (429, Fault.THROTTLED),
        (500, Fault.SERVER_ERROR),
        (503, Fault.SERVER_ERROR),
        (599, Fault.SERVER_ERROR),
        (301, Fault.UNREADABLE),
        (304, Fault.UNREADABLE),
    ],
)
def test_what_may_work_later_is_unavailable(status: int, fault: Fault) -> None:
    with pytest.raises(PlatformUnavailable) as unavailable:
        check(status)

    assert (unavailable.value.fault, unavailable.value.status) == (fault, status)


@pytest.mark.parametrize("status", [407, 408, 421, 425])
def test_what_is_said_of_the_connection_leaves_open_what_became_of_the_call(status: int) -> None:
    with pytest.raises(PlatformUnavailable) as unavailable:
        check(status, b'{"errors": "no"}')

    assert (unavailable.value.fault, unavailable.value.status) == (Fault.BROKEN, status)
    assert not unavailable.value.surely_not_applied


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422])
def test_any_other_4xx_is_a_refusal(status: int) -> None:
    with pytest.raises(PlatformRefused) as refused:
        check(status, b'{"errors": "no"}')

    assert (refused.value.status, refused.value.detail) == (status, "no")


@pytest.mark.parametrize(
    ("asked", "seconds"),
    [
        ("30", 30.0),
        ("1.5", 1.5),
        ("0", 0.0),
        ("-5", 0.0),
        ("999999", 120.0),
        ("inf", 120.0),
        ("Thu, 02 May 2024 12:00:30 GMT", 30.0),
        ("Thu, 02 May 2024 11:00:00 GMT", 0.0),
        ("Thu, 02 May 2124 11:00:00 GMT", 120.0),
        ("Thu, 02 May 2024 12:00:30 -0000", 30.0),
        ("nan", None),
        ("soon", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after_is_seconds_or_a_date_within_two_minutes(
    asked: str | None, seconds: float | None
) -> None:
    headers = CIMultiDict({} if asked is None else {"Retry-After": asked})

    assert retry_after_seconds(headers, NOON) == seconds


def test_a_date_counts_from_the_answer_s_own_clock() -> None:
    headers = CIMultiDict(
        {
            "Date": "Sat, 01 Jan 2000 00:00:00 GMT",
            "Retry-After": "Sat, 01 Jan 2000 00:00:07 GMT",
        }
    )

    assert retry_after_seconds(headers, NOON) == 7.0


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"errors": "room is full"}, "room is full"),
        ({"errors": ["room is full", "try later"]}, "room is full; try later"),
        ({"errors": {"message": "room is full", "code": 7}}, "room is full"),
        ({"errors": {"room_id": ["is required"]}}, "room_id: is required"),
        ({"errors": [{"message": "room is full"}]}, "room is full"),
        ({"errors": None, "message": "room is full"}, "room is full"),
        ({"error": {"message": "forbidden", "traceid": "abc"}}, "forbidden"),
        ({"errors": "two\nlines\x00 \ud800"}, "two lines"),
        ({"errors": {"authentication_token": "TOKEN", "room": "odd"}}, "room: odd"),
        ({"errors": 7}, ""),
        ({}, ""),
        (["no"], ""),
        ("no", ""),
    ],
)
def test_a_refusal_is_told_by_what_stands_in_its_errors(body: Any, text: str) -> None:
    assert refusal_text(json.dumps(body).encode(), ()) == text


@pytest.mark.parametrize("body", [b"", b"<html>No</html>", b"\xff", b"[" * 100_000])
def test_a_refusal_without_json_says_nothing(body: bytes) -> None:
    assert refusal_text(body, ()) == ""


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("token 9f86d081884c7d659a2feaa0c55ad015 expired", "token *** expired"),
        ("token canary-agent-token-a1b2c3d4 expired", "token *** expired"),
        ("room 210501210501210501210501 is resolved", "room 210501210501210501210501 is resolved"),
        ("customer_rooms_are_unavailable_now", "customer_rooms_are_unavailable_now"),
    ],
)
def test_what_looks_like_a_token_is_hidden(text: str, shown: str) -> None:
    assert shortened(text, []) == shown


@pytest.mark.parametrize(
    "text", ["key s/cr+t refused", "key s%2Fcr%2Bt refused", "write to ada@example.test, please"]
)
def test_secrets_and_addresses_are_hidden(text: str) -> None:
    shown = shortened(text, ["s/cr+t", ""])

    assert "***" in shown
    assert not any(hidden in shown for hidden in ("s/cr+t", "s%2Fcr%2Bt", "ada", "example.test"))


@pytest.mark.parametrize("word", ["a-", "a", "x." * 7, "7"])
def test_a_word_that_is_too_long_to_be_searched_is_not_shown(word: str) -> None:
    shown = shortened("refused: " + word * (SEARCHED_TEXT_LIMIT * 100), [])

    assert shown == "refused: …"


def test_the_beginning_of_a_token_across_the_cut_is_not_shown() -> None:
    address = "ada@" + "x" * 95 + " "
    token = "beginning-" + "x" * 200 + "-1234567890"

    shown = shortened(address * (SEARCHED_TEXT_LIMIT // 100 - 1) + token + " expired", [])

    assert shown == "*** " * (SEARCHED_TEXT_LIMIT // 100 - 1) + "…"


def test_a_secret_across_the_cut_is_hidden_whole() -> None:
    secret = "s3cret " * 10
    text = "x" * 10 + " " * (SEARCHED_TEXT_LIMIT - 30) + secret

    shown = shortened(text, [secret])

    assert shown == "x" * 10 + " ***"


@given(st.text(), st.text(min_size=1, alphabet=st.characters(min_codepoint=33, max_codepoint=41)))
def test_no_text_is_long_or_holds_a_secret(text: str, secret: str) -> None:
    shown = shortened(f"{text}{secret}{text}", [secret])

    assert len(shown) <= 200
    assert shown.isprintable()
    assert secret not in shown


def check(status: int, body: bytes = b"") -> None:
    check_status(ApiResponse(status, CIMultiDict(), body), now=lambda: NOON, secrets=())
