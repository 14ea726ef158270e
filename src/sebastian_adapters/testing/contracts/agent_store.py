"""What every agent store promises."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from sebastian_core.domain.ids import AgentId, ChannelId
from sebastian_core.domain.roster import Presence, Roster
from sebastian_core.ports.agent_store import AgentStore

NOON = datetime(2024, 5, 2, 12, 0, 0, 123456, tzinfo=UTC)
AnotherStore = Callable[[], AgentStore]


def at(seconds: float) -> datetime:
    """So many seconds after noon."""
    return NOON + timedelta(seconds=seconds)


def present(agent_id: int, read_at: datetime = NOON, *, online: bool = True) -> Presence:
    """An agent as one reading shows them."""
    return Presence(AgentId(agent_id), online, read_at)


def listed(began_at: datetime, *agent_ids: int, online: bool = True) -> list[Presence]:
    """A complete listing that began then."""
    return [present(agent_id, began_at, online=online) for agent_id in agent_ids]


def online(roster: Roster | None) -> set[int]:
    """Who is online in it."""
    assert roster is not None
    return {agent_id for agent_id, presence in roster.agents.items() if presence.online}


class AgentStoreContract:
    """Inherit it and provide the fixtures `store` and `another`.

    `another()` gives the same store as another process sees it.
    """

    async def test_knows_nothing_before_the_first_listing(self, store: AgentStore) -> None:
        assert await store.roster() is None

    async def test_gives_back_what_a_listing_said_of_each_agent(self, store: AgentStore) -> None:
        channels = frozenset({ChannelId(7), ChannelId(9)})
        ada = Presence(AgentId(1), True, NOON, channels, 3, "Ada “Countess” ☕")
        bob = Presence(AgentId(2**53), False, at(-1.5), frozenset(), None, "")

        assert await store.replace([ada, bob], NOON)

        assert await store.roster() == Roster(NOON, {ada.agent_id: ada, bob.agent_id: bob})

    async def test_an_empty_listing_is_a_roster_too(self, store: AgentStore) -> None:
        assert await store.replace([], NOON)

        assert await store.roster() == Roster(NOON)

    async def test_takes_a_listing_from_a_generator(self, store: AgentStore) -> None:
        assert await store.replace((present(number) for number in range(3)), NOON)

        assert online(await store.roster()) == {0, 1, 2}

    async def test_a_listing_that_began_earlier_or_then_is_dropped(self, store: AgentStore) -> None:
        await store.replace(listed(at(10), 1), at(10))

        assert not await store.replace(listed(at(9), 2), at(9))
        assert not await store.replace(listed(at(10), 2), at(10))
        assert online(await store.roster()) == {1}

    async def test_an_agent_is_gone_after_two_listings(self, store: AgentStore) -> None:
        await store.replace(listed(NOON, 1, 2), NOON)

        await store.replace(listed(at(10), 1), at(10))
        once = await store.roster()
        await store.replace(listed(at(20), 1), at(20))
        twice = await store.roster()

        assert once is not None
        assert twice is not None
        assert set(once.agents) == {1, 2}
        assert online(once) == {1}
        assert once.missing == {2: 1}
        assert set(twice.agents) == {1}
        assert not twice.missing

    async def test_a_later_word_on_one_agent_counts(self, store: AgentStore) -> None:
        await store.replace(listed(NOON, 1, 2), NOON)

        await store.update([present(1, at(1), online=False)])

        assert online(await store.roster()) == {2}

    async def test_an_older_word_on_one_agent_is_dropped(self, store: AgentStore) -> None:
        await store.replace(listed(NOON, 1), NOON)

        await store.update([present(1, at(-1), online=False)])

        assert online(await store.roster()) == {1}

    async def test_words_on_unknown_agents_are_dropped(self, store: AgentStore) -> None:
        await store.update([present(1)])
        assert await store.roster() is None
        await store.replace(listed(NOON, 1), NOON)

        await store.update([present(2, at(1)), present(1, at(1), online=False)])

        roster = await store.roster()
        assert roster is not None
        assert set(roster.agents) == {1}
        assert not online(roster)

    async def test_a_listing_does_not_undo_a_later_word(self, store: AgentStore) -> None:
        await store.replace(listed(NOON, 1, 2), NOON)
        await store.update([present(1, at(15), online=False), present(2, at(5), online=False)])

        await store.replace(listed(at(10), 1, 2), at(10))

        assert online(await store.roster()) == {2}

    async def test_later_words_add_up(self, store: AgentStore) -> None:
        await store.replace(listed(NOON, 1, 2, 3), NOON)

        await store.update([present(1, at(1), online=False)])
        await store.update([present(2, at(2), online=False)])
        await store.update([present(1, at(3))])

        assert online(await store.roster()) == {1, 3}

    async def test_an_agent_seen_later_outlives_a_listing_without_them(
        self, store: AgentStore
    ) -> None:
        await store.replace(listed(NOON, 1, 2), NOON)
        await store.update([present(2, at(15))])

        await store.replace(listed(at(10), 1), at(10))

        assert online(await store.roster()) == {1, 2}

    async def test_everyone_sees_what_one_wrote(
        self, store: AgentStore, another: AnotherStore
    ) -> None:
        reader = another()
        assert await reader.roster() is None

        await store.replace(listed(NOON, 1, 2), NOON)
        assert online(await reader.roster()) == {1, 2}
        await store.update([present(1, at(1), online=False)])
        assert online(await reader.roster()) == {2}
        await another().replace(listed(at(10), 1, 2), at(10))
        assert online(await reader.roster()) == {1, 2}
        assert await store.roster() == await reader.roster()

    @pytest.mark.parametrize("order", [(10, 20), (20, 10)])
    async def test_the_listing_that_began_later_wins_in_any_order(
        self, another: AnotherStore, order: tuple[int, int]
    ) -> None:
        first, second = order

        await asyncio.gather(
            another().replace(listed(at(first), first), at(first)),
            another().replace(listed(at(second), second), at(second)),
        )

        roster = await another().roster()
        assert roster is not None
        assert roster.read_at == at(20)
        assert online(roster) == {20}

    async def test_of_twenty_equal_listings_exactly_one_is_taken_in(
        self, another: AnotherStore
    ) -> None:
        stores = [another() for _ in range(20)]

        taken = await asyncio.gather(*(each.replace(listed(NOON, 1), NOON) for each in stores))

        assert taken.count(True) == 1

    async def test_of_twenty_at_once_no_word_is_lost(self, another: AnotherStore) -> None:
        await another().replace(listed(NOON, *range(25)), NOON)
        stores = [another() for _ in range(20)]

        await asyncio.gather(
            *(
                each.update([present(number, at(1), online=False)])
                for number, each in enumerate(stores)
            )
        )

        assert online(await another().roster()) == set(range(20, 25))

    async def test_of_twenty_words_on_one_agent_the_last_reading_counts(
        self, another: AnotherStore
    ) -> None:
        await another().replace(listed(NOON, 1), NOON)
        stores = [another() for _ in range(20)]

        await asyncio.gather(
            *(
                each.update([present(1, at(number), online=number != 19)])
                for number, each in enumerate(stores)
            )
        )

        roster = await another().roster()
        assert roster is not None
        assert roster.agents[AgentId(1)] == present(1, at(19), online=False)

    async def test_words_and_listings_at_once_lose_nothing(self, another: AnotherStore) -> None:
        everyone = range(10)
        await another().replace(listed(NOON, *everyone), NOON)
        stores = [another() for _ in everyone]

        await asyncio.gather(
            *(
                each.update([present(number, at(60), online=False)])
                for number, each in enumerate(stores)
                if number % 2
            ),
            *(another().replace(listed(at(10 + n), *everyone), at(10 + n)) for n in range(5)),
        )

        roster = await another().roster()
        assert roster is not None
        assert roster.read_at == at(14)
        assert online(roster) == set(everyone[::2])

    async def test_what_callers_hold_cannot_change_what_is_stored(self, store: AgentStore) -> None:
        listing = listed(NOON, 1, 2)
        await store.replace(listing, NOON)
        listing.clear()
        roster = await store.roster()
        assert roster is not None

        with pytest.raises(TypeError):
            del cast(dict[AgentId, Any], roster.agents)[AgentId(1)]
        with pytest.raises(TypeError):
            cast(dict[AgentId, Any], roster.missing)[AgentId(1)] = 1

        assert online(await store.roster()) == {1, 2}

    async def test_a_roster_in_hand_does_not_change(self, store: AgentStore) -> None:
        await store.replace(listed(NOON, 1), NOON)
        in_hand = await store.roster()

        await store.update([present(1, at(1), online=False)])

        assert online(in_hand) == {1}

    async def test_an_unchanged_roster_is_the_same_object(self, store: AgentStore) -> None:
        await store.replace(listed(NOON, 1), NOON)

        assert await store.roster() is await store.roster()

    async def test_keeps_ten_thousand_agents(self, store: AgentStore) -> None:
        crowd: Iterable[Presence] = [
            Presence(
                AgentId(number), True, NOON, frozenset({ChannelId(number % 5)}), 2, f"A{number}"
            )
            for number in range(10_000)
        ]

        await store.replace(crowd, NOON)

        roster = await store.roster()
        assert roster is not None
        assert list(roster.agents.values()) == crowd
