"""What every Qiscus client promises."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta

import pytest

from sebastian_adapters.memory.platform import Channel, Platform, Switches
from sebastian_adapters.testing.waiting import until
from sebastian_core.domain.errors import PlatformRefused
from sebastian_core.domain.ids import AgentId, ChannelId, RoomId
from sebastian_core.domain.in_doubt import RoomState
from sebastian_core.domain.platform import PlatformRooms, Presences
from sebastian_core.domain.roster import Presence
from sebastian_core.ports.clock import Clock
from sebastian_core.ports.qiscus_client import QiscusClient

ADMIN, SUPERVISOR = 1, 3
NOBODY = AgentId(2**31 - 1)
LIVE_CHAT, PHONE = Channel(130821), Channel(7, "Phone", "wa")
Delay = Callable[[float], None]


class Pacer:
    """Counts how often it was awaited; can stop a listing from going on."""

    def __init__(self, at_most: int | None = None) -> None:
        self.awaited = 0
        self._at_most = at_most

    async def __call__(self) -> None:
        if self.awaited == self._at_most:
            raise Stopped
        self.awaited += 1


class Stopped(Exception):
    """What a pace raises that does not let a listing go on."""


class QiscusClientContract:
    """Inherit it and provide the fixtures `client`, `platform`, `clock` and `delay`.

    `platform` is the one that the client asks. After `delay(seconds)` every request takes so long.
    """

    async def test_lists_all_agents_with_presence_channels_and_counts(
        self, client: QiscusClient, platform: Platform
    ) -> None:
        busy = an_agent(platform, "Ada", channels=(LIVE_CHAT, PHONE))
        away = an_agent(platform, "Bob", online=False)
        platform.assign_by_hand(a_waiting_room(platform), busy)

        reading = await client.agents(Pacer())

        ada, bob = by_id(reading.seen)[busy], by_id(reading.seen)[away]
        assert (ada.name, ada.online, ada.count) == ("Ada", True, 1)
        assert ada.channels == {ChannelId(130821), ChannelId(7)}
        assert (bob.name, bob.online, bob.count) == ("Bob", False, 0)

    async def test_an_account_without_agents_has_an_empty_listing(
        self, client: QiscusClient
    ) -> None:
        reading = await client.agents(Pacer())

        assert reading.seen == ()

    async def test_an_agent_who_was_switched_off_is_not_online(
        self, client: QiscusClient, platform: Platform
    ) -> None:
        agent_id = an_agent(platform)
        platform.set_online(agent_id, force_offline=True)

        reading = await client.agents(Pacer())

        assert not by_id(reading.seen)[agent_id].online

    async def test_admins_and_supervisors_are_not_agents(
        self, client: QiscusClient, platform: Platform
    ) -> None:
        agent_id = an_agent(platform)
        platform.add_agent(type_=ADMIN)
        platform.add_agent(type_=SUPERVISOR)
        room_id = a_waiting_room(platform)

        listed = await client.agents(Pacer())
        eligible = await client.eligible_agents(room_id, NOBODY)

        assert set(by_id(listed.seen)) == set(by_id(eligible.seen)) == {agent_id}

    @pytest.mark.parametrize("paging", ["page", "cursor"])
    @pytest.mark.parametrize("place", ["top", "data"])
    async def test_a_listing_of_agents_goes_over_all_pages(
        self, client: QiscusClient, platform: Platform, paging: str, place: str
    ) -> None:
        platform.switches = Switches(
            agents_paging=paging,  # type: ignore[arg-type]
            meta_place=place,  # type: ignore[arg-type]
            page_size_limit=10,
        )
        agents = {an_agent(platform) for _ in range(25)}
        pacer = Pacer()

        reading = await client.agents(pacer)

        assert set(by_id(reading.seen)) == agents
        assert pacer.awaited == 3

    async def test_a_listing_of_exactly_one_page_needs_one_request(
        self, client: QiscusClient, platform: Platform
    ) -> None:
        platform.switches = Switches(page_size_limit=10)
        agents = {an_agent(platform) for _ in range(9)}  # the admin is the tenth in the list
        pacer = Pacer()

        reading = await client.agents(pacer)

        assert set(by_id(reading.seen)) == agents
        assert pacer.awaited == 1

    async def test_a_listing_that_cannot_go_on_raises_and_is_not_cut_short(
        self, client: QiscusClient, platform: Platform
    ) -> None:
        platform.switches = Switches(page_size_limit=10)
        for _ in range(25):
            an_agent(platform)

        with pytest.raises(Stopped):
            await client.agents(Pacer(at_most=2))

    async def test_readings_are_dated_by_the_moment_they_began(
        self, client: QiscusClient, platform: Platform, clock: Clock, delay: Delay
    ) -> None:
        an_agent(platform)
        room_id = a_waiting_room(platform)
        delay(0.03)
        before = clock.now()

        room = await client.room(room_id)
        agents = await client.agents(Pacer())

        assert before <= room.began_at <= clock.now() - timedelta(seconds=0.05)
        assert room.began_at + timedelta(seconds=0.025) <= agents.began_at <= clock.now()
        assert agents.seen[0].read_at == agents.began_at

    async def test_a_missing_count_is_told_as_missing(
        self, client: QiscusClient, platform: Platform
    ) -> None:
        platform.switches = Switches(counts_absent=True)
        an_agent(platform)

        reading = await client.agents(Pacer())

        assert reading.seen[0].count is None

    @pytest.mark.parametrize("shape", ["object", "array"])
    async def test_eligible_agents_are_those_of_the_room_s_channel_online_or_not(
        self, client: QiscusClient, platform: Platform, shape: str
    ) -> None:
        platform.switches = Switches(available_agents_shape=shape)  # type: ignore[arg-type]
        on_phone = an_agent(platform, channels=(PHONE,))
        away = an_agent(platform, channels=(PHONE,), online=False)
        an_agent(platform, channels=(LIVE_CHAT,))
        room_id = a_waiting_room(platform, channel=PHONE)

        reading = await client.eligible_agents(room_id, NOBODY)

        presences = by_id(reading.seen)
        assert {each: presences[each].online for each in presences} == {on_phone: True, away: False}

    async def test_a_reading_that_lacks_the_sought_agent_has_gone_over_all_pages(
        self, client: QiscusClient, platform: Platform
    ) -> None:
        platform.switches = Switches(page_size_limit=10)
        agents = {an_agent(platform) for _ in range(25)}

        reading = await client.eligible_agents(a_waiting_room(platform), NOBODY)

        assert set(by_id(reading.seen)) == agents

    async def test_a_reading_of_eligible_agents_ends_with_the_page_of_the_sought_one(
        self, client: QiscusClient, platform: Platform
    ) -> None:
        platform.switches = Switches(page_size_limit=10)
        agents = [an_agent(platform) for _ in range(35)]

        reading = await client.eligible_agents(a_waiting_room(platform), agents[14])

        assert set(by_id(reading.seen)) == set(agents[:20])

    async def test_an_admin_who_is_sought_is_not_found(
        self, client: QiscusClient, platform: Platform
    ) -> None:
        platform.switches = Switches(page_size_limit=10)
        admin = AgentId(platform.add_agent(type_=ADMIN))
        agents = {an_agent(platform) for _ in range(15)}

        reading = await client.eligible_agents(a_waiting_room(platform), admin)

        assert set(by_id(reading.seen)) == agents

    async def test_eligible_agents_of_an_unknown_room_are_refused(
        self, client: QiscusClient
    ) -> None:
        with pytest.raises(PlatformRefused, match="room not found"):
            await client.eligible_agents(RoomId("404"), NOBODY)

    @pytest.mark.parametrize("with_service", [True, False])
    async def test_assign_gives_the_room_to_the_agent_and_tells_whom_the_platform_names(
        self, client: QiscusClient, platform: Platform, with_service: bool
    ) -> None:
        platform.switches = Switches(assign_answers_service=with_service)
        agent_id, room_id = an_agent(platform), a_waiting_room(platform)

        answer = await client.assign(room_id, agent_id)

        assert answer.agent_id == agent_id
        assert platform.agents_in(room_id) == (agent_id,)

    async def test_assign_never_joins_or_replaces_somebody_who_has_the_room(
        self, client: QiscusClient, platform: Platform
    ) -> None:
        person, agent_id, room_id = an_agent(platform), an_agent(platform), a_waiting_room(platform)
        platform.assign_by_hand(room_id, person)

        with pytest.raises(PlatformRefused) as refused:
            await client.assign(room_id, agent_id)

        assert refused.value.status == 400
        assert not refused.value.about_credentials
        assert platform.agents_in(room_id) == (person,)

    async def test_of_twenty_agents_who_are_given_one_room_at_once_exactly_one_gets_it(
        self, client: QiscusClient, platform: Platform
    ) -> None:
        agents, room_id = [an_agent(platform) for _ in range(20)], a_waiting_room(platform)

        answers = await asyncio.gather(
            *(client.assign(room_id, each) for each in agents), return_exceptions=True
        )

        refusals = [each for each in answers if isinstance(each, PlatformRefused)]
        assert len(refusals) == 19
        assert len(platform.agents_in(room_id)) == 1

    async def test_assign_of_a_resolved_room_is_refused(
        self, client: QiscusClient, platform: Platform
    ) -> None:
        agent_id, room_id = an_agent(platform), a_waiting_room(platform)
        platform.mark_as_resolved(room_id)

        with pytest.raises(PlatformRefused, match="resolved"):
            await client.assign(room_id, agent_id)

    async def test_a_caller_who_is_gone_does_not_cut_off_the_call(
        self, client: QiscusClient, platform: Platform, delay: Delay
    ) -> None:
        agent_id, room_id = an_agent(platform), a_waiting_room(platform)
        delay(0.05)
        caller = asyncio.create_task(client.assign(room_id, agent_id))
        await asyncio.sleep(0)

        caller.cancel()

        with pytest.raises(asyncio.CancelledError):
            await caller
        await until(lambda: platform.agents_in(room_id) == (agent_id,))

    async def test_a_room_shows_where_it_stands(
        self, client: QiscusClient, platform: Platform
    ) -> None:
        agent_id, room_id = an_agent(platform), a_waiting_room(platform)

        waiting = await client.room(room_id)
        platform.assign_by_hand(room_id, agent_id)
        served = await client.room(room_id)
        platform.mark_as_resolved(room_id)
        resolved = await client.room(room_id)
        platform.customer_message(room_id)
        again = await client.room(room_id)

        states = [reading.seen.state for reading in (waiting, served, resolved, again)]
        assert states == [
            RoomState.WAITING,
            RoomState.SERVED,
            RoomState.RESOLVED,
            RoomState.WAITING,
        ]

    async def test_a_room_that_the_platform_does_not_know_is_gone(
        self, client: QiscusClient
    ) -> None:
        reading = await client.room(RoomId("404"))

        assert (reading.seen.room_id, reading.seen.state) == ("404", RoomState.GONE)

    async def test_a_room_id_of_odd_characters_finds_its_own_room(
        self, client: QiscusClient, platform: Platform
    ) -> None:
        room_id = a_waiting_room(platform, "a/b?c#d%2F;")

        reading = await client.room(room_id)

        assert (reading.seen.room_id, reading.seen.state) == (room_id, RoomState.WAITING)

    async def test_a_room_has_its_channel_its_source_and_when_its_customer_wrote(
        self, client: QiscusClient, platform: Platform
    ) -> None:
        room_id = a_waiting_room(platform, channel=PHONE)
        wrote_at = platform.epoch + timedelta(seconds=platform.clock())

        reading = await client.room(room_id)

        room = reading.seen
        assert (room.channel_id, room.source) == (7, "wa")
        assert room.waits_since is not None
        assert abs(room.waits_since - wrote_at) <= timedelta(seconds=2)

    async def test_waiting_rooms_are_those_that_wait_and_no_others(
        self, client: QiscusClient, platform: Platform
    ) -> None:
        agent_id = an_agent(platform)
        waiting, served, resolved, back = (a_waiting_room(platform) for _ in range(4))
        platform.assign_by_hand(served, agent_id)
        platform.mark_as_resolved(resolved)
        platform.mark_as_resolved(back)
        platform.customer_message(back)

        reading = await client.waiting_rooms(Pacer())

        assert room_ids(reading.seen) == {waiting, back}
        assert {room.state for room in reading.seen} == {RoomState.WAITING}

    @pytest.mark.parametrize("place", ["top", "data"])
    async def test_waiting_rooms_go_over_all_pages(
        self, client: QiscusClient, platform: Platform, place: str
    ) -> None:
        platform.switches = Switches(page_size_limit=10, meta_place=place)  # type: ignore[arg-type]
        rooms = {a_waiting_room(platform) for _ in range(25)}
        pacer = Pacer()

        reading = await client.waiting_rooms(pacer)

        assert room_ids(reading.seen) == rooms
        assert pacer.awaited == 3

    async def test_rooms_of_an_agent_are_the_unresolved_ones_that_the_agent_serves(
        self, client: QiscusClient, platform: Platform
    ) -> None:
        agent_id, other = an_agent(platform), an_agent(platform)
        mine, over, theirs, nobodys = (a_waiting_room(platform) for _ in range(4))
        for room_id, whose in ((mine, agent_id), (over, agent_id), (theirs, other)):
            platform.assign_by_hand(room_id, whose)
        platform.mark_as_resolved(over)

        reading = await client.rooms_of(agent_id, Pacer())

        assert room_ids(reading.seen) == {mine}
        assert reading.seen[0].state is RoomState.SERVED
        assert platform.waiting_rooms() == [nobodys]

    async def test_rooms_of_somebody_unknown_are_none(
        self, client: QiscusClient, platform: Platform
    ) -> None:
        platform.assign_by_hand(a_waiting_room(platform), an_agent(platform))

        reading = await client.rooms_of(AgentId(2**31 - 1), Pacer())

        assert reading.seen == ()

    async def test_a_platform_that_ignores_the_agent_filter_shows_everybody_s_rooms(
        self, client: QiscusClient, platform: Platform
    ) -> None:
        platform.switches = Switches(user_ids_honoured=False)
        room_id = a_waiting_room(platform)
        platform.assign_by_hand(room_id, an_agent(platform))

        reading = await client.rooms_of(AgentId(2**31 - 1), Pacer())

        assert room_ids(reading.seen) == {room_id}

    async def test_a_room_before_its_first_message_is_not_read_as_served(
        self, client: QiscusClient, platform: Platform
    ) -> None:
        platform.open_room("990001")

        reading = await client.room(RoomId("990001"))

        assert reading.seen.state is RoomState.WAITING
        assert reading.seen.waits_since is None

    @pytest.mark.parametrize("shows_app", [True, False])
    async def test_the_account_tells_its_app_code_where_its_profile_shows_the_app(
        self, client: QiscusClient, platform: Platform, shows_app: bool
    ) -> None:
        platform.switches = Switches(profile_shows_app=shows_app)

        account = await client.account()

        assert account.app_code == (platform.account.app_code if shows_app else None)

    async def test_registered_webhooks_are_in_force_and_confirmed(
        self, client: QiscusClient, platform: Platform
    ) -> None:
        allocation_url, resolve_url = "https://x.example.test/caa/t", "https://x.example.test/r/t"

        allocation, resolve = await client.register_webhooks(allocation_url, resolve_url)

        assert (allocation.webhook, allocation.url) == ("allocation", allocation_url)
        assert (resolve.webhook, resolve.url) == ("resolve", resolve_url)
        assert allocation.confirmed
        assert resolve.confirmed
        assert platform.app.webhook_url("allocation") == allocation_url
        assert platform.app.webhook_url("resolved") == resolve_url


def an_agent(
    platform: Platform,
    name: str | None = None,
    *,
    channels: tuple[Channel, ...] = (LIVE_CHAT,),
    online: bool = True,
) -> AgentId:
    """Somebody who serves."""
    return AgentId(platform.add_agent(name, channels=channels, online=online))


def a_waiting_room(
    platform: Platform, room_id: str | None = None, *, channel: Channel = LIVE_CHAT
) -> RoomId:
    """A room whose customer just wrote."""
    new_room_id = room_id or platform.new_room_id()
    platform.customer_message(new_room_id, channel=channel)
    return RoomId(new_room_id)


def by_id(presences: Presences) -> dict[AgentId, Presence]:
    """The presences by agent; each agent may be there only once."""
    assert len({each.agent_id for each in presences}) == len(presences)
    return {each.agent_id: each for each in presences}


def room_ids(rooms: PlatformRooms) -> set[str]:
    """The ids of the rooms; each may be there only once."""
    ids = [room.room_id for room in rooms]
    assert len(set(ids)) == len(ids)
    return {str(each) for each in ids}
