"""The roster: per agent the word that began last wins, in whatever order words come."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sebastian_adapters.memory.agent_store import InMemoryAgentStore
from sebastian_core.domain.chat import Needs
from sebastian_core.domain.errors import StoreUnavailable
from sebastian_core.domain.ids import AgentId, ChannelId
from sebastian_core.domain.roster import Presence, Roster
from sebastian_core.usecases.roster_cache import RosterCache
from tests.unit.core.building import ANNE, BEN, NOW, WHATSAPP, WIDGET, a_presence, a_roster, at

EMPTY = Roster(read_at=datetime.min.replace(tzinfo=UTC))


def online(roster: Roster | None) -> set[int]:
    assert roster is not None
    return {agent_id for agent_id, presence in roster.agents.items() if presence.online}


class TestACompleteListing:
    def test_makes_the_roster(self) -> None:
        roster = EMPTY.merged_listing([a_presence(ANNE), a_presence(BEN, online=False)], NOW)

        assert (set(roster.agents), online(roster), roster.read_at) == ({ANNE, BEN}, {ANNE}, NOW)

    @pytest.mark.parametrize("began_at", [NOW, at(-1)])
    def test_that_is_not_younger_changes_nothing(self, began_at: datetime) -> None:
        roster = a_roster(a_presence(ANNE))

        assert roster.merged_listing([a_presence(BEN)], began_at) is roster

    def test_takes_an_agent_who_is_not_in_it_offline_at_once(self) -> None:
        roster = a_roster(a_presence(ANNE), a_presence(BEN)).merged_listing(
            [a_presence(ANNE, read_at=at(10))], at(10)
        )

        assert (set(roster.agents), online(roster)) == ({ANNE, BEN}, {ANNE})

    def test_forgets_an_agent_who_is_not_in_two_of_them(self) -> None:
        roster = a_roster(a_presence(ANNE)).merged_listing([], at(10)).merged_listing([], at(20))

        assert not roster.agents

    def test_counts_anew_for_an_agent_who_came_back_between(self) -> None:
        roster = a_roster(a_presence(ANNE))
        for seconds, listing in ((10, []), (20, [a_presence(read_at=at(20))]), (30, [])):
            roster = roster.merged_listing(listing, at(seconds))

        assert set(roster.agents) == {ANNE}

    def test_cannot_overrule_a_younger_reading_of_one_agent(self) -> None:
        seen = a_presence(ANNE, online=False, read_at=at(12))
        roster = a_roster(a_presence(ANNE)).merged_sightings([seen])

        roster = roster.merged_listing([a_presence(ANNE, read_at=at(10))], at(10))

        assert (roster.agents[ANNE], roster.read_at) == (seen, at(10))

    def test_cannot_take_an_agent_offline_whom_a_younger_reading_saw(self) -> None:
        roster = a_roster(a_presence(ANNE)).merged_sightings([a_presence(ANNE, read_at=at(12))])

        assert online(roster.merged_listing([], at(10))) == {ANNE}

    def test_that_is_older_by_a_day_shows_that_the_clock_was_set_back(self) -> None:
        roster = a_roster(a_presence(ANNE), a_presence(BEN))

        roster = roster.merged_listing([a_presence(ANNE, read_at=at(-86400))], at(-86400))

        assert (roster.read_at, online(roster)) == (at(-86400), {ANNE})
        seen = a_presence(ANNE, online=False, read_at=at(-86399))
        assert online(roster.merged_sightings([seen])) == set()


class TestASingleReading:
    def test_changes_the_agent_it_saw(self) -> None:
        roster = a_roster(a_presence(ANNE), a_presence(BEN))

        roster = roster.merged_sightings([a_presence(ANNE, online=False, read_at=at(1))])

        assert online(roster) == {BEN}

    def test_does_not_make_the_roster_younger(self) -> None:
        assert a_roster(a_presence()).merged_sightings([a_presence(read_at=at(1))]).read_at == NOW

    def test_cannot_add_an_agent_whom_no_listing_named(self) -> None:
        roster = a_roster(a_presence(ANNE))

        assert roster.merged_sightings([a_presence(BEN, read_at=at(1))]) is roster

    def test_that_is_older_changes_nothing(self) -> None:
        roster = a_roster(a_presence(ANNE))

        assert roster.merged_sightings([a_presence(ANNE, online=False, read_at=at(-1))]) is roster


class TestGainedOver:
    @pytest.mark.parametrize(
        ("before", "after", "gained"),
        [
            (None, a_roster(a_presence()), True),
            (None, a_roster(a_presence(online=False)), False),
            (a_roster(a_presence(online=False)), a_roster(a_presence()), True),
            (a_roster(), a_roster(a_presence()), True),
            (a_roster(a_presence()), a_roster(a_presence()), False),
            (a_roster(a_presence()), a_roster(a_presence(online=False)), False),
        ],
    )
    def test_tells_whether_somebody_came_online(
        self, before: Roster | None, after: Roster, *, gained: bool
    ) -> None:
        assert after.gained_over(before) is gained


class TestServing:
    @pytest.mark.parametrize(
        ("channels", "channel_id", "serves"),
        [
            (frozenset(), WIDGET, True),
            (frozenset({WHATSAPP}), None, True),
            (frozenset({WHATSAPP}), WHATSAPP, True),
            (frozenset({WHATSAPP}), WIDGET, False),
        ],
    )
    def test_is_refused_only_where_both_channels_are_known(
        self, channels: frozenset[ChannelId], channel_id: ChannelId | None, *, serves: bool
    ) -> None:
        assert Needs(channel_id).served_in(a_presence(channels=channels).channels) is serves


class TestTheKeyOfNeeds:
    @given(
        st.builds(
            Needs,
            st.none() | st.integers(0, 2**40).map(ChannelId),
            st.none() | st.frozensets(st.integers(0, 2**40).map(AgentId), max_size=5),
        )
    )
    @settings(max_examples=200, deadline=None)
    def test_names_them_and_nothing_else(self, needs: Needs) -> None:
        assert Needs.from_key(needs.key) == needs

    def test_tells_nobody_from_anybody(self) -> None:
        assert Needs(only=frozenset()).key != Needs().key


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_words_merge_to_the_same_roster_in_whatever_order_they_come(order: tuple[int, ...]) -> None:
    words = [a_presence(ANNE, online=bool(n % 2), read_at=at(n + 1)) for n in range(3)]
    roster = a_roster(a_presence(ANNE))

    for number in order:
        roster = roster.merged_sightings([words[number]])

    assert roster.agents[ANNE] == words[2]


class BrokenStore(InMemoryAgentStore):
    """A store that can be down."""

    def __init__(self) -> None:
        super().__init__()
        self.down = False

    def _check(self) -> None:
        if self.down:
            raise StoreUnavailable("Redis", "it is down")

    async def replace(self, listing: object, began_at: datetime) -> bool:
        self._check()
        return await super().replace(listing, began_at)  # type: ignore[arg-type]

    async def update(self, presences: object) -> None:
        self._check()
        await super().update(presences)  # type: ignore[arg-type]

    async def roster(self) -> Roster | None:
        self._check()
        return await super().roster()


class TestTheRosterOfOneProcess:
    async def test_is_unknown_before_anybody_read_one(self) -> None:
        assert await RosterCache(InMemoryAgentStore()).roster() is None

    async def test_is_the_shared_one(self) -> None:
        store = InMemoryAgentStore()
        mine, theirs = RosterCache(store), RosterCache(store)

        await theirs.replace([a_presence(ANNE)], NOW)

        assert online(await mine.roster()) == {ANNE}

    async def test_stays_what_it_was_while_the_store_is_down_and_tells_so(self) -> None:
        store = BrokenStore()
        known = RosterCache(store)
        await known.replace([a_presence(ANNE)], NOW)

        store.down = True

        assert online(await known.roster()) == {ANNE}
        assert not known.store_is_up

    async def test_is_kept_up_to_date_without_the_store(self) -> None:
        store = BrokenStore()
        store.down = True
        known = RosterCache(store)

        taken_in = await known.replace([a_presence(ANNE), a_presence(BEN)], NOW)
        await known.update([a_presence(ANNE, online=False, read_at=at(1))])

        assert taken_in
        assert online(await known.roster()) == {BEN}

    async def test_survives_a_store_that_lost_everything(self) -> None:
        store = InMemoryAgentStore()
        known = RosterCache(store)
        await known.replace([a_presence(ANNE)], NOW)

        store.lose()

        assert online(await known.roster()) == {ANNE}

    async def test_is_never_older_than_what_the_process_read_itself(self) -> None:
        store = BrokenStore()
        known = RosterCache(store)
        await known.replace([a_presence(ANNE)], NOW)
        store.down = True
        await known.replace([a_presence(ANNE, online=False, read_at=at(10))], at(10))
        store.down = False

        assert online(await known.roster()) == set()

    async def test_follows_the_shared_one_once_the_clock_was_set_back(self) -> None:
        store = InMemoryAgentStore()
        known = RosterCache(store)
        await known.replace([a_presence(ANNE, read_at=at(86400))], at(86400))
        await known.roster()

        await RosterCache(store).replace([a_presence(ANNE, online=False)], NOW)

        assert online(await known.roster()) == set()

    async def test_drops_a_listing_that_began_earlier_than_the_stored_one(self) -> None:
        store = InMemoryAgentStore()
        await RosterCache(store).replace([a_presence(ANNE)], at(10))
        late = RosterCache(store)

        taken_in = await late.replace([a_presence(BEN)], NOW)

        assert not taken_in
        assert online(await late.roster()) == {ANNE}

    async def test_tells_the_others_what_it_saw_of_one_agent(self) -> None:
        store = InMemoryAgentStore()
        mine, theirs = RosterCache(store), RosterCache(store)
        await mine.replace([a_presence(ANNE)], NOW)
        await mine.roster()

        await mine.update([a_presence(ANNE, online=False, read_at=at(1))])

        assert online(await theirs.roster()) == set()

    async def test_does_not_trouble_the_store_with_what_is_no_news(self) -> None:
        store = BrokenStore()
        known = RosterCache(store)
        await known.replace([a_presence(ANNE)], NOW)
        store.down = True

        await known.update([a_presence(ANNE, read_at=at(1)), a_presence(AgentId(99))])

        assert known.store_is_up


def test_a_presence_that_is_not_named_otherwise_has_unknown_channels() -> None:
    assert Presence(ANNE, online=True, read_at=NOW).channels == frozenset()
