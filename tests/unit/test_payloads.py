"""From a webhook's bytes to an arrival or a resolution, or to the problem that it has."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sebastian_apps.http.payloads import ID_LIMIT, decode_arrival, decode_resolution
from sebastian_apps.http.problems import HttpProblem
from sebastian_core.domain.ids import ChannelId, RoomId, ServiceId
from sebastian_core.domain.webhooks import Arrival, Resolution, Service

DECODERS = (decode_arrival, decode_resolution)
OUR_APP = "ourapp-0123456789"
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def arrival_of(**fields: object) -> Arrival:
    return decode_arrival(json.dumps({"room_id": "123", **fields}).encode())


def problem_of(body: object, app_id: str | None = None) -> HttpProblem:
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(HttpProblem) as caught:
        decode_arrival(sent, app_id=app_id)
    return caught.value


def refusal_of(body: bytes, decode: Callable[[bytes], object]) -> int | None:
    try:
        decode(body)
    except HttpProblem as problem:
        return problem.kind.status
    return None


def test_a_room_id_is_all_that_is_needed() -> None:
    assert decode_arrival(b'{"room_id": "123"}') == Arrival(room_id=RoomId("123"))


def test_a_room_id_may_be_a_number() -> None:
    assert decode_arrival(b'{"room_id": 123}').room_id == "123"
    assert decode_arrival(b'{"room_id": 123.0}').room_id == "123"


def test_a_byte_order_mark_does_not_matter() -> None:
    assert decode_arrival(b'\xef\xbb\xbf{"room_id": "123"}').room_id == "123"


@pytest.mark.parametrize(
    "room_id",
    [
        pytest.param(None, id="null"),
        pytest.param(True, id="boolean"),
        pytest.param(1.5, id="fraction"),
        pytest.param([1], id="array"),
        pytest.param({}, id="object"),
        pytest.param("", id="empty"),
        pytest.param("1 2", id="with a space"),
        pytest.param("1\n", id="with a line break"),
        pytest.param("a\u0000b", id="with a NUL"),
        pytest.param("\ud800", id="a lone surrogate"),
        pytest.param("raum-ü", id="beyond ASCII"),
        pytest.param("1" * 65, id="too long"),
        pytest.param(-1, id="negative"),
        pytest.param(ID_LIMIT + 1, id="beyond 63 bits"),
        pytest.param(10**70, id="many digits"),
    ],
)
def test_a_room_id_that_no_store_could_keep_is_refused(room_id: object) -> None:
    problem = problem_of({"room_id": room_id})

    assert problem.kind.status == 422
    assert problem.detail.startswith("room_id ")


def test_a_missing_room_id_is_named() -> None:
    assert problem_of({"name": "x"}).detail == (
        "room_id is missing; it must be text or a whole number."
    )


@pytest.mark.parametrize("body", [[], "text", 5, None, True])
def test_a_body_must_be_an_object(body: object) -> None:
    assert problem_of(body).kind.slug == "unusable"


@pytest.mark.parametrize(
    ("body", "slug"),
    [
        (b"", "not-json"),
        (b"  \r\n", "not-json"),
        (b'{"room_id": "1"', "not-json"),
        (b'{"room_id": "1"} more', "not-json"),
        (b"[" * 60_000, "not-json"),
        (b'{"room_id": "1", "x": ' + b'{"a":' * 10_000 + b"1" + b"}" * 10_001, "not-json"),
        ('{"room_id": "1"}'.encode("utf-16"), "not-utf-8"),
    ],
)
def test_what_is_not_json_is_refused(body: bytes, slug: str) -> None:
    problem = problem_of(body)

    assert (problem.kind.slug, problem.kind.status) == (slug, 400)


@pytest.mark.parametrize(
    "spoiled",
    [
        pytest.param(b'"a\nb\tc\x00"', id="raw control characters"),
        pytest.param(b'"cut \xf0\x9f\x98"', id="an emoji cut in the middle"),
        pytest.param(b'"Jos\xe9"', id="Latin-1"),
        pytest.param(b'"\xed\xa0\x80"', id="a surrogate in UTF-8"),
        pytest.param(b"NaN", id="NaN"),
        pytest.param(b"-Infinity", id="infinity"),
        pytest.param(b"1e999", id="a float out of range"),
        pytest.param(b"9" * 200_000, id="a number of many digits"),
    ],
)
def test_what_spoils_another_field_does_not_turn_the_customer_away(spoiled: bytes) -> None:
    body = b'{"name": %b, "room_id": "1", "service": {"room_id": "1", "x": %b}, "app_id": "a"}'

    for decode in DECODERS:
        assert decode(body % (spoiled, spoiled)).room_id == "1"


@pytest.mark.parametrize("room_id", [b'"1\xff"', b'"1\n"', b"NaN", b"9" * 5000, b'"1\x00"'])
def test_a_room_id_that_is_spoiled_itself_is_refused(room_id: bytes) -> None:
    assert problem_of(b'{"room_id": %b}' % room_id).kind.slug == "unusable"


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (gzip.compress(b'{"room_id": "1"}', mtime=0), "gzip"),
        (b"payload=%7B%22room_id%22%3A1%7D", "form"),
        (b"room_id=123&x=y", "form"),
    ],
)
def test_a_body_in_another_form_is_named(body: bytes, word: str) -> None:
    problem = problem_of(body)

    assert problem.kind.status == 415
    assert word in problem.detail


def test_an_object_in_a_text_is_named() -> None:
    assert "send the object itself" in problem_of(json.dumps({"room_id": 1})).detail


def test_a_room_id_with_spaces_is_told_what_it_must_be() -> None:
    assert problem_of({"room_id": " 621 "}).detail == (
        "room_id must be printable ASCII text without spaces."
    )


def test_a_webhook_of_the_other_kind_is_told_where_it_belongs() -> None:
    assert "/webhook-mark-as-resolved" in problem_of({"service": {"room_id": 1}}).detail
    with pytest.raises(HttpProblem) as caught:
        decode_resolution(b'{"room_id": 1}')
    assert "/webhook-incoming-message" in caught.value.detail


@pytest.mark.parametrize("named", [{}, {"app_id": None}])
def test_the_body_of_a_custom_button_is_no_customer_who_waits(named: dict[str, Any]) -> None:
    body = {"room_id": 77770001, "agent": {"id": 1}, "customer": {"name": "x"}, **named}

    assert "custom button" in problem_of(body).detail


def test_a_webhook_that_names_the_account_may_have_an_agent() -> None:
    assert arrival_of(agent={"id": 1}, app_id=OUR_APP).room_id == "123"


def test_a_problem_never_repeats_what_was_sent() -> None:
    told = [
        problem_of({"room_id": ["canary-1"]}).detail,
        problem_of(b'{"room_id": canary-2}').detail,
        problem_of({"room_id": "1", "app_id": "canary-3"}, OUR_APP).detail,
    ]

    assert not [detail for detail in told if "canary" in detail]


@pytest.mark.parametrize("key", ["app_id", "app_code"])
def test_a_webhook_for_another_account_is_refused(key: str) -> None:
    assert problem_of({"room_id": "1", key: "another"}, OUR_APP).kind.status == 403
    assert problem_of({"room_id": "1", key: 5}, OUR_APP).kind.status == 403


@pytest.mark.parametrize("named", [{}, {"app_id": OUR_APP}, {"app_code": None, "app_id": OUR_APP}])
def test_a_webhook_for_our_account_or_for_none_is_taken(named: dict[str, Any]) -> None:
    body = json.dumps({"room_id": "1", **named}).encode()

    assert decode_arrival(body, app_id=OUR_APP).room_id == "1"


def test_any_account_is_taken_where_none_is_configured() -> None:
    assert arrival_of(app_id="whoever").room_id == "123"


@pytest.mark.parametrize(
    ("channel", "channel_id"),
    [
        ({"id": 7}, 7),
        ({"id": "7"}, 7),
        ({"id": ID_LIMIT}, ID_LIMIT),
        ({"id": ID_LIMIT + 1}, None),
        ({"id": 0}, None),
        ({"id": -7}, None),
        ({"id": True}, None),
        ({"id": 7.0}, 7),
        ({"id": 7.5}, None),
        ({"id": "seven"}, None),
        ({"id": "\u0667"}, None),
        ({"id": "9" * 5000}, None),
        ({}, None),
        ([7], None),
        (7, None),
        (None, None),
    ],
)
def test_a_channel_without_a_usable_id_is_unknown(
    channel: object, channel_id: ChannelId | None
) -> None:
    assert arrival_of(channel=channel).channel_id == channel_id


@pytest.mark.parametrize(
    ("latest_service", "base"),
    [
        ({"id": 5, "is_resolved": True}, Service(ServiceId(5), is_resolved=True)),
        ({"id": "5", "is_resolved": False}, Service(ServiceId(5), is_resolved=False)),
        ({"id": 5}, None),
        ({"id": 5, "is_resolved": "true"}, None),
        ({"id": 5, "is_resolved": 1}, None),
        ({"id": None, "is_resolved": True}, None),
        ({"id": 2**80, "is_resolved": True}, None),
        ("text", None),
        ([], None),
        (None, None),
    ],
)
def test_a_latest_service_counts_only_where_id_and_state_are_sure(
    latest_service: object, base: Service | None
) -> None:
    assert arrival_of(latest_service=latest_service).base == base


@pytest.mark.parametrize(
    ("source", "kept"),
    [("wa", "wa"), ("x" * 65, None), ("a\u0000", None), ("\ud800", None), (5, None), ("", None)],
)
def test_a_source_that_no_store_could_keep_is_dropped(source: object, kept: str | None) -> None:
    assert arrival_of(source=source).source == kept


def test_only_the_wanted_properties_are_read() -> None:
    rows = [{"key": "tier", "value": "vip"}, {"key": "city", "value": "Bandung"}]
    extras = json.dumps({"user_properties": rows})
    body = json.dumps({"room_id": "1", "extras": extras}).encode()

    assert decode_arrival(body, kept_properties={"tier"}).properties == {"tier": "vip"}
    assert decode_arrival(body).properties == {}


@pytest.mark.parametrize(
    "extras",
    [
        None,
        5,
        "not json",
        "[" * 60_000,
        "[]",
        '{"user_properties": 5}',
        '{"user_properties": [5, {"key": ["tier"], "value": "vip"}]}',
        '{"user_properties": [{"key": "tier", "value": "\\u0000"}]}',
        '{"user_properties": [{"key": "tier", "value": 5}]}',
    ],
)
def test_extras_that_cannot_be_read_are_no_properties(extras: object) -> None:
    body = json.dumps({"room_id": "1", "extras": extras}).encode()

    assert decode_arrival(body, kept_properties={"tier"}).properties == {}


def test_a_resolution_names_its_room_and_service() -> None:
    body = b'{"service": {"room_id": "123", "id": 9}, "resolved_by": {"id": 5}}'

    assert decode_resolution(body) == Resolution(room_id=RoomId("123"), service_id=ServiceId(9))


@pytest.mark.parametrize("service_id", [None, True, "x", 2**70, [], 1.5])
def test_a_resolution_without_a_usable_service_id_still_names_its_room(service_id: object) -> None:
    body = json.dumps({"service": {"room_id": 123, "id": service_id}}).encode()

    assert decode_resolution(body) == Resolution(room_id=RoomId("123"))


@pytest.mark.parametrize(
    "body", [{}, {"room_id": "123"}, {"service": None}, {"service": [1]}, {"service": {"id": 1}}]
)
def test_a_resolution_without_a_room_is_refused(body: object) -> None:
    with pytest.raises(HttpProblem) as caught:
        decode_resolution(json.dumps(body).encode())

    assert caught.value.kind.status == 422
    assert "room_id" in caught.value.detail


FIELDS = ("room_id", "service", "channel", "latest_service", "source", "extras")


@given(body=st.binary(max_size=200))
def test_whatever_bytes_come_they_are_read_or_refused(body: bytes) -> None:
    assert {refusal_of(body, decode) for decode in DECODERS} <= {None, 400, 415, 422}


@given(fields=st.dictionaries(st.sampled_from(FIELDS), json_values))
def test_whatever_json_comes_it_is_read_or_refused(fields: dict[str, Any]) -> None:
    body = json.dumps(fields).encode()

    assert {refusal_of(body, decode) for decode in DECODERS} <= {None, 422}
