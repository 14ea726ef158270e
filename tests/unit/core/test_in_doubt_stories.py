"""The in-doubt table as customers and agents meet it: a story for each entry and each exception.

Each story is told twice: as it is, and with its entry of the table misprinted. Then it must end
badly: an entry that nobody would miss needs no place in the table.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from sebastian_core.domain.agent_loads import CapacityRules
from sebastian_core.domain.chat import ChatState
from sebastian_core.domain.ids import RoomId
from sebastian_core.domain.in_doubt import TABLE, Evidence, Outcome, RoomState, Shown
from sebastian_core.domain.webhooks import Arrival
from tests.simulation.mutants import Edit, Mutant, planted
from tests.unit.core.building import ANNE, BEN
from tests.unit.core.staging import Stage, server_error

CARL, DORA = RoomId("carl"), RoomId("dora")
W, R, A = ChatState.WAITING, ChatState.RESERVED, ChatState.ASSIGNED


class Town:
    """Carl and Dora are customers; Anne, who has one slot, is online. Ben is not."""

    def __init__(self, **switches: object) -> None:
        self.stage = Stage(**switches)  # type: ignore[arg-type]
        self.stage.agent(ANNE)
        self.stage.agent(BEN, online=False)
        self.worker = self.stage.worker(capacities=CapacityRules(default=1))

    async def asks(self, who: RoomId) -> None:
        """The customer writes, and the webhook comes."""
        await self.stage.arrive(who)

    async def asks_without_ids(self, who: RoomId) -> None:
        """The customer writes, and a webhook comes that names no service."""
        self.stage.message(who)
        await self.stage.admit_chat(Arrival(room_id=who))

    async def late_copy(self, who: RoomId) -> None:
        """A webhook comes once more, long after its message; it names no service."""
        await self.stage.admit_chat(Arrival(room_id=who))

    async def given_to_anne(self, who: RoomId = CARL) -> None:
        """The customer asks and is served."""
        await self.worker.refresh_agents()
        await self.asks(who)
        await self.stage.dispatch(self.worker)
        assert self.served_by(who) == (ANNE,)

    async def worker_dies_before_its_call(self, who: RoomId = CARL) -> None:
        """Anne's slot is reserved for the customer, and nobody calls the platform."""
        await self.worker.refresh_agents()
        await self.asks(who)
        await self.stage.reserve(self.worker)

    def forget(self, who: RoomId) -> None:
        """The platform no longer knows the room."""
        self.stage.platform._rooms._rooms.pop(who)

    async def pass_by(self, seconds: int, *, refreshes: bool = False) -> None:
        """Time passes; each second what is due is settled and what is ready is given."""
        for second in range(seconds):
            self.stage.clock.advance(1)
            await self.worker.settle_chat.due()
            await self.stage.dispatch(self.worker)
            if refreshes and second % 10 == 0:
                await self.worker.refresh_agents()

    def served_by(self, who: RoomId) -> tuple[int, ...]:
        """Who serves the customer at the platform."""
        return self.stage.platform.agents_in(who)

    @property
    def calls(self) -> int:
        """How many assign calls were made."""
        return self.stage.faults.calls.count("assign")


async def who_comes_back_at_once_is_served() -> None:
    town = Town()
    await town.given_to_anne()
    town.stage.clock.advance(60)
    await town.stage.resolve(CARL)
    await town.asks_without_ids(CARL)

    await town.pass_by(10)

    assert town.served_by(CARL) == (ANNE,)


async def a_late_copy_of_a_webhook_calls_nobody() -> None:
    town = Town(assign_resolved_room=200)
    await town.given_to_anne()
    town.stage.clock.advance(60)
    await town.stage.resolve(CARL)
    await town.late_copy(CARL)

    await town.pass_by(10)

    assert (town.served_by(CARL), town.calls) == ((), 1)


async def whom_a_person_took_meanwhile_is_left_to_that_person() -> None:
    town = Town()
    await town.given_to_anne()
    town.stage.clock.advance(1)
    await town.stage.resolve(CARL)
    await town.asks_without_ids(CARL)
    town.stage.platform.assign_by_hand(CARL, BEN)

    await town.pass_by(30)

    assert (town.served_by(CARL), town.calls) == ((BEN,), 1)


async def whom_somebody_else_serves_is_left_to_them_by_a_reading_with_a_listing() -> None:
    """We read no listing for a chat that has no agent; whoever builds on the core may."""
    town = Town()
    await town.given_to_anne()
    town.stage.clock.advance(1)
    await town.stage.resolve(CARL)
    await town.asks_without_ids(CARL)
    town.stage.platform.assign_by_hand(CARL, BEN)
    town.stage.clock.advance(6)
    now = town.stage.clock.now()
    shown = Evidence(state=RoomState.SERVED, began_at=now, listed=False)
    await town.worker.settle_chat.apply(await town.stage.chat(CARL), shown)

    await town.pass_by(30)

    assert (town.served_by(CARL), town.calls) == ((BEN,), 1)


async def a_room_that_is_gone_leaves_the_line() -> None:
    town = Town()
    await town.given_to_anne()
    town.stage.clock.advance(1)
    await town.stage.resolve(CARL)
    await town.asks_without_ids(CARL)
    town.forget(CARL)

    await town.pass_by(30)

    assert (await town.stage.journal.summary(5)).waiting == 0


async def whose_worker_died_is_served_by_the_next_one() -> None:
    town = Town()
    await town.worker_dies_before_its_call()

    await town.pass_by(15)

    assert town.served_by(CARL) == (ANNE,)


async def whose_worker_died_and_who_was_helped_meanwhile_calls_nobody() -> None:
    town = Town(assign_resolved_room=200)
    await town.worker_dies_before_its_call()
    town.stage.end(CARL)

    await town.pass_by(30)

    assert (town.served_by(CARL), town.calls) == ((), 0)


async def an_agent_whom_a_dead_worker_gave_a_chat_gets_no_second_one() -> None:
    town = Town()
    await town.worker_dies_before_its_call()
    town.stage.platform.assign(CARL, ANNE, max_agent=1)
    await town.asks(DORA)

    await town.pass_by(15)

    assert (town.served_by(CARL), town.served_by(DORA)) == ((ANNE,), ())


async def an_agent_whose_chat_went_to_somebody_else_is_free() -> None:
    town = Town()
    await town.worker_dies_before_its_call()
    town.stage.platform.assign_by_hand(CARL, BEN)
    await town.asks(DORA)

    await town.pass_by(15)

    assert (town.served_by(CARL), town.served_by(DORA)) == ((BEN,), (ANNE,))


async def an_agent_for_whom_a_room_was_reserved_that_is_gone_is_free() -> None:
    town = Town()
    await town.worker_dies_before_its_call()
    town.forget(CARL)
    await town.asks(DORA)

    await town.pass_by(15)

    assert town.served_by(DORA) == (ANNE,)


async def who_comes_back_after_a_lost_resolve_is_served() -> None:
    town = Town()
    await town.given_to_anne()
    town.stage.clock.advance(60)
    town.stage.end(CARL)
    await town.asks_without_ids(CARL)

    await town.pass_by(10)

    assert town.served_by(CARL) == (ANNE,)


async def a_lost_resolve_frees_its_agent() -> None:
    town = Town()
    await town.given_to_anne()
    town.stage.end(CARL)
    await town.asks(DORA)

    await town.pass_by(40, refreshes=True)

    assert town.served_by(DORA) == (ANNE,)


async def a_late_message_frees_nobody() -> None:
    town = Town()
    await town.given_to_anne()
    town.stage.clock.advance(60)
    await town.late_copy(CARL)
    await town.asks(DORA)

    await town.pass_by(15)

    assert (town.served_by(CARL), town.served_by(DORA)) == ((ANNE,), ())


async def an_agent_from_whom_a_person_took_a_chat_is_free() -> None:
    town = Town()
    await town.given_to_anne()
    town.stage.clock.advance(60)
    town.stage.platform.move(CARL, ANNE, BEN)
    await town.late_copy(CARL)
    await town.asks(DORA)

    await town.pass_by(15)

    assert town.served_by(DORA) == (ANNE,)


async def an_agent_whose_room_is_gone_is_free() -> None:
    town = Town()
    await town.given_to_anne()
    town.forget(CARL)
    await town.late_copy(CARL)
    await town.asks(DORA)

    await town.pass_by(15)

    assert town.served_by(DORA) == (ANNE,)


async def whose_calls_always_fail_is_tried_ever_less_often() -> None:
    town = Town()
    town.stage.faults.always = {"assign": server_error}
    await town.worker.refresh_agents()
    await town.asks(CARL)

    await town.pass_by(120)

    assert (await town.stage.journal.summary(5)).stuck == 1
    assert town.calls <= 2 * 7


async def who_asks_behind_a_resolve_stands_where_that_request_came() -> None:
    town = Town()
    await town.worker_dies_before_its_call()
    town.stage.clock.advance(2)
    await town.stage.resolve(CARL)
    await town.asks(DORA)
    town.stage.clock.advance(1)
    await town.asks(CARL)

    await town.pass_by(15)

    assert (town.served_by(DORA), town.served_by(CARL)) == ((ANNE,), ())


async def who_asks_behind_a_resolve_is_not_forgotten_by_a_reading_that_is_older() -> None:
    town = Town(rooms_lag_seconds=4.5)
    await town.worker_dies_before_its_call()
    town.stage.clock.advance(2)
    await town.stage.resolve(CARL)
    town.stage.clock.advance(5.5)
    await town.asks(CARL)

    await town.pass_by(30)

    assert town.served_by(CARL) == (ANNE,)


Story = Callable[[], Awaitable[None]]
Entry = tuple[ChatState, Shown]

#: Every entry of the table: its story, and an outcome that stands there wrongly.
STORIES: dict[Entry, tuple[Story, Outcome]] = {
    (W, Shown.WAITING): (who_comes_back_at_once_is_served, Outcome.CLOSED),
    (W, Shown.RESOLVED): (a_late_copy_of_a_webhook_calls_nobody, Outcome.READY),
    (W, Shown.SERVED): (whom_a_person_took_meanwhile_is_left_to_that_person, Outcome.READY),
    (W, Shown.SERVED_NOT_LISTED): (
        whom_somebody_else_serves_is_left_to_them_by_a_reading_with_a_listing,
        Outcome.READY,
    ),
    (W, Shown.GONE): (a_room_that_is_gone_leaves_the_line, Outcome.READY),
    (R, Shown.WAITING): (whose_worker_died_is_served_by_the_next_one, Outcome.CLOSED),
    (R, Shown.RESOLVED): (
        whose_worker_died_and_who_was_helped_meanwhile_calls_nobody,
        Outcome.RELEASED,
    ),
    (R, Shown.SERVED): (
        an_agent_whom_a_dead_worker_gave_a_chat_gets_no_second_one,
        Outcome.CLOSED,
    ),
    (R, Shown.SERVED_NOT_LISTED): (
        an_agent_whose_chat_went_to_somebody_else_is_free,
        Outcome.CONFIRMED,
    ),
    (R, Shown.GONE): (
        an_agent_for_whom_a_room_was_reserved_that_is_gone_is_free,
        Outcome.CONFIRMED,
    ),
    (A, Shown.WAITING): (who_comes_back_after_a_lost_resolve_is_served, Outcome.CLEARED),
    (A, Shown.RESOLVED): (a_lost_resolve_frees_its_agent, Outcome.CLEARED),
    (A, Shown.SERVED): (a_late_message_frees_nobody, Outcome.CLOSED),
    (A, Shown.SERVED_NOT_LISTED): (
        an_agent_from_whom_a_person_took_a_chat_is_free,
        Outcome.CLEARED,
    ),
    (A, Shown.GONE): (an_agent_whose_room_is_gone_is_free, Outcome.CLEARED),
}

#: The two exceptions: their stories, and the words of the code that make them.
EXCEPTIONS: dict[str, tuple[Story, str]] = {
    "a failed call is a refusal": (
        whose_calls_always_fail_is_tried_ever_less_often,
        "chat.counts_as_refusal and shown is Shown.WAITING",
    ),
    "resolved in its call, and the room waits": (
        who_asks_behind_a_resolve_stands_where_that_request_came,
        "chat.resolved_in_call is not None and shown is Shown.WAITING",
    ),
    "resolved in its call, and asked again": (
        who_asks_behind_a_resolve_is_not_forgotten_by_a_reading_that_is_older,
        "chat.resolved_in_call is not None and shown is Shown.RESOLVED and chat.asked_again_at",
    ),
}
ALL = [story for story, _ in (*STORIES.values(), *EXCEPTIONS.values())]
BUGS = {
    **{
        f"{state}, {shown}: {wrong} for {TABLE[state, shown]}": (
            story,
            Mutant(f"{state}, {shown}", cells=((state, shown, wrong),)),
        )
        for (state, shown), (story, wrong) in STORIES.items()
    },
    **{
        name: (
            story,
            Mutant(name, (Edit("sebastian_core.domain.in_doubt:outcome", words, "False"),)),
        )
        for name, (story, words) in EXCEPTIONS.items()
    },
}


@pytest.mark.parametrize("story", ALL, ids=lambda story: story.__name__)
async def test_as_the_table_stands(story: Story) -> None:
    await story()


@pytest.mark.parametrize("bug", BUGS)
async def test_ends_badly_where_the_table_is_wrong(bug: str) -> None:
    story, mutant = BUGS[bug]

    with planted(mutant), pytest.raises(AssertionError):
        await story()


def test_every_entry_has_a_story() -> None:
    assert STORIES.keys() == TABLE.keys()
