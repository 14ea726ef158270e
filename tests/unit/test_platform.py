"""The platform's state machine: what it does, what it tells, and what it hides."""

import json
import random
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from sebastian_adapters.memory.platform import (
    Assigned,
    Channel,
    FakeAgentView,
    Platform,
    Refusal,
    Resolved,
    RoomFilter,
    Switches,
    Truth,
    perfect_mean_wait_seconds,
)
from sebastian_adapters.memory.platform.values import ADMIN, AGENT
from tests.payload_shapes import a_payload, differences

ROOM = "273683234"
UNSERVED = RoomFilter(status="unresolved", serve_status="unserved")
NIGHT_CHANNEL = Channel(id=7, name="Night", source="wa")


class Clock:
    """Seconds that only move when a test says so."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds

    def tick(self, seconds: float) -> None:
        self.seconds += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def platform(clock: Clock) -> Platform:
    return a_platform(clock)


def a_platform(clock: Clock, **switches: Any) -> Platform:
    return Platform(clock=clock, rng=random.Random(1), switches=Switches(**switches))


def switch(platform: Platform, **switches: Any) -> None:
    platform.switches = evolve(platform.switches, **switches)


def a_served_room(platform: Platform, agent_id: int, room_id: str = ROOM) -> str:
    platform.customer_message(room_id)
    assert isinstance(platform.assign(room_id, agent_id, max_agent=1), Assigned)
    return room_id


def rooms_of(platform: Platform, wanted: RoomFilter) -> list[str]:
    return [room.room_id for room in platform.rooms(wanted).items]


def an_agent_of(platform: Platform) -> FakeAgentView:
    """The first in the list who is no admin."""
    return next(each for each in platform.agents().items if each.type == AGENT)


def count_of(platform: Platform, agent_id: int) -> int | None:
    return next(a.customer_count for a in platform.agents(limit=100).items if a.id == agent_id)


class TestTheAllocationWebhook:
    def test_is_fired_by_the_first_message_and_says_that_a_session_begins(
        self, platform: Platform
    ) -> None:
        body = platform.customer_message(ROOM)

        assert body is not None
        assert body["room_id"] == ROOM
        assert body["is_new_session"] is True
        assert body["latest_service"] is None

    def test_repeats_on_each_message_while_the_room_has_no_agent(self, platform: Platform) -> None:
        platform.customer_message(ROOM)

        repeat = platform.customer_message(ROOM)

        assert repeat is not None
        assert repeat["is_new_session"] is False

    def test_stops_once_an_agent_is_in_the_room(self, platform: Platform) -> None:
        a_served_room(platform, platform.add_agent())

        assert platform.customer_message(ROOM) is None

    def test_fires_again_for_the_same_room_after_a_resolve_with_the_resolved_service(
        self, platform: Platform
    ) -> None:
        a_served_room(platform, platform.add_agent())
        resolved = platform.mark_as_resolved(ROOM)
        assert isinstance(resolved, Resolved)

        body = platform.customer_message(ROOM)

        assert body is not None
        assert body["is_resolved"] is True
        assert body["latest_service"]["id"] == resolved.service_id
        assert body["latest_service"]["is_resolved"] is True

    def test_has_no_latest_service_where_the_account_never_shows_one(
        self, platform: Platform
    ) -> None:
        switch(platform, latest_service="always_null")
        a_served_room(platform, platform.add_agent())
        platform.mark_as_resolved(ROOM)

        body = platform.customer_message(ROOM)

        assert body is not None
        assert body["latest_service"] is None

    def test_shows_the_open_service_where_the_account_does_so(self, platform: Platform) -> None:
        switch(platform, latest_service="shows_open")

        body = platform.customer_message(ROOM)

        assert body is not None
        assert body["latest_service"]["id"] == platform.open_service_id(ROOM)
        assert body["latest_service"]["is_resolved"] is False

    @pytest.mark.parametrize(
        ("switches", "payload"),
        [
            ({"webhook_shape": "old"}, "caa-03-live2024-null-candidate"),
            ({"webhook_shape": "new"}, "caa-06-channel-object"),
            ({"extras_null": True}, "caa-06-channel-object"),
        ],
    )
    def test_has_the_keys_and_types_of_the_example(
        self, platform: Platform, switches: dict[str, Any], payload: str
    ) -> None:
        switch(platform, **switches)
        platform.add_agent()

        body = platform.customer_message(ROOM)

        assert body is not None
        assert differences(body, a_payload(payload)) == []

    def test_carries_a_latest_service_with_the_keys_of_the_example(
        self, platform: Platform
    ) -> None:
        a_served_room(platform, platform.add_agent())
        platform.mark_as_resolved(ROOM)

        body = platform.customer_message(ROOM)

        assert body is not None
        example = a_payload("caa-01-docs2019-full")["latest_service"]
        assert differences(body["latest_service"], example) == []

    def test_can_have_no_extras_and_suggest_nobody(self, platform: Platform) -> None:
        switch(platform, extras_null=True, candidate_agent=False)
        platform.add_agent()

        body = platform.customer_message(ROOM)

        assert body is not None
        assert (body["extras"], body["candidate_agent"]) == (None, None)

    def test_suggests_an_agent_as_2019_did_where_its_shape_is_old(self, platform: Platform) -> None:
        switch(platform, webhook_shape="old")
        platform.add_agent()

        body = platform.customer_message(ROOM)

        assert body is not None
        example = a_payload("caa-01-docs2019-full")["candidate_agent"]
        assert differences(body["candidate_agent"], example) == []

    def test_carries_what_is_known_of_the_customer(self, platform: Platform) -> None:
        body = platform.customer_message(
            ROOM, channel=NIGHT_CHANNEL, name="Ani", properties=(("tier", "vip"),)
        )

        assert body is not None
        extras, example = body["extras"], a_payload("caa-07-vip-user-properties")["extras"]
        assert json.loads(extras)["user_properties"] == [{"key": "tier", "value": "vip"}]
        assert differences(json.loads(extras), json.loads(example)) == []
        assert (body["name"], body["source"]) == ("Ani", "wa")


class TestAssigning:
    def test_can_give_a_room_to_an_agent_who_is_offline_and_busy(self, platform: Platform) -> None:
        agent = platform.add_agent(online=False)

        for room_id in ("1", "2", "3"):
            a_served_room(platform, agent, room_id)

        assert platform.load(agent) == 3

    def test_cannot_put_a_second_agent_into_a_room_that_may_hold_one(
        self, platform: Platform
    ) -> None:
        first, second = platform.add_agent(), platform.add_agent()
        a_served_room(platform, first)

        answer = platform.assign(ROOM, second, max_agent=1)

        assert isinstance(answer, Refusal)
        assert answer.status == 400
        assert platform.agents_in(ROOM) == (first,)

    def test_can_put_a_second_agent_into_a_room_without_a_limit(self, platform: Platform) -> None:
        first, second = platform.add_agent(), platform.add_agent()
        a_served_room(platform, first)

        platform.assign(ROOM, second)

        assert platform.agents_in(ROOM) == (first, second)

    def test_can_replace_the_latest_agent_of_a_full_room(self, platform: Platform) -> None:
        first, second = platform.add_agent(), platform.add_agent()
        a_served_room(platform, first)

        platform.assign(ROOM, second, max_agent=1, replace_latest_agent=True)

        assert platform.agents_in(ROOM) == (second,)
        assert (platform.load(first), platform.load(second)) == (0, 1)

    @pytest.mark.parametrize("status", [200, 400])
    def test_of_the_same_agent_twice_answers_as_switched_and_changes_nothing(
        self, platform: Platform, status: int
    ) -> None:
        switch(platform, same_agent_twice=status)
        agent = platform.add_agent()
        a_served_room(platform, agent)

        answer = platform.assign(ROOM, agent, max_agent=1)

        assert isinstance(answer, Assigned if status == 200 else Refusal)
        assert platform.load(agent) == 1

    @pytest.mark.parametrize("status", [200, 400])
    def test_of_a_resolved_room_answers_as_switched_and_changes_nothing(
        self, platform: Platform, status: int
    ) -> None:
        switch(platform, assign_resolved_room=status)
        agent = platform.add_agent()
        a_served_room(platform, agent)
        platform.mark_as_resolved(ROOM)

        answer = platform.assign(ROOM, agent, max_agent=1)

        assert isinstance(answer, Assigned if status == 200 else Refusal)
        assert platform.load(agent) == 0
        assert platform.is_resolved(ROOM)

    @pytest.mark.parametrize(("room_id", "agent_id"), [("404", 160001), (ROOM, 404)])
    def test_of_an_unknown_room_or_agent_is_refused(
        self, platform: Platform, room_id: str, agent_id: int
    ) -> None:
        platform.add_agent(agent_id=160001)
        platform.customer_message(ROOM)

        assert isinstance(platform.assign(room_id, agent_id), Refusal)

    def test_answers_with_the_keys_of_the_example(self, platform: Platform) -> None:
        agent = platform.add_agent()
        platform.customer_message(ROOM)
        answer = platform.assign(ROOM, agent)
        assert isinstance(answer, Assigned)

        alone = platform.bodies.agents.assignment(answer, with_service=False, with_details=False)
        both = platform.bodies.agents.assignment(answer, with_service=True, with_details=False)
        newer = platform.bodies.agents.assignment(answer, with_service=False, with_details=True)

        added = newer["data"]["added_agent"].keys() - alone["data"]["added_agent"].keys()
        assert added == {"force_offline", "last_login", "direct_login_token", "deleted_at"}
        assert differences(alone, a_payload("assign-agent-01-docs")) == []
        assert both["data"]["service"]["user_id"] == agent
        assert both["data"]["service"]["room_id"] == ROOM


class TestPeopleAtTheDashboard:
    def test_can_take_a_waiting_room_by_hand(self, platform: Platform) -> None:
        agent = platform.add_agent()
        platform.customer_message(ROOM)

        platform.assign_by_hand(ROOM, agent)

        assert [event.by for event in platform.log if event.kind == "assigned"] == ["person"]

    def test_can_hand_a_room_over(self, platform: Platform) -> None:
        first, second = platform.add_agent(), platform.add_agent()
        a_served_room(platform, first)

        platform.move(ROOM, first, second)

        assert platform.agents_in(ROOM) == (second,)
        assert platform.rooms_of(first) == []

    def test_cannot_hand_over_a_room_that_the_agent_does_not_have(self, platform: Platform) -> None:
        first, second = platform.add_agent(), platform.add_agent()
        platform.customer_message(ROOM)

        assert isinstance(platform.move(ROOM, first, second), Refusal)

    def test_make_a_room_wait_again_when_its_only_agent_is_removed(
        self, platform: Platform
    ) -> None:
        agent = platform.add_agent()
        a_served_room(platform, agent)

        platform.remove_agent(ROOM, agent)

        assert platform.waiting_rooms() == [ROOM]
        assert platform.customer_message(ROOM) is not None

    def test_make_rooms_wait_again_when_their_agent_is_deleted(self, platform: Platform) -> None:
        agent = platform.add_agent(email="one@example.test")
        a_served_room(platform, agent)

        platform.delete_agent(agent)

        assert platform.waiting_rooms() == [ROOM]
        assert platform.add_agent(email="one@example.test") != agent


class TestResolving:
    def test_frees_the_agent_and_names_the_service_that_ended(self, platform: Platform) -> None:
        agent = platform.add_agent()
        a_served_room(platform, agent)
        service_id = platform.open_service_id(ROOM)

        resolved = platform.mark_as_resolved(ROOM)

        assert isinstance(resolved, Resolved)
        assert resolved.webhook["service"]["id"] == service_id
        assert platform.load(agent) == 0

    def test_names_who_resolved_which_need_not_be_who_served(self, platform: Platform) -> None:
        a_served_room(platform, platform.add_agent())

        resolved = platform.mark_as_resolved(ROOM, notes="done")

        assert isinstance(resolved, Resolved)
        assert resolved.webhook["resolved_by"]["type"] == "admin"

    def test_by_api_need_not_name_anybody(self, platform: Platform) -> None:
        switch(platform, resolver_named=False)
        agent = platform.add_agent()
        a_served_room(platform, agent)
        by_api = platform.mark_as_resolved(ROOM)
        platform.customer_message(ROOM)

        by_agent = platform.mark_as_resolved(ROOM, by=agent, actor="agent")

        assert isinstance(by_api, Resolved)
        assert isinstance(by_agent, Resolved)
        assert "resolved_by" not in by_api.webhook
        assert by_agent.webhook["resolved_by"]["id"] == agent

    def test_can_tell_its_last_comment_as_a_number_and_its_moments_as_text(
        self, platform: Platform
    ) -> None:
        switch(platform, last_comment_id="number", resolve_dates="text", webhook_shape="old")
        a_served_room(platform, platform.add_agent())

        resolved = platform.mark_as_resolved(ROOM)

        assert isinstance(resolved, Resolved)
        example = a_payload("resolved-01-docs2019-min")["service"]["last_comment_id"]
        assert type(resolved.webhook["service"]["last_comment_id"]) is type(example) is int
        service = resolved.answer["data"]["service"]
        assert service["resolved_at"] == service["retrieved_at"] == "2025-06-22 00:16:40"

    def test_is_refused_when_there_is_nothing_to_resolve(self, platform: Platform) -> None:
        assert isinstance(platform.mark_as_resolved(ROOM), Refusal)

    def test_gives_each_later_service_of_a_room_a_higher_id(self, platform: Platform) -> None:
        ids = []
        for _ in range(3):
            platform.customer_message(ROOM)
            resolved = platform.mark_as_resolved(ROOM)
            assert isinstance(resolved, Resolved)
            ids.append(resolved.service_id)

        assert ids == sorted(set(ids))

    @pytest.mark.parametrize(
        ("webhook_shape", "payload"),
        [("old", "resolved-02-live2024-admin"), ("new", "resolved-04-new-shape-channel")],
    )
    def test_posts_the_keys_and_types_of_the_example(
        self, platform: Platform, webhook_shape: str, payload: str
    ) -> None:
        switch(platform, webhook_shape=webhook_shape)
        a_served_room(platform, platform.add_agent())

        resolved = platform.mark_as_resolved(ROOM)

        assert isinstance(resolved, Resolved)
        assert differences(resolved.webhook, a_payload(payload)) == []

    def test_answers_with_the_keys_of_the_example(self, platform: Platform) -> None:
        a_served_room(platform, platform.add_agent())

        resolved = platform.mark_as_resolved(ROOM, notes="done")

        assert isinstance(resolved, Resolved)
        assert differences(resolved.answer, a_payload("mark-as-resolved-01-objdates")) == []


class TestListsOfAgents:
    def test_show_one_agent_with_the_keys_and_types_of_the_example(
        self, platform: Platform
    ) -> None:
        platform.add_agent()

        body = platform.bodies.agents.listed(an_agent_of(platform))

        assert differences(body, a_payload("agents-v2-01-meta-top")["data"]["agents"][0]) == []
        assert differences(body, a_payload("available-agents-01-v2")["data"]["agents"][0]) == []

    def test_by_ids_show_one_agent_with_the_keys_and_types_of_the_example(
        self, platform: Platform
    ) -> None:
        agent = platform.add_agent()

        body = platform.bodies.agents.full(platform.agents_by_ids((agent, 404))[0])

        assert differences(body, a_payload("agents-by-ids-01")["data"][0]) == []

    def test_hold_everybody_once_over_pages_by_number(self, platform: Platform) -> None:
        everybody = [platform.account.admin_id, *(platform.add_agent() for _ in range(25))]

        pages = [platform.agents(page=number, limit=10) for number in (1, 2, 3, 4)]

        assert [agent.id for page in pages for agent in page.items] == everybody
        assert pages[3].items == ()
        assert pages[0].total_count == 26

    def test_hold_everybody_once_over_pages_by_cursor(self, platform: Platform) -> None:
        switch(platform, agents_paging="cursor")
        everybody = [platform.account.admin_id, *(platform.add_agent() for _ in range(25))]

        assert [agent.id for agent in all_pages(platform)] == everybody

    def test_are_never_longer_than_the_platform_likes(self, platform: Platform) -> None:
        switch(platform, page_size_limit=3)
        for _ in range(5):
            platform.add_agent()

        assert len(platform.agents(limit=1000).items) == 3

    def test_do_not_take_a_cursor_that_they_did_not_give(self, platform: Platform) -> None:
        switch(platform, agents_paging="cursor")

        with pytest.raises(ValueError, match="not a cursor"):
            platform.agents(cursor_after="banana")

    def test_show_counts_as_old_as_the_lag_while_by_ids_is_fresh(
        self, platform: Platform, clock: Clock
    ) -> None:
        switch(platform, counts_lag_seconds=0.5)
        agent = platform.add_agent()
        clock.tick(10)
        a_served_room(platform, agent)

        clock.tick(0.4)
        early = count_of(platform, agent)
        clock.tick(0.1)

        assert (early, count_of(platform, agent)) == (0, 1)
        platform.mark_as_resolved(ROOM)
        assert count_of(platform, agent) == 1
        assert platform.agents_by_ids((agent,))[0].customer_count == 0

    def test_leave_the_counts_out_where_the_account_does_so(self, platform: Platform) -> None:
        switch(platform, counts_absent=True)
        platform.add_agent()

        body = platform.bodies.agents.listed(an_agent_of(platform))

        assert "current_customer_count" not in body

    def test_show_an_agent_forced_offline_as_such_and_presence_is_never_late(
        self, platform: Platform
    ) -> None:
        switch(platform, counts_lag_seconds=60)
        agent = platform.add_agent()

        platform.set_online(agent, force_offline=True)

        listed = an_agent_of(platform)
        assert (listed.is_available, listed.force_offline) == (True, True)
        assert not platform.is_online(agent)

    def test_for_a_room_hold_who_serves_its_channel_online_or_not(self, platform: Platform) -> None:
        day = platform.add_agent(online=False)
        night = platform.add_agent(channels=(NIGHT_CHANNEL,))
        anything = platform.add_agent(channels=())
        platform.customer_message(ROOM)
        platform.customer_message("2", channel=NIGHT_CHANNEL)

        by_day, by_night = platform.available_agents(ROOM), platform.available_agents("2")

        assert not isinstance(by_day, Refusal)
        assert not isinstance(by_night, Refusal)
        assert [agent.id for agent in by_day.items] == [day, anything]
        assert [agent.id for agent in by_night.items] == [night, anything]

    def test_for_a_room_are_paged_by_cursor(self, platform: Platform) -> None:
        everybody = [platform.add_agent() for _ in range(7)]
        platform.customer_message(ROOM)

        first = platform.available_agents(ROOM, limit=4)
        assert not isinstance(first, Refusal)
        second = platform.available_agents(ROOM, limit=4, cursor_after=first.after)

        assert not isinstance(second, Refusal)
        assert [agent.id for agent in (*first.items, *second.items)] == everybody
        assert second.after is None

    def test_suggest_a_candidate_who_is_online_and_serves_the_channel(
        self, platform: Platform
    ) -> None:
        switch(platform, candidate_agent=True)
        platform.add_agent(online=False)
        platform.add_agent(channels=(NIGHT_CHANNEL,))

        nobody = platform.customer_message(ROOM)
        platform.set_online(160001, online=True)
        somebody = platform.customer_message(ROOM)

        assert nobody is not None
        assert somebody is not None
        assert nobody["candidate_agent"] is None
        assert somebody["candidate_agent"]["id"] == 160001


class TestListsOfRooms:
    def test_show_one_room_with_the_keys_and_types_of_the_examples(
        self, platform: Platform
    ) -> None:
        platform.customer_message(ROOM)
        room = platform.room(ROOM)
        assert room is not None

        detail = platform.bodies.room_detail(room)

        example = a_payload("customer-room-get-01")
        assert differences(detail["data"]["customer_room"], example["data"]["customer_room"]) == []
        example = a_payload("customer-rooms-list-01-unserved")["data"]["customer_rooms"][0]
        assert differences(platform.bodies.room(room), example) == []

    def test_are_newest_first_over_all_pages(self, platform: Platform, clock: Clock) -> None:
        room_ids = [platform.new_room_id() for _ in range(120)]
        for room_id in room_ids:
            clock.tick(1)
            platform.customer_message(room_id)
        platform.customer_message(room_ids[0])

        first = platform.rooms(UNSERVED)
        second = platform.rooms(UNSERVED, cursor_after=first.after)
        third = platform.rooms(UNSERVED, cursor_after=second.after)

        listed = [room.room_id for page in (first, second, third) for room in page.items]
        assert listed == [room_ids[0], *room_ids[:0:-1]]
        assert third.after is None

    def test_show_rooms_as_they_were_before_the_lag(self, platform: Platform, clock: Clock) -> None:
        switch(platform, rooms_lag_seconds=2.0, unclean_rows=0)
        platform.customer_message(ROOM)

        fresh = (rooms_of(platform, UNSERVED), platform.room(ROOM))
        clock.tick(2)
        settled = rooms_of(platform, UNSERVED)
        platform.assign(ROOM, platform.add_agent())
        after_assignment = rooms_of(platform, UNSERVED)
        clock.tick(2)

        assert fresh == ([], None)
        assert settled == [ROOM]
        assert after_assignment == [ROOM]
        assert rooms_of(platform, UNSERVED) == []

    def test_by_agent_hold_the_rooms_of_that_agent(self, platform: Platform) -> None:
        first, second = platform.add_agent(), platform.add_agent()
        a_served_room(platform, first, "1")
        a_served_room(platform, second, "2")
        platform.customer_message("3")

        wanted = RoomFilter(status="unresolved", serve_status="served", user_ids=(first,))

        assert rooms_of(platform, wanted) == ["1"]

    def test_by_agent_show_a_room_that_was_handed_over_until_the_lag_is_past(
        self, platform: Platform, clock: Clock
    ) -> None:
        switch(platform, rooms_lag_seconds=1.0)
        first, second = platform.add_agent(), platform.add_agent()
        a_served_room(platform, first, "1")
        clock.tick(5)
        platform.move("1", first, second)
        wanted = RoomFilter(status="unresolved", serve_status="served", user_ids=(first,))

        before = rooms_of(platform, wanted)
        clock.tick(1)

        assert before == ["1"]
        assert rooms_of(platform, wanted) == []

    def test_by_agent_hold_everything_where_the_filter_is_not_honoured(
        self, platform: Platform
    ) -> None:
        switch(platform, user_ids_honoured=False)
        a_served_room(platform, platform.add_agent(), "1")

        impossible = RoomFilter(status="unresolved", serve_status="served", user_ids=(-1,))

        assert rooms_of(platform, impossible) == ["1"]

    def test_of_unserved_rooms_forget_those_that_do_not_belong_after_a_while(
        self, platform: Platform, clock: Clock
    ) -> None:
        agent = platform.add_agent()
        for room_id in ("1", "2", "3"):
            a_served_room(platform, agent, room_id)

        at_once = rooms_of(platform, UNSERVED)
        clock.tick(3.1)

        assert at_once == ["3", "2"]
        assert rooms_of(platform, UNSERVED) == []

    def test_of_unserved_rooms_hold_some_that_do_not_belong_unless_switched_off(
        self, platform: Platform
    ) -> None:
        agent = platform.add_agent()
        a_served_room(platform, agent, "served too")
        a_served_room(platform, agent, "served")
        a_served_room(platform, agent, "resolved")
        platform.mark_as_resolved("resolved")
        platform.customer_message("waiting")

        unclean = platform.rooms(UNSERVED).items
        switch(platform, unclean_rows=0)

        assert {(room.room_id, room.is_waiting, room.is_resolved) for room in unclean} == {
            ("waiting", True, False),
            ("served", False, False),
            ("resolved", False, True),
        }
        assert rooms_of(platform, UNSERVED) == ["waiting"]

    def test_can_be_asked_for_resolved_rooms_and_for_all(self, platform: Platform) -> None:
        platform.customer_message("1")
        platform.customer_message("2")
        platform.mark_as_resolved("1")

        assert rooms_of(platform, RoomFilter(status="resolved")) == ["1"]
        assert rooms_of(platform, RoomFilter()) == ["2", "1"]
        assert rooms_of(platform, RoomFilter(status="expired")) == []

    def test_can_be_asked_for_a_channel(self, platform: Platform) -> None:
        platform.customer_message("1")
        platform.customer_message("2", channel=NIGHT_CHANNEL)

        assert rooms_of(platform, RoomFilter(channel_ids=(7,))) == ["2"]

    def test_show_a_room_before_its_first_message_as_one_that_says_nothing_yet(
        self, platform: Platform
    ) -> None:
        platform.open_room(ROOM)

        room = platform.room(ROOM)
        assert room is not None
        told = platform.bodies.room_detail(room)["data"]["customer_room"]
        platform.customer_message(ROOM)
        after = platform.room(ROOM)

        assert (told["is_resolved"], told["is_waiting"]) == (False, None)
        assert (told["last_customer_timestamp"], told["last_comment_text"]) == (None, None)
        assert rooms_of(platform, UNSERVED) == [ROOM]
        assert after is not None
        assert after.is_waiting is True


class TestTheApp:
    def test_logs_the_admin_in_with_the_keys_of_the_example(self, platform: Platform) -> None:
        body = platform.login("admin@example.test", "FAKE_PASSWORD")

        assert not isinstance(body, Refusal)
        example = a_payload("auth-01")
        assert differences(body["data"]["user"], example["data"]["user"]) == []
        user = platform.user_of(body["data"]["user"]["authentication_token"])
        assert user is not None
        assert user.type == ADMIN

    def test_can_answer_a_login_with_what_newer_accounts_have(self, platform: Platform) -> None:
        switch(platform, login_details=True)

        body = platform.login("admin@example.test", "FAKE_PASSWORD")

        assert not isinstance(body, Refusal)
        user = body["data"]["user"]
        assert user["sdk_key"]
        assert (user["app"]["id"], user["app"]["name"]) == (77, "Demo")
        assert user["app"]["app_config"]["timezone"] == "+07:00"
        assert body["data"]["details"]["app"]["app_code"] == user["app"]["app_code"]

    def test_lets_an_agent_in_who_is_online_from_then_on(self, platform: Platform) -> None:
        agent = platform.add_agent(email="anne@example.test", online=False)

        body = platform.login("anne@example.test", "FAKE_AGENT_PASSWORD")

        assert not isinstance(body, Refusal)
        assert platform.is_online(agent)
        assert "secret_key" not in body["data"]["user"]["app"]

    def test_cannot_be_entered_with_a_wrong_password(self, platform: Platform) -> None:
        assert isinstance(platform.login("admin@example.test", "wrong"), Refusal)

    def test_registers_webhooks_and_answers_with_the_keys_of_the_example(
        self, platform: Platform
    ) -> None:
        body = platform.app.set_webhook("resolved", "http://localhost/x", is_enabled=True)

        assert differences(body["data"], a_payload("set-webhook-01")["data"]) == []
        assert platform.app.webhook_url("resolved") == "http://localhost/x"
        assert platform.app.webhook_url("allocation") is None

    def test_reads_its_webhooks_back(self, platform: Platform) -> None:
        body = platform.app.webhook_configs()

        assert differences(body, a_payload("webhook-config-01")) == []
        assert len(body["data"]["webhook_configs"]) == 2


class TestTheTruth:
    def test_knows_loads_and_presence_of_every_moment(
        self, platform: Platform, clock: Clock
    ) -> None:
        agent = platform.add_agent()
        clock.tick(1)
        a_served_room(platform, agent)
        clock.tick(1)
        platform.set_online(agent, online=False)
        platform.mark_as_resolved(ROOM)

        truth = Truth.of(platform.log)

        assert [truth.load_at(agent, at) for at in (1000, 1001, 1001.9, 1002)] == [0, 1, 1, 0]
        assert [truth.is_online_at(agent, at) for at in (999, 1000, 1002)] == [False, True, False]
        assert truth.servers_at(ROOM, 1001.5) == (agent,)
        assert truth.servers_at(ROOM, 1002) == ()

    def test_knows_who_waited_and_for_how_long(self, platform: Platform, clock: Clock) -> None:
        platform.customer_message(ROOM)
        clock.tick(3)
        platform.assign(ROOM, platform.add_agent())

        truth = Truth.of(platform.log)

        assert [service.room_id for service in truth.waiting_at(1002)] == [ROOM]
        assert truth.waiting_at(1003) == []
        assert truth.mean_wait_seconds() == 3

    def test_remembers_what_was_refused_and_what_had_no_effect(self, platform: Platform) -> None:
        agent = platform.add_agent()
        a_served_room(platform, agent)
        platform.assign(ROOM, agent, max_agent=1)
        platform.assign(ROOM, platform.add_agent(), max_agent=1)

        truth = Truth.of(platform.log)

        assert [event.kind for event in truth.ineffective] == ["assigned_again"]
        assert len(truth.refused) == 1

    def test_of_a_perfect_allocator_is_zero_waiting_while_slots_are_free(self) -> None:
        assert perfect_mean_wait_seconds([(0, 1), (0, 1)], slots=2) == 0
        assert perfect_mean_wait_seconds([(0, 1), (0, 1), (0, 1)], slots=2) == pytest.approx(1 / 3)

    def test_a_limited_log_keeps_the_numbers_of_its_events(self, clock: Clock) -> None:
        platform = Platform(clock=clock, log_limit=3)
        for _ in range(3):
            platform.add_agent()

        assert len(platform.log) == 6
        assert [number for number, _ in platform.log.since(0)] == [3, 4, 5]
        assert [number for number, _ in platform.log.since(5)] == [5]
        assert platform.log.since(6) == []

    def test_observers_hear_every_event_until_they_stop(self, platform: Platform) -> None:
        heard: list[str] = []
        stop = platform.log.observe(lambda event: heard.append(event.kind))

        agent = platform.add_agent()
        stop()
        platform.set_online(agent, online=False)

        assert heard == ["agent_added", "online"]


def all_pages(platform: Platform) -> list[FakeAgentView]:
    page = platform.agents(limit=10)
    listed = list(page.items)
    while page.after:
        page = platform.agents(limit=10, cursor_after=page.after)
        listed += page.items
    return listed


STEPS = st.lists(st.tuples(st.integers(0, 8), st.integers(0, 4), st.integers(0, 3)), max_size=80)


def play(platform: Platform, clock: Clock, steps: list[tuple[int, int, int]]) -> None:
    """Do one thing after the other, sensible or not, with time passing in between."""
    for verb, room, agent in steps:
        clock.tick(0.25)
        room_id, agent_id = str(room), 160001 + agent
        match verb:
            case 0 | 1:
                platform.customer_message(room_id)
            case 2:
                platform.assign(room_id, agent_id, max_agent=1)
            case 3:
                platform.assign_by_hand(room_id, agent_id)
            case 4:
                platform.mark_as_resolved(room_id)
            case 5:
                platform.move(room_id, agent_id, 160001)
            case 6:
                platform.remove_agent(room_id, agent_id)
            case 7:
                platform.set_online(agent_id, online=bool(room % 2))
            case _:
                platform.assign(room_id, agent_id, max_agent=1, replace_latest_agent=True)


@given(steps=STEPS)
def test_the_truth_told_by_the_log_is_the_truth_of_the_platform(
    steps: list[tuple[int, int, int]],
) -> None:
    clock = Clock()
    platform = a_platform(clock)
    agents = [platform.add_agent() for _ in range(4)]

    play(platform, clock, steps)

    truth = Truth.of(platform.log)
    assert {agent: truth.load_at(agent, clock()) for agent in agents} == platform.loads()
    assert [a for a in agents if truth.is_online_at(a, clock())] == sorted(platform.online_agents())
    for room_id in map(str, range(5)):
        assert truth.servers_at(room_id, clock()) == platform.agents_in(room_id)


@given(steps=STEPS, lag=st.sampled_from([0.25, 1.0, 3.0]))
def test_a_lagging_answer_is_what_a_fresh_one_was_then(
    steps: list[tuple[int, int, int]], lag: float
) -> None:
    clock = Clock()
    platform = a_platform(clock, unclean_rows=0)
    agents = [platform.add_agent() for _ in range(4)]
    filters = [UNSERVED, RoomFilter(), RoomFilter(status="resolved")]
    filters += [RoomFilter(serve_status="served", user_ids=(each,)) for each in agents]
    half = len(steps) // 2
    play(platform, clock, steps[:half])
    then = ([platform.rooms(each) for each in filters], platform.agents().items)
    at = clock()

    play(platform, clock, [step for step in steps[half:] if step[0] != 7][: int(lag * 4)])
    clock.seconds = at + lag
    switch(platform, rooms_lag_seconds=lag, counts_lag_seconds=lag)

    assert [platform.rooms(each) for each in filters] == then[0]
    assert platform.agents().items == then[1]


@given(steps=STEPS)
def test_the_same_steps_make_the_same_platform(steps: list[tuple[int, int, int]]) -> None:
    logs = []
    for _ in range(2):
        clock = Clock()
        platform = a_platform(clock)
        for _ in range(4):
            platform.add_agent()
        play(platform, clock, steps)
        logs.append(list(platform.log))

    assert logs[0] == logs[1]


def test_an_account_drawn_from_the_same_seed_has_the_same_habits() -> None:
    drawn = [Switches.draw(random.Random(seed)) for seed in range(20)]

    assert drawn == [Switches.draw(random.Random(seed)) for seed in range(20)]
    assert {each.latest_service for each in drawn} == {"as_docs", "always_null", "shows_open"}
