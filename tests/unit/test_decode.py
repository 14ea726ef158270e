"""Qiscus's JSON, read tolerantly."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sebastian_adapters.qiscus import decode as wire
from sebastian_adapters.qiscus.api import ApiResponse
from sebastian_core.domain.errors import Fault, PlatformUnavailable
from sebastian_core.domain.ids import RoomId
from sebastian_core.domain.in_doubt import RoomState
from sebastian_core.domain.platform import PlatformRoom
from sebastian_core.domain.roster import Presence

NOON = datetime(2024, 5, 2, 12, tzinfo=UTC)
ROOM = RoomId("273683234")
AGENT = {"id": 160001, "name": "Ada", "type": 2, "is_available": True, "force_offline": False}
WAITING = {"room_id": ROOM, "is_resolved": False, "is_waiting": True}


class TestAgents:
    @pytest.mark.parametrize(
        "shape", [lambda rows: {"data": {"agents": rows}}, lambda rows: {"data": rows}]
    )
    def test_stand_in_data_or_in_data_agents(self, shape: Any) -> None:
        page = wire.agents_page(answered(shape([AGENT])), NOON)

        assert presences(page) == [Presence(160001, True, NOON, name="Ada")]  # type: ignore[arg-type]

    @pytest.mark.parametrize("agent_id", [160001, "160001", 160001.0])
    def test_have_ids_in_text_or_number(self, agent_id: object) -> None:
        assert presence({**AGENT, "id": agent_id}).agent_id == 160001

    @pytest.mark.parametrize("agent_id", [None, True, 1.5, [], {}])
    def test_without_an_id_are_left_out_and_counted_and_hide_no_other(
        self, agent_id: object
    ) -> None:
        page = agents({**AGENT, "id": agent_id}, AGENT)

        assert [each.agent_id for each in presences(page)] == [160001]
        assert (page.rows, len(page.unreadable)) == (2, 1)

    @pytest.mark.parametrize("agent_id", [0, -1, 2**63, 10**30, "-1", "one", "", "٣", "1" * 5000])
    def test_with_an_id_that_nothing_could_hold_are_nobody_of_ours(self, agent_id: object) -> None:
        page = agents({**AGENT, "id": agent_id}, AGENT)

        assert [each.agent_id for each in presences(page)] == [160001]
        assert page.rows == 2

    @pytest.mark.parametrize(
        "kind",
        [
            {"type": 2},
            {"type": "2"},
            {"type": 2.0},
            {"type": None, "type_as_string": "agent"},
            {"type": None, "type_as_string": "Agent"},
            {"type": 2, "type_as_string": "agent"},
            {"type": None},
            {"type": None, "type_as_string": None},
        ],
    )
    def test_are_agents_by_either_mark_or_where_both_are_missing(self, kind: Any) -> None:
        assert presences(agents({**AGENT, **kind}))

    @pytest.mark.parametrize(
        "kind",
        [
            {"type": 1},
            {"type": 3, "type_as_string": "supervisor"},
            {"type": None, "type_as_string": "admin"},
            {"type": 4, "type_as_string": "something new"},
        ],
    )
    def test_of_another_type_are_left_out(self, kind: Any) -> None:
        page = agents({**AGENT, **kind})

        assert presences(page) == []
        assert page.rows == 1

    @pytest.mark.parametrize(
        ("is_available", "force_offline", "online"),
        [
            (True, False, True),
            (True, None, True),
            (True, True, False),
            (False, False, False),
            (None, False, False),
            (1, 0, True),
            ("true", "false", True),
            ("false", "false", False),
        ],
    )
    def test_are_online_when_available_and_not_switched_off(
        self, is_available: object, force_offline: object, online: bool
    ) -> None:
        row = {**AGENT, "is_available": is_available, "force_offline": force_offline}

        assert presence(row).online is online

    def test_may_lack_the_switch(self) -> None:
        assert presence({"id": 1, "is_available": True}).online

    @pytest.mark.parametrize(
        "row",
        [
            {"id": 1},
            {"id": 1, "is_available": "perhaps"},
            {"id": 1, "is_available": True, "force_offline": []},
        ],
    )
    def test_without_a_presence_are_left_out_and_counted(self, row: Any) -> None:
        page = agents(row, AGENT)

        assert [each.agent_id for each in presences(page)] == [160001]
        assert len(page.unreadable) == 1

    @pytest.mark.parametrize(
        ("listed", "channels"),
        [
            ([{"id": 7, "name": "Phone"}, {"id": "9"}], {7, 9}),
            ([7, "9"], {7, 9}),
            ([{"id": 7.0}, 9.0], {7, 9}),
            ([], set()),
            (None, set()),
            ("7", set()),
            ([{"id": 7}, {"name": "no id"}], set()),
        ],
    )
    def test_have_channels_or_nobody_knows_which(self, listed: object, channels: set[int]) -> None:
        assert presence({**AGENT, "user_channels": listed}).channels == channels

    @pytest.mark.parametrize(
        ("told", "count"),
        [
            (0, 0),
            (3, 3),
            ("3", 3),
            (3.0, 3),
            (None, None),
            (-1, None),
            (True, None),
            ("?", None),
            (1.5, None),
        ],
    )
    def test_have_a_count_where_it_can_be_read(self, told: object, count: int | None) -> None:
        assert presence({**AGENT, "current_customer_count": told}).count == count

    @pytest.mark.parametrize(
        ("told", "name"),
        [("Ada", "Ada"), ("A\x00d\ud800a\n", "Ada"), (None, ""), (7, ""), ("x" * 999, "x" * 200)],
    )
    def test_have_names_that_every_store_can_keep(self, told: object, name: str) -> None:
        assert presence({**AGENT, "name": told}).name == name

    @pytest.mark.parametrize(
        "answer",
        [
            {"data": {"agents": []}},
            {"data": {"agents": None}},
            {"data": {"agents": {}}},
            {"data": {"meta": {"total_count": 0}}},
            {"data": {}, "meta": {"total_count": 0}},
            {"data": None, "meta": {"total_count": 0}},
            {"meta": {"total_count": 0}, "status": 200},
        ],
    )
    def test_are_none_where_an_empty_list_is_null_or_left_out(self, answer: Any) -> None:
        page = wire.agents_page(answered(answer), NOON)

        assert (page.items, page.rows) == ({}, 0)

    @pytest.mark.parametrize(
        "shape", [lambda rows: {"data": {"agents": rows}}, lambda rows: {"data": rows}]
    )
    def test_are_listed_by_an_object_with_numbers_for_keys_too(self, shape: Any) -> None:
        rows = {"10": {**AGENT, "id": 3}, "2": {**AGENT, "id": 2}, "0": {**AGENT, "id": 1}}

        page = wire.agents_page(answered(shape(rows)), NOON)

        assert [each.agent_id for each in presences(page)] == [1, 2, 3]

    @pytest.mark.parametrize(
        "answer",
        [
            {},
            {"data": None},
            {"data": {}},
            {"data": {"agents": {"data": []}}},
            {"data": "x"},
            {"data": 1},
            {"errors": "no"},
            {"data": {"added_agent": {"id": 7}}},
            {"data": {"customer_rooms": []}, "meta": {"total_count": 0}},
            {"data": {"agents": [AGENT] * (wire.ROWS_LIMIT + 1)}},
        ],
    )
    def test_that_are_no_list_are_unreadable(self, answer: Any) -> None:
        assert_unreadable(lambda: wire.agents_page(answered(answer), NOON))

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"[]",
            b"not JSON",
            b'{"data": [{"id": 7, "is_available": true}',
            b'{"data": ' + b"[" * 100_000,
            b'{"data": [%s]}' % (b'{"id": "7"},' * 100_000),
        ],
    )
    def test_in_no_json_are_unreadable(self, body: bytes) -> None:
        assert_unreadable(lambda: wire.agents_page(a_body(body), NOON))

    @pytest.mark.parametrize("name", [b"Ad\xf0\x9f\x98", b"A\nda", b"Ada\\ud83d"])
    def test_with_a_broken_name_hide_nobody(self, name: bytes) -> None:
        rows = b'{"id": 1, "is_available": true, "name": "%s"}, {"id": 2, "is_available": true}'
        page = wire.agents_page(a_body(b'{"data": [' + rows % name + b"]}"), NOON)

        assert [each.agent_id for each in presences(page)] == [1, 2]

    @pytest.mark.parametrize("row", [None, 1, "x", []])
    def test_that_are_no_objects_are_left_out_and_counted(self, row: Any) -> None:
        page = agents(row, AGENT)

        assert [each.agent_id for each in presences(page)] == [160001]
        assert len(page.unreadable) == 1

    @pytest.mark.parametrize(
        "answer",
        [
            {"data": {"agents": [AGENT, {**AGENT, "id": 7, "type": 1}]}, "meta": {"after": "x"}},
            {"data": [AGENT], "meta": {"total_count": 2}},
            {"data": {"agents": [AGENT], "meta": {"cursor_after": 5}, "total": 9}},
            {"data": {"agents": [AGENT]}, "meta": {"per_page": 3, "limit": 7, "after": None}},
            {"status": 200, "extra": [{"deep": None}], "data": [AGENT, AGENT]},
            {"data": [{**AGENT, "user_channels": [{"id": 0}], "name": "A\x00b", "id": 2**63 - 1}]},
            {"data": [{**AGENT, "id": 0}, {**AGENT, "id": 2**63}, {**AGENT, "id": -1}]},
        ],
    )
    def test_of_the_usual_shape_are_read_as_any_other(
        self, monkeypatch: pytest.MonkeyPatch, answer: Any
    ) -> None:
        quickly = wire.agents_page(answered(answer), NOON)
        monkeypatch.setattr(wire, "_usual_agents", NeverUsual())

        assert wire.agents_page(answered(answer), NOON) == quickly


class TestPages:
    @pytest.mark.parametrize("key", ["after", "cursor_after"])
    @pytest.mark.parametrize("cursor", ["abc", 17])
    def test_tell_the_next_cursor_at_the_top_or_in_data(self, key: str, cursor: object) -> None:
        rows = {"agents": [AGENT]}

        tops = wire.agents_page(answered({"data": rows, "meta": {key: cursor}}), NOON)
        insides = wire.agents_page(answered({"data": {**rows, "meta": {key: cursor}}}), NOON)
        flat = wire.agents_page(answered({"data": {**rows, key: cursor}}), NOON)

        assert tops.cursor == insides.cursor == flat.cursor == str(cursor)

    @pytest.mark.parametrize("cursor", [None, "", False, [], {}])
    def test_have_none_where_it_is_empty(self, cursor: object) -> None:
        page = wire.agents_page(answered({"data": [AGENT], "meta": {"after": cursor}}), NOON)

        assert page.cursor is None

    @pytest.mark.parametrize("cursor", ["\ud800", "x" * 65_537, "line\nbreak"])
    def test_with_a_cursor_that_cannot_be_sent_back_are_unreadable(self, cursor: str) -> None:
        answer = {"data": [AGENT], "meta": {"after": cursor}}

        assert_unreadable(lambda: wire.agents_page(answered(answer), NOON))

    def test_tell_their_size_and_the_total(self) -> None:
        meta = {"per_page": 20, "total_count": 2}
        page = wire.agents_page(answered({"data": [AGENT], "meta": meta}), NOON)

        assert (page.size, page.total) == (20, 2)

    @pytest.mark.parametrize("meta", [None, [], {}, {"per_page": None, "total_count": "many"}])
    def test_may_tell_neither(self, meta: object) -> None:
        page = wire.agents_page(answered({"data": [AGENT], "meta": meta}), NOON)

        assert (page.cursor, page.size, page.total) == (None, None, None)


class TestRooms:
    @pytest.mark.parametrize("room_id", ["273683234", 273683234, 273683234.0])
    def test_have_ids_in_text_or_number(self, room_id: object) -> None:
        assert listed({**WAITING, "room_id": room_id})[0].room_id == ROOM

    @pytest.mark.parametrize("room_id", ["", "a b", "x" * 65, "\ud800"])
    def test_with_an_id_that_nothing_could_hold_are_none_of_ours(self, room_id: str) -> None:
        assert [room.room_id for room in listed({**WAITING, "room_id": room_id}, WAITING)] == [ROOM]

    @pytest.mark.parametrize("room_id", [None, True, 1.5, []])
    def test_without_an_id_are_left_out_and_hide_no_other(self, room_id: object) -> None:
        assert [room.room_id for room in listed({**WAITING, "room_id": room_id}, WAITING)] == [ROOM]

    @pytest.mark.parametrize(
        ("is_resolved", "is_waiting", "state"),
        [
            (False, True, RoomState.WAITING),
            (False, False, RoomState.SERVED),
            (False, None, RoomState.SERVED),
            (True, True, RoomState.RESOLVED),
            (True, False, RoomState.RESOLVED),
            ("false", "true", RoomState.WAITING),
            (0, 1, RoomState.WAITING),
        ],
    )
    def test_are_resolved_else_waiting_else_served(
        self, is_resolved: object, is_waiting: object, state: RoomState
    ) -> None:
        row = {"room_id": ROOM, "is_resolved": is_resolved, "is_waiting": is_waiting}

        assert listed(row)[0].state is state

    @pytest.mark.parametrize("missing", ["is_resolved", "is_waiting"])
    def test_without_their_state_are_left_out_and_hide_no_other(self, missing: str) -> None:
        row = {key: value for key, value in WAITING.items() if key != missing}

        assert [room.room_id for room in listed({**row, "room_id": "1"}, WAITING)] == [ROOM]

    @pytest.mark.parametrize(
        ("told", "customer_wrote"),
        [
            ({}, True),
            ({"last_customer_timestamp": "2024-05-02T12:00:00Z"}, True),
            ({"last_customer_timestamp": "yesterday"}, True),
            ({"last_customer_timestamp": None, "last_customer_comment_text": "Hello"}, True),
            ({"last_customer_timestamp": None, "last_customer_comment_text": None}, False),
            ({"last_customer_timestamp": None}, False),
            ({"last_customer_timestamp": ""}, False),
        ],
    )
    def test_are_without_a_customer_s_message_only_where_the_platform_shows_it(
        self, told: dict[str, object], customer_wrote: bool
    ) -> None:
        assert listed({**WAITING, **told})[0].customer_wrote is customer_wrote

    @pytest.mark.parametrize(
        ("told", "waits_since"),
        [
            ("2024-05-02T12:00:00Z", NOON),
            ("2024-05-02T19:00:00+07:00", NOON),
            ("2024-05-02T12:00:00", None),
            ("2024-05-02 12:00:00", None),
            ("0001-01-01T00:00:00+23:59", None),
            ("yesterday", None),
            ({"date": "2024-05-02", "timezone": "UTC"}, None),
            (None, None),
            (1714651200, None),
        ],
    )
    def test_wait_since_a_moment_only_where_it_has_a_zone(
        self, told: object, waits_since: datetime | None
    ) -> None:
        assert listed({**WAITING, "last_customer_timestamp": told})[0].waits_since == waits_since

    @pytest.mark.parametrize(("told", "channel"), [(7, 7), ("7", 7), (None, None), ("x", None)])
    def test_have_a_channel_where_it_can_be_read(self, told: object, channel: int | None) -> None:
        assert listed({**WAITING, "channel_id": told})[0].channel_id == channel

    def test_of_a_single_read_may_lack_their_id(self) -> None:
        row = {"is_resolved": False, "is_waiting": True}

        room = wire.single_room({"data": {"customer_room": row}}, ROOM)

        assert room == PlatformRoom(room_id=ROOM, state=RoomState.WAITING)

    def test_of_a_single_read_must_be_the_one_that_was_asked_for(self) -> None:
        assert_unreadable(
            lambda: wire.single_room({"data": {"customer_room": WAITING}}, RoomId("1"))
        )


ODD_IDS = ["", f" {ROOM} ", f"0{ROOM}", False, True, [], {"id": 1}, 1e300, "x" * 65]
"""What is no other room's id."""


class TestAssignments:
    @pytest.mark.parametrize(
        ("data", "agent_id"),
        [
            ({"service": {"user_id": 7}, "added_agent": {"id": 8}}, 7),
            ({"service": {"user_id": "7"}}, 7),
            ({"service": {"user_id": None}, "added_agent": {"id": 8}}, 8),
            ({"service": None, "added_agent": {"id": "8"}}, 8),
            ({"added_agent": {}}, None),
            ({"service": {"room_id": ROOM, "user_id": 7}}, 7),
            ({"service": {"room_id": int(ROOM), "user_id": 7}}, 7),
            ({"service": {"room_id": float(ROOM), "user_id": 7}}, 7),
            ({"service": {"room_id": None}, "added_agent": None}, None),
            *(({"service": {"room_id": each, "user_id": 7}}, 7) for each in ODD_IDS),
            ({}, None),
            ({"agent": {"id": 7}}, None),
            ({"added_agents": [{"id": 7}]}, None),
            ({"service": {"user_id": 7}, "user": {}, "app": {}}, 7),
        ],
    )
    def test_name_whom_the_service_names_else_whom_was_added(
        self, data: Any, agent_id: int | None
    ) -> None:
        assert wire.assign_answer({"data": data}, ROOM).agent_id == agent_id

    @pytest.mark.parametrize("room_id", ["1", 1, 1.0, f"{ROOM}0", "other"])
    def test_of_another_room_are_somebody_else_s(self, room_id: object) -> None:
        data = {"service": {"room_id": room_id, "user_id": 7}, "added_agent": {"id": 7}}

        assert_unreadable(lambda: wire.assign_answer({"data": data}, ROOM))

    @pytest.mark.parametrize(
        "data",
        [
            {"agents": [AGENT]},
            {"customer_rooms": []},
            {"customer_room": WAITING},
            {"user": {"app": {}}},
            {"app": {}},
            {"app_code": "demo"},
        ],
    )
    def test_that_tell_of_no_assignment_are_somebody_else_s(self, data: object) -> None:
        assert_unreadable(lambda: wire.assign_answer({"data": data}, ROOM))

    @pytest.mark.parametrize("data", [None, [], "ok", 1])
    def test_need_an_object(self, data: object) -> None:
        assert_unreadable(lambda: wire.assign_answer({"data": data}, ROOM))


class TestAccounts:
    @pytest.mark.parametrize(
        "data",
        [
            {"app_code": "demo"},
            {"app": {"app_code": "demo"}},
            {"user": {"app_code": "demo"}},
            {"user": {"app": {"app_code": "demo"}}},
        ],
    )
    def test_tell_their_app_code_where_it_stands(self, data: Any) -> None:
        assert wire.account({"data": data}).app_code == "demo"

    @pytest.mark.parametrize("answer", [{}, {"data": None}, {"data": {"app": []}}])
    def test_need_not_tell_it(self, answer: Any) -> None:
        assert wire.account(answer).app_code is None


class TestTokens:
    @pytest.mark.parametrize("token", ["line\nbreak", "with space", "häßlich", "", None, 7])
    def test_that_fit_into_no_header_are_none(self, token: object) -> None:
        assert wire.login_token({"data": {"user": {"authentication_token": token}}}) is None

    def test_are_the_user_s(self) -> None:
        assert wire.login_token({"data": {"user": {"authentication_token": "T"}}}) == "T"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)
FIELDS = st.sampled_from(
    [
        "id",
        "room_id",
        "type",
        "is_available",
        "is_resolved",
        "is_waiting",
        "user_channels",
        "current_customer_count",
        "last_customer_timestamp",
        "channel_id",
        "name",
        "user_id",
        "app_code",
    ]
)
ROWS = st.lists(st.dictionaries(FIELDS, JSON, max_size=6) | JSON, max_size=3)
DATA = (
    ROWS
    | JSON
    | st.dictionaries(
        st.sampled_from(
            ["agents", "customer_rooms", "customer_room", "service", "added_agent", "meta"]
        ),
        ROWS | st.dictionaries(FIELDS, JSON),
    )
)
ANSWERS = st.fixed_dictionaries({"data": DATA}, optional={"meta": JSON})


@given(ANSWERS)
def test_whatever_comes_is_read_or_unreadable_and_its_texts_can_be_stored(answer: Any) -> None:
    readers: list[Callable[[], object]] = [
        lambda: [kept(each.name) for each in presences(wire.agents_page(answered(answer), NOON))],
        lambda: [texts(room) for room in wire.rooms_page(answered(answer)).items.values() if room],
        lambda: texts(wire.single_room(answer, ROOM)),
        lambda: wire.assign_answer(answer, ROOM),
        lambda: kept(wire.account(answer).app_code),
        lambda: kept(wire.login_token(answer)),
    ]
    for read in readers:
        with suppress(PlatformUnavailable):
            read()


def test_only_what_is_needed_is_taken_along() -> None:
    row = {**AGENT, "authentication_token": "TOKEN", "email": "ada@example.test", "sdk_key": "KEY"}

    shown = json.dumps(repr(presence(row)))

    assert not any(secret in shown for secret in ("TOKEN", "ada@example.test", "KEY"))


def texts(room: PlatformRoom) -> bytes:
    return kept(room.room_id) + kept(room.source)


def kept(text: str | None) -> bytes:
    """The text as a store would keep it; raises where none could."""
    assert text is None or "\x00" not in text
    return (text or "").encode()


class NeverUsual:
    """A decoder to which no page is of the usual shape."""

    def decode(self, body: bytes) -> Any:
        raise ValueError


def answered(answer: object) -> ApiResponse:
    return a_body(json.dumps(answer).encode())


def a_body(body: bytes) -> ApiResponse:
    return ApiResponse(200, {}, body)


def agents(*rows: Any) -> wire.DecodedPage[Presence]:
    return wire.agents_page(answered({"data": {"agents": list(rows)}}), NOON)


def presences(page: wire.DecodedPage[Presence]) -> list[Presence]:
    return [item for item in page.items.values() if item is not None]


def presence(row: Any) -> Presence:
    return presences(agents(row))[0]


def listed(*rows: Any) -> list[PlatformRoom]:
    page = wire.rooms_page(answered({"data": {"customer_rooms": list(rows)}}))
    return [item for item in page.items.values() if item is not None]


def assert_unreadable(read: Any) -> None:
    with pytest.raises(PlatformUnavailable) as unavailable:
        read()
    assert unavailable.value.fault is Fault.UNREADABLE
