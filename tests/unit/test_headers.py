"""What a request says of itself: which name it asked for, and for whose page."""

from __future__ import annotations

import pytest

from sebastian_apps.http.headers import (
    bearer,
    headers_of,
    is_same_origin,
    is_sent_by_another_site,
    names_this_machine,
)


@pytest.mark.parametrize(
    "host", ["localhost", "LocalHost:3000", "127.0.0.1:1", "127.0.0.2", "[::1]", "[::1]:3000"]
)
def test_a_loopback_name_is_this_machine(host: str) -> None:
    assert names_this_machine(host)


@pytest.mark.parametrize(
    "host",
    [
        *("", "evil.example", "evil.example:3000", "127.0.0.1.evil.example", "localhost.evil:80"),
        *("10.0.0.1", "[2001:db8::1]:80", "::1.evil", "127.0.0.1, evil.example", "[::1].evil"),
    ],
)
def test_any_other_name_may_be_one_that_was_pointed_here(host: str) -> None:
    assert not names_this_machine(host)


@pytest.mark.parametrize(
    ("origin", "is_same"),
    [
        (None, True),
        ("http://floor.example:80", True),
        ("https://floor.example:80", True),
        ("ftp://floor.example:80", False),
        ("floor.example:80", False),
        ("null", False),
        ("http://evil.example", False),
        ("http://floor.example:80.evil.example", False),
    ],
)
def test_an_origin_is_ours_by_scheme_and_host(origin: str | None, is_same: bool) -> None:
    headers = {"host": "floor.example:80"} | ({"origin": origin} if origin is not None else {})

    assert is_same_origin(headers) is is_same


@pytest.mark.parametrize(
    ("site", "is_other"),
    [
        (None, False),
        ("none", False),
        ("same-origin", False),
        ("same-site", True),
        ("cross-site", True),
    ],
)
def test_a_browser_says_whose_page_asks(site: str | None, is_other: bool) -> None:
    headers = {"host": "127.0.0.1:1"} | ({"sec-fetch-site": site} if site else {})

    assert is_sent_by_another_site(headers) is is_other


def test_a_field_that_comes_twice_is_one_list_that_names_nobody() -> None:
    headers = headers_of(
        [
            (b"Host", b"127.0.0.1"),
            (b"host", b"localhost"),
            (b"Authorization", b"Bearer a"),
            (b"authorization", b"Bearer b"),
            (b"cookie", b"a=1"),
            (b"cookie", b"b=2"),
        ]
    )

    assert not names_this_machine(headers["host"])
    assert bearer(headers) == "a, Bearer b"
    assert headers["cookie"] == "a=1; b=2"


@pytest.mark.parametrize(
    ("field", "token"),
    [
        ("Bearer abc", "abc"),
        ("bearer  abc ", "abc"),
        ("Bearer", None),
        ("Basic YWRtaW46", None),
        ("", None),
    ],
)
def test_a_bearer_token_is_what_stands_behind_the_scheme(field: str, token: str | None) -> None:
    assert bearer({"authorization": field}) == token
