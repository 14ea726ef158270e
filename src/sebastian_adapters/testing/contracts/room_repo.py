"""What every room repo promises."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import pairwise
from typing import TypeVar

from sebastian_adapters.testing.builders import (
    ANNE,
    BEN,
    CLEO,
    WHATSAPP,
    WIDGET,
    a_plan,
    an_agent,
    an_arrival,
    resolved,
    some_rules,
    unresolved,
)
from sebastian_core.domain.adoption import Adopting, Listed, adopt
from sebastian_core.domain.agent_loads import AgentSetting, CapacityRules, CountBounds
from sebastian_core.domain.chat import Chat, ChatState, CloseReason, Doubt, Needs, Transition
from sebastian_core.domain.history import HistoryRow
from sebastian_core.domain.ids import AgentId, RoomId, ServiceId
from sebastian_core.domain.in_doubt import Evidence, Outcome, RoomState, postpone, settle, suspect
from sebastian_core.domain.manual import (
    AssignRequest,
    ManualAssignment,
    ManualOutcome,
    drop,
    hand_over,
)
from sebastian_core.domain.moments import Horizon
from sebastian_core.domain.policy import Candidate, Placement, Policy, ReadyChat
from sebastian_core.domain.reservation import (
    FenceOutcome,
    Reservation,
    confirm,
    doubt_attempt,
    pass_over,
    refuse,
    release,
)
from sebastian_core.domain.room import AgentRecheck, Decided, Room
from sebastian_core.domain.rules import Rules
from sebastian_core.domain.webhooks import Admission, Resolution, Resolving, admit, resolve
from sebastian_core.ports.agent_settings import AgentSettings
from sebastian_core.ports.journal import Journal
from sebastian_core.ports.room_repo import RoomRepo

T = TypeVar("T")
RULES = some_rules()
NO_TIME = timedelta(0)
AT_ONCE = some_rules(
    settle=NO_TIME,
    reservation=NO_TIME,
    refusal_delay=NO_TIME,
    exclusion=NO_TIME,
    settle_retry=NO_TIME,
    settle_retry_limit=NO_TIME,
)
SLOW = some_rules(
    reservation=timedelta(days=1),
    refusal_delay=timedelta(days=1),
    refusal_delay_limit=timedelta(days=1),
    exclusion=timedelta(days=1),
    exclusion_limit=timedelta(days=1),
)
HORIZON = Horizon.of(RULES)
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
FAR_AHEAD = datetime(2100, 1, 1, tzinfo=UTC)


async def arrive(
    repo: RoomRepo, room_id: str = "room-1", *, rules: Rules = RULES, **about: object
) -> Decided[Admission]:
    """A customer of the room asks for an agent."""
    arrival = an_arrival(room_id, **about)  # type: ignore[arg-type]
    return await repo.decide(arrival.room_id, partial(admit, arrival, rules))


async def arrive_all(repo: RoomRepo, *room_ids: str, **about: object) -> None:
    """Customers of these rooms ask, one after the other."""
    for room_id in room_ids:
        await arrive(repo, room_id, **about)  # type: ignore[arg-type]


async def end(
    repo: RoomRepo, room_id: str = "room-1", service_id: int | None = None, rules: Rules = RULES
) -> Decided[Resolving]:
    """Somebody resolves the room's service."""
    resolution = Resolution(
        room_id=RoomId(room_id), service_id=None if service_id is None else ServiceId(service_id)
    )
    return await repo.decide(RoomId(room_id), partial(resolve, resolution, rules))


async def reserve_one(
    repo: RoomRepo, agent_id: AgentId = ANNE, rules: Rules = RULES
) -> Reservation:
    """The one reservation that this agent gets now."""
    (reservation,) = await repo.reserve(a_plan(an_agent(agent_id), rules=rules), limit=1)
    return reservation


async def assign_one(repo: RoomRepo, agent_id: AgentId = ANNE) -> Reservation:
    """The reservation that was confirmed for this agent."""
    reservation = await reserve_one(repo, agent_id)
    await repo.decide(reservation.chat.room_id, partial(confirm, reservation, RULES))
    return reservation


async def give_back(repo: RoomRepo, reservation: Reservation) -> Decided[FenceOutcome]:
    """The call was surely not applied."""
    decision = partial(release, reservation, "not sent", RULES)
    return await repo.decide(reservation.chat.room_id, decision, alters_line=True)


async def turn_down(
    repo: RoomRepo, reservation: Reservation, rules: Rules = RULES
) -> Decided[FenceOutcome]:
    """The platform said no."""
    decision = partial(refuse, reservation, "no", rules)
    return await repo.decide(reservation.chat.room_id, decision, alters_line=True)


async def skip(
    repo: RoomRepo, reservation: Reservation, *eligible: AgentId, rules: Rules = RULES
) -> Decided[FenceOutcome]:
    """The platform holds only these agents eligible."""
    decision = partial(pass_over, reservation, eligible, rules)
    return await repo.decide(reservation.chat.room_id, decision, alters_line=True)


async def room_of(repo: RoomRepo, room_id: str = "room-1") -> Room:
    """What is known of the room."""
    return (await repo.rooms([RoomId(room_id)]))[RoomId(room_id)]


async def chat_of(repo: RoomRepo, room_id: str = "room-1") -> Chat:
    """The room's live chat."""
    chat = (await room_of(repo, room_id)).chat
    assert chat is not None
    return chat


def rooms_in(reservations: Sequence[Reservation]) -> list[str]:
    """Whose chats were reserved, in that order."""
    return [reservation.chat.room_id for reservation in reservations]


def told(rows: Sequence[HistoryRow]) -> list[tuple[Transition, ChatState | None, ChatState]]:
    """What happened, oldest first."""
    return [(row.move, row.before, row.after) for row in reversed(rows)]


class Admitting:
    """Arrivals and their places."""

    async def test_an_arrival_opens_a_chat_that_waits_with_an_id(self, repo: RoomRepo) -> None:
        decided = await arrive(repo, source="wa", properties={"vip": "yes — “ja”"})

        (change,) = decided.changes
        assert decided.answer is Admission.ADMITTED
        assert change.chat.id > 0
        assert await chat_of(repo) == change.chat
        assert change.chat.state is ChatState.WAITING
        assert change.chat.needs == Needs(WHATSAPP)
        assert change.chat.properties == {"vip": "yes — “ja”"}

    async def test_a_repeat_changes_nothing_not_even_the_version(
        self, repo: RoomRepo, journal: Journal
    ) -> None:
        await arrive(repo)
        before = await chat_of(repo)

        decided = await arrive(repo)

        assert decided.answer is Admission.REPEATED
        assert await chat_of(repo) == before
        assert len(await journal.history(RoomId("room-1"))) == 1

    async def test_a_repeat_on_a_reserved_chat_changes_nothing(self, repo: RoomRepo) -> None:
        await arrive(repo)
        reservation = await reserve_one(repo)

        await arrive(repo)

        assert await chat_of(repo) == reservation.chat

    async def test_fifty_arrivals_of_one_room_at_once_open_one_chat(
        self, repo: RoomRepo, another: RoomRepo
    ) -> None:
        decided = await asyncio.gather(*(arrive(each) for each in [repo, another] * 25))

        answers = Counter(each.answer for each in decided)
        assert answers == {Admission.ADMITTED: 1, Admission.REPEATED: 49}
        assert len(await repo.waiting(10)) == 1

    async def test_arrivals_at_once_stand_in_the_order_in_which_they_came(
        self, repo: RoomRepo
    ) -> None:
        room_ids = [f"room-{number}" for number in range(3000, 0, -1)]

        for first in range(0, 3000, 300):
            crowd = room_ids[first : first + 300]
            await asyncio.gather(*(arrive(repo, room_id) for room_id in crowd))

        assert [chat.room_id for chat in await repo.waiting(5000)] == room_ids

    async def test_times_are_aware_and_in_utc(self, repo: RoomRepo) -> None:
        await arrive(repo)

        chat = await chat_of(repo)
        assert chat.arrived_at.utcoffset() == NO_TIME
        assert chat.arrived_at == chat.ready_at == chat.changed_at

    async def test_a_platform_time_gives_the_place_that_it_says(self, repo: RoomRepo) -> None:
        await arrive(repo, "second")
        await arrive(repo, "first", arrived_at=LONG_AGO)

        assert [chat.room_id for chat in await repo.waiting(10)] == ["first", "second"]

    async def test_large_ids_and_awkward_text_come_back_as_they_were(self, repo: RoomRepo) -> None:
        room_id = "room-\"\\{},NULL'ü☕"
        base = resolved(2**62)

        await arrive(repo, room_id, base=base, source='a\\"b,{c}\nd')

        chat = await chat_of(repo, room_id)
        assert chat.base_service_id == 2**62
        assert chat.base_resolved
        assert chat.source == 'a\\"b,{c}\nd'

    async def test_an_arrival_on_an_assigned_chat_is_remembered_once(self, repo: RoomRepo) -> None:
        await arrive(repo)
        await assign_one(repo)

        answers = [(await arrive(repo)).answer for _ in range(2)]

        assert answers == [Admission.REMEMBERED, Admission.REPEATED]
        chat = await chat_of(repo)
        assert chat.doubt is Doubt.ASKED_AGAIN
        assert chat.asked_again_at is not None

    async def test_a_request_that_proves_the_chat_over_closes_it_and_opens_the_next(
        self, repo: RoomRepo, journal: Journal
    ) -> None:
        await arrive(repo, base=resolved(10))
        first = (await assign_one(repo)).chat

        decided = await arrive(repo, base=resolved(11))

        ending, opening = decided.changes
        assert decided.answer is Admission.SUCCEEDED
        assert (ending.chat.id, ending.chat.state) == (first.id, ChatState.CLOSED)
        assert opening.chat.id > first.id
        assert await chat_of(repo) == opening.chat
        assert (await room_of(repo)).closed_service_id == 11
        assert told(await journal.history(RoomId("room-1")))[-2:] == [
            (Transition.CLOSE, ChatState.ASSIGNED, ChatState.CLOSED),
            (Transition.ADMIT, None, ChatState.WAITING),
        ]


class Resolutions:
    """Ends of chats, in order and out of it."""

    async def test_a_resolve_closes_the_chat_and_frees_the_slot(self, repo: RoomRepo) -> None:
        await arrive(repo)
        await assign_one(repo)

        decided = await end(repo, service_id=5)

        assert decided.answer is Resolving.CLOSED
        assert (await room_of(repo)).chat is None
        assert await repo.held_by(ANNE) == []
        (change,) = decided.changes
        assert change.chat.close_reason is CloseReason.RESOLVED

    async def test_a_room_remembers_how_it_ended(self, repo: RoomRepo) -> None:
        await arrive(repo)
        await assign_one(repo)
        assigned = await chat_of(repo)

        await end(repo, service_id=5)

        room = await room_of(repo)
        assert (room.closed_service_id, room.closed_by_id) == (5, True)
        assert room.last_assigned_at == assigned.assigned_at
        assert room.closed_at is not None
        assert room.closed_at >= assigned.changed_at

    async def test_a_resolve_that_overtakes_its_arrival_is_remembered(self, repo: RoomRepo) -> None:
        decided = await end(repo, service_id=5)

        assert decided.answer is Resolving.REMEMBERED
        assert (await arrive(repo, base=unresolved(5))).answer is Admission.LATE_REPEAT
        assert (await room_of(repo)).chat is None

    async def test_a_repeated_resolve_leaves_the_next_chat_alone(self, repo: RoomRepo) -> None:
        await arrive(repo)
        await end(repo, service_id=5)
        await arrive(repo, base=resolved(5))

        decided = await end(repo, service_id=5)

        assert decided.answer is Resolving.REPEATED
        assert (await chat_of(repo)).base_service_id == 5

    async def test_an_arrival_soon_after_a_close_is_doubtful_and_not_ready(
        self, repo: RoomRepo
    ) -> None:
        await arrive(repo)
        await end(repo)

        decided = await arrive(repo)

        assert decided.answer is Admission.DOUBTFUL
        assert (await chat_of(repo)).is_doubtful
        assert await repo.reserve(a_plan(), limit=5) == ()

    async def test_a_remembered_arrival_opens_the_next_chat_at_its_place(
        self, repo: RoomRepo
    ) -> None:
        await arrive(repo)
        await assign_one(repo)
        await arrive(repo)
        asked_again_at = (await chat_of(repo)).asked_again_at

        decided = await end(repo, service_id=5)

        assert decided.answer is Resolving.CLOSED_AND_NEXT
        following = await chat_of(repo)
        assert following.arrived_at == asked_again_at
        assert following.doubt is Doubt.NEXT_UNPROVEN

    async def test_an_unnamed_resolve_after_a_recent_close_only_raises_doubt(
        self, repo: RoomRepo
    ) -> None:
        await arrive(repo)
        await end(repo)
        await arrive(repo, base=resolved(4))

        decided = await end(repo)

        assert decided.answer is Resolving.DOUBTED
        assert (await chat_of(repo)).doubt is Doubt.UNNAMED_RESOLVE


class Reserving:
    """Who gets which chat."""

    async def test_gives_the_oldest_first(self, repo: RoomRepo) -> None:
        await arrive_all(repo, "a", "b", "c")

        reservations = await repo.reserve(a_plan(capacity=9), limit=2)

        assert rooms_in(reservations) == ["a", "b"]

    async def test_a_reservation_is_what_is_kept(self, repo: RoomRepo) -> None:
        await arrive(repo, properties={"tier": "gold"})

        (reservation,) = await repo.reserve(a_plan(), limit=5)

        assert reservation.chat == await chat_of(repo)
        assert reservation.chat.state is ChatState.RESERVED
        assert reservation.agent_id == reservation.chat.agent_id == ANNE
        assert reservation.deadline_at == reservation.chat.settle_at
        assert reservation.deadline_at == reservation.chat.changed_at + RULES.reservation
        assert reservation.chat.properties == {"tier": "gold"}

    async def test_every_reservation_has_an_id_of_its_own(self, repo: RoomRepo) -> None:
        await arrive_all(repo, "a", "b", "c")
        first = await repo.reserve(a_plan(), limit=2)

        second = await repo.reserve(a_plan(), limit=2)

        assert len({reservation.id for reservation in [*first, *second]}) == 3

    async def test_never_gives_more_than_the_limit_or_the_free_slots(
        self, repo: RoomRepo, agent_settings: AgentSettings
    ) -> None:
        await arrive_all(repo, *(f"room-{number}" for number in range(9)))

        by_limit = await repo.reserve(a_plan(an_agent(ANNE), an_agent(BEN)), limit=4)
        by_slots = await repo.reserve(a_plan(an_agent(ANNE), an_agent(BEN)), limit=9)
        nothing = await repo.reserve(a_plan(an_agent(ANNE), an_agent(BEN)), limit=9)

        assert (len(by_limit), len(by_slots), len(nothing)) == (4, 2, 0)
        assert (await agent_settings.agent_loads()).loads == {ANNE: 3, BEN: 3}

    async def test_a_limit_of_none_gives_none(self, repo: RoomRepo) -> None:
        await arrive(repo)

        assert await repo.reserve(a_plan(), limit=0) == ()

    async def test_gives_nothing_to_who_is_offline(self, repo: RoomRepo) -> None:
        await arrive(repo)

        assert await repo.reserve(a_plan(an_agent(online=False)), limit=5) == ()
        assert (await chat_of(repo)).state is ChatState.WAITING

    async def test_fills_the_least_loaded_first(self, repo: RoomRepo) -> None:
        await arrive(repo, "a")
        await reserve_one(repo, ANNE)
        await arrive_all(repo, "b", "c")

        reservations = await repo.reserve(a_plan(an_agent(ANNE), an_agent(BEN)), limit=2)

        assert reservations[0].agent_id == BEN

    async def test_among_equals_goes_round(self, repo: RoomRepo) -> None:
        agents = [an_agent(agent_id) for agent_id in (ANNE, BEN, CLEO)]
        given = []
        for number in range(6):
            await arrive(repo, f"room-{number}")
            (reservation,) = await repo.reserve(a_plan(*agents), limit=1)
            given.append(reservation.agent_id)
            await end(repo, f"room-{number}", service_id=number + 1)

        assert given == [ANNE, BEN, CLEO, ANNE, BEN, CLEO]

    async def test_serves_each_channel_by_its_own_agents(self, repo: RoomRepo) -> None:
        await arrive_all(repo, "w1", "w2", channel_id=WHATSAPP)
        await arrive_all(repo, "x1", "x2", channel_id=WIDGET)
        plan = a_plan(an_agent(ANNE, channels=(WHATSAPP,)), an_agent(BEN, channels=(WIDGET,)))

        reservations = await repo.reserve(plan, limit=9)

        pairs = {(each.chat.room_id, each.agent_id) for each in reservations}
        assert pairs == {("w1", ANNE), ("w2", ANNE), ("x1", BEN), ("x2", BEN)}

    async def test_a_crowd_that_nobody_serves_hides_nobody(self, repo: RoomRepo) -> None:
        await arrive_all(repo, *(f"w{number}" for number in range(30)), channel_id=WHATSAPP)
        await arrive(repo, "x", channel_id=WIDGET)

        reservations = await repo.reserve(a_plan(an_agent(channels=(WIDGET,))), limit=3)

        assert rooms_in(reservations) == ["x"]

    async def test_a_crowd_whose_only_agent_fills_up_hides_nobody(self, repo: RoomRepo) -> None:
        await arrive_all(repo, *(f"w{number}" for number in range(30)), channel_id=WHATSAPP)
        await arrive_all(repo, "x1", "x2", channel_id=WIDGET)
        plan = a_plan(
            an_agent(ANNE, channels=(WHATSAPP,)),
            an_agent(BEN, channels=(WIDGET,)),
            per_agent={ANNE: 1, BEN: 5},
        )

        reservations = await repo.reserve(plan, limit=3)

        assert rooms_in(reservations) == ["w0", "x1", "x2"]

    async def test_lines_are_merged_by_arrival(self, repo: RoomRepo) -> None:
        for room_id, channel_id in [("1", WHATSAPP), ("2", WIDGET), ("3", None), ("4", WHATSAPP)]:
            await arrive(repo, room_id, channel_id=channel_id)

        reservations = await repo.reserve(a_plan(), limit=3)

        assert rooms_in(reservations) == ["1", "2", "3"]

    async def test_a_policy_that_picks_the_youngest_is_cut_at_its_oldest(
        self, repo: RoomRepo
    ) -> None:
        await arrive_all(repo, "a", "b", "c")

        reservations = await repo.reserve(a_plan(policy=Youngest()), limit=2)

        assert sorted(rooms_in(reservations)) == ["a", "b"]

    async def test_a_policy_that_cheats_is_replaced_and_told(self, repo: RoomRepo) -> None:
        complaints: list[Exception] = []
        await arrive_all(repo, "a", "b")
        agents = [an_agent(ANNE), an_agent(BEN)]
        plan = a_plan(*agents, policy=Overbooking(), capacity=1, on_refused=complaints.append)

        reservations = await repo.reserve(plan, limit=5)

        assert [each.agent_id for each in reservations] == [ANNE, BEN]
        assert complaints

    async def test_paused_agents_get_nothing_until_they_go_on(
        self, repo: RoomRepo, agent_settings: AgentSettings
    ) -> None:
        await arrive(repo)
        await agent_settings.set_agent(ANNE, lambda _: AgentSetting(paused=True), actor="lead")
        paused = await repo.reserve(a_plan(), limit=5)

        await agent_settings.set_agent(ANNE, lambda _: AgentSetting(), actor="lead")

        assert paused == ()
        assert len(await repo.reserve(a_plan(), limit=5)) == 1

    async def test_capacity_set_by_people_counts(
        self, repo: RoomRepo, agent_settings: AgentSettings
    ) -> None:
        await arrive_all(repo, *(f"room-{number}" for number in range(9)))
        await agent_settings.set_agent(ANNE, lambda _: AgentSetting(capacity=1), actor="lead")
        await agent_settings.set_default_capacity(2, actor="lead")

        reservations = await repo.reserve(a_plan(an_agent(ANNE), an_agent(BEN)), limit=9)

        assert Counter(each.agent_id for each in reservations) == {ANNE: 1, BEN: 2}

    async def test_twenty_takers_and_two_slots_make_two_winners(
        self, repo: RoomRepo, another: RoomRepo
    ) -> None:
        await arrive_all(repo, *(f"room-{number}" for number in range(5)))
        plan = a_plan(capacity=2)

        taken = await asyncio.gather(
            *(each.reserve(plan, limit=5) for each in [repo, another] * 10)
        )

        assert sorted(rooms_in([one for each in taken for one in each])) == ["room-0", "room-1"]
        assert len(await repo.held_by(ANNE)) == 2

    async def test_takers_at_once_never_take_one_chat_twice(
        self, repo: RoomRepo, another: RoomRepo
    ) -> None:
        await arrive_all(repo, *(f"room-{number}" for number in range(12)))
        plan = a_plan(capacity=99)

        taken = await asyncio.gather(*(each.reserve(plan, limit=3) for each in [repo, another] * 4))

        given = Counter(one.chat.id for each in taken for one in each)
        assert len(given) == 12
        assert set(given.values()) == {1}

    async def test_adopted_chats_count_as_load(self, repo: RoomRepo) -> None:
        await adopt_listed(repo, "given-by-hand")
        await arrive_all(repo, "a", "b")

        reservations = await repo.reserve(a_plan(capacity=2), limit=5)

        assert rooms_in(reservations) == ["a"]

    async def test_the_pass_is_explained_with_the_reservation(
        self, repo: RoomRepo, journal: Journal
    ) -> None:
        await arrive(repo)
        agents = [an_agent(ANNE), an_agent(BEN), an_agent(CLEO, online=False)]

        await repo.reserve(a_plan(*agents), limit=1)

        row = (await journal.history(RoomId("room-1")))[0]
        assert row.move is Transition.RESERVE
        assert (row.details["load"], row.details["capacity"]) == (0, 3)
        assert row.details["nearest"] == [[ANNE, 0, 3], [BEN, 0, 3]]
        assert row.details["standings"] == {"free": 2, "offline": 1}


class Youngest(Policy):
    """Gives the youngest chats first."""

    def place(
        self, chats: Sequence[ReadyChat], candidates: Sequence[Candidate]
    ) -> Sequence[Placement]:
        agent = candidates[0]
        return [Placement(chat.id, agent.agent_id) for chat in reversed(chats)][: agent.free]


class Overbooking(Policy):
    """Gives everything to the first who comes."""

    def place(
        self, chats: Sequence[ReadyChat], candidates: Sequence[Candidate]
    ) -> Sequence[Placement]:
        return [Placement(chat.id, candidates[0].agent_id) for chat in chats]


class Fences:
    """What becomes of a reservation, and of those who come too late."""

    async def test_a_confirmed_chat_is_assigned_and_keeps_its_slot(self, repo: RoomRepo) -> None:
        await arrive(repo)
        reservation = await reserve_one(repo)

        decided = await repo.decide(reservation.chat.room_id, partial(confirm, reservation, RULES))

        assert decided.answer is FenceOutcome.DONE
        chat = await chat_of(repo)
        assert (chat.state, chat.agent_id, chat.settle_at) == (ChatState.ASSIGNED, ANNE, None)
        assert [each.id for each in await repo.held_by(ANNE)] == [chat.id]

    async def test_a_released_chat_stands_where_it_stood(self, repo: RoomRepo) -> None:
        await arrive_all(repo, "a", "b")
        reservation = await reserve_one(repo)

        await give_back(repo, reservation)

        assert [chat.room_id for chat in await repo.waiting(5)] == ["a", "b"]
        assert rooms_in(await repo.reserve(a_plan(), limit=1)) == ["a"]

    async def test_a_word_about_a_reservation_that_is_over_changes_nothing(
        self, repo: RoomRepo
    ) -> None:
        await arrive(repo)
        old = await reserve_one(repo)
        await give_back(repo, old)
        new = await reserve_one(repo)

        assert (await give_back(repo, old)).answer is FenceOutcome.GONE
        assert (await turn_down(repo, old)).answer is FenceOutcome.GONE
        assert await chat_of(repo) == new.chat

    async def test_a_late_success_is_settled_and_its_agent_watched(self, repo: RoomRepo) -> None:
        await arrive(repo)
        old = await reserve_one(repo)
        await give_back(repo, old)

        decided = await repo.decide(old.chat.room_id, partial(confirm, old, AT_ONCE))

        assert decided.answer is FenceOutcome.GONE
        assert (await chat_of(repo)).doubt is Doubt.LATE_SUCCESS
        assert await repo.take_rechecks(5) == [ANNE]

    async def test_a_refused_chat_rests_at_its_place_and_lets_others_pass(
        self, repo: RoomRepo
    ) -> None:
        await arrive_all(repo, "a", "b")
        await turn_down(repo, await reserve_one(repo))

        assert [chat.room_id for chat in await repo.waiting(5)] == ["a", "b"]
        assert rooms_in(await repo.reserve(a_plan(), limit=5)) == ["b"]

    async def test_a_refused_chat_whose_rest_is_over_is_ready_and_prefers_another(
        self, repo: RoomRepo
    ) -> None:
        await arrive(repo)
        await turn_down(repo, await reserve_one(repo, ANNE), AT_ONCE)

        (reservation,) = await repo.reserve(a_plan(an_agent(ANNE), an_agent(BEN)), limit=5)

        assert reservation.agent_id == BEN
        assert reservation.chat.refusals == 1

    async def test_a_passed_over_chat_is_kept_to_the_eligible(self, repo: RoomRepo) -> None:
        await arrive_all(repo, "a", "b")
        await skip(repo, await reserve_one(repo, ANNE), BEN, CLEO)

        to_anne = await repo.reserve(a_plan(an_agent(ANNE)), limit=5)
        to_ben = await repo.reserve(a_plan(an_agent(BEN)), limit=5)

        assert (rooms_in(to_anne), rooms_in(to_ben)) == (["b"], ["a"])

    async def test_exclusions_are_lifted_when_their_time_is_up(self, repo: RoomRepo) -> None:
        await arrive_all(repo, "a", "b")
        await skip(repo, await reserve_one(repo), BEN, rules=AT_ONCE)
        await skip(repo, await reserve_one(repo), BEN, rules=RULES)

        lifted = await repo.lift_exclusions()

        assert lifted == 1
        assert (await chat_of(repo, "a")).needs == Needs(WHATSAPP)
        assert (await chat_of(repo, "b")).needs == Needs(WHATSAPP, frozenset({BEN}))
        assert rooms_in(await repo.reserve(a_plan(), limit=5)) == ["a"]
        assert await repo.lift_exclusions() == 0


class Settling:
    """Chats that we are not sure of."""

    async def test_a_reservation_is_due_from_its_deadline_on(self, repo: RoomRepo) -> None:
        await arrive_all(repo, "a", "b")
        await reserve_one(repo, rules=RULES)
        await reserve_one(repo, rules=AT_ONCE)

        assert [chat.room_id for chat in await repo.due(5)] == ["b"]

    async def test_the_longest_due_come_first_and_no_more_than_asked(self, repo: RoomRepo) -> None:
        await arrive_all(repo, "a", "b", "c")
        for _ in range(3):
            await reserve_one(repo, rules=AT_ONCE)

        due = await repo.due(2)

        assert [chat.room_id for chat in due] == ["a", "b"]

    async def test_a_reading_is_applied_to_the_version_it_was_made_for(
        self, repo: RoomRepo
    ) -> None:
        await arrive(repo)
        reservation = await reserve_one(repo)
        stale = reservation.chat.version
        await unknown(repo, reservation)

        decided = await found(repo, await chat_of(repo), RoomState.WAITING, version=stale)

        assert decided.answer is Outcome.STALE

    async def test_a_suspect_keeps_its_slot_until_it_is_settled(self, repo: RoomRepo) -> None:
        await arrive(repo)
        await unknown(repo, await reserve_one(repo))
        load = len(await repo.held_by(ANNE))

        decided = await found(repo, await chat_of(repo), RoomState.RESOLVED)

        assert load == 1
        assert decided.answer is Outcome.CLOSED
        assert await repo.held_by(ANNE) == []

    async def test_a_doubtful_chat_is_ready_once_it_was_found_waiting(self, repo: RoomRepo) -> None:
        await arrive(repo)
        await end(repo)
        await arrive(repo)

        await found(repo, await chat_of(repo), RoomState.WAITING)

        assert rooms_in(await repo.reserve(a_plan(), limit=5)) == ["room-1"]

    async def test_a_look_that_is_put_off_is_silent(self, repo: RoomRepo, journal: Journal) -> None:
        await arrive(repo)
        chat = (await reserve_one(repo, rules=AT_ONCE)).chat
        rows = len(await journal.history(chat.room_id))

        await repo.decide(chat.room_id, partial(postpone, chat.id, chat.version, RULES))

        later = await chat_of(repo)
        assert later.version == chat.version
        assert later.settle_at is not None
        assert chat.settle_at is not None
        assert later.settle_at > chat.settle_at
        assert await repo.due(5) == []
        assert len(await journal.history(chat.room_id)) == rows

    async def test_a_suspicion_keeps_the_moment_of_the_last_change(self, repo: RoomRepo) -> None:
        await arrive(repo)
        chat = await chat_of(repo)

        await repo.decide(
            chat.room_id, partial(suspect, chat.id, chat.version, Doubt.NOT_LISTED, RULES)
        )

        suspected = await chat_of(repo)
        assert suspected.changed_at == chat.changed_at
        assert suspected.version == chat.version + 1
        assert suspected.doubt is Doubt.NOT_LISTED

    async def test_a_listed_room_is_adopted_and_closes_like_any_other(self, repo: RoomRepo) -> None:
        decided = await adopt_listed(repo)

        assert decided.answer is Adopting.ADOPTED
        (chat,) = await repo.held_by(ANNE)
        assert (chat.adopted, chat.state) == (True, ChatState.ASSIGNED)
        assert (await end(repo, service_id=3)).answer is Resolving.CLOSED

    async def test_a_waiting_chat_that_somebody_else_gave_is_converted(
        self, repo: RoomRepo
    ) -> None:
        await arrive(repo)

        decided = await adopt_listed(repo, began_at=FAR_AHEAD)

        assert decided.answer is Adopting.CONVERTED
        assert await repo.waiting(5) == []
        assert len(await repo.held_by(ANNE)) == 1


async def unknown(repo: RoomRepo, reservation: Reservation) -> None:
    """The answer of the call never came."""
    decision = partial(doubt_attempt, reservation, Doubt.UNKNOWN_ANSWER, RULES)
    await repo.decide(reservation.chat.room_id, decision)


async def found(
    repo: RoomRepo, chat: Chat, state: RoomState, *, version: int | None = None
) -> Decided[Outcome]:
    """A reading that is young enough shows the room in this state."""
    evidence = Evidence(state=state, began_at=FAR_AHEAD)
    decision = partial(settle, chat.id, version or chat.version, evidence, RULES)
    return await repo.decide(chat.room_id, decision, alters_line=True)


async def adopt_listed(
    repo: RoomRepo, room_id: str = "room-1", *, began_at: datetime = FAR_AHEAD
) -> Decided[Adopting]:
    """Anne's rooms show this one."""
    listed = Listed(room_id=RoomId(room_id), agent_id=ANNE, began_at=began_at)
    return await repo.decide(RoomId(room_id), partial(adopt, listed, RULES), alters_line=True)


class Deciding:
    """The frame of every decision."""

    async def test_an_unknown_room_is_read_as_an_empty_one(self, repo: RoomRepo) -> None:
        seen: list[Room] = []

        await repo.decide(RoomId("new"), lambda room, now: _note(seen, room))

        assert seen[-1] == Room(room_id=RoomId("new"))

    async def test_a_room_that_nothing_was_decided_for_stays_unheard_of(
        self, repo: RoomRepo
    ) -> None:
        await repo.decide(RoomId("new"), lambda room, now: Decided("nothing"))

        assert await repo.rooms([RoomId("new"), RoomId("newer")]) == {}

    async def test_a_decision_that_raises_writes_nothing_and_hurts_nobody(
        self, repo: RoomRepo
    ) -> None:
        def burst(room: Room, now: datetime) -> Decided[None]:
            raise ZeroDivisionError("a bug")

        calls = [arrive(repo, f"room-{number}") for number in range(5)]
        outcomes = await asyncio.gather(
            *calls, repo.decide(RoomId("bad"), burst), return_exceptions=True
        )

        assert isinstance(outcomes[-1], ZeroDivisionError)
        assert len(await repo.waiting(10)) == 5
        assert await repo.rooms([RoomId("bad")]) == {}

    async def test_decisions_about_one_room_never_interleave(
        self, repo: RoomRepo, another: RoomRepo, journal: Journal
    ) -> None:
        await arrive(repo)
        reservation = await reserve_one(repo)
        decisions = [
            partial(confirm, reservation, RULES),
            partial(release, reservation, "late", RULES),
        ]

        decided = await asyncio.gather(
            *(
                each.decide(RoomId("room-1"), decision, alters_line=altering)
                for each in (repo, another)
                for decision in decisions
                for altering in (False, True)
            )
        )

        rows = await journal.history(RoomId("room-1"))
        assert [each.answer for each in decided].count(FenceOutcome.DONE) == 1
        assert sorted(row.version for row in rows) == list(range(1, len(rows) + 1))

    async def test_time_does_not_go_back_between_decisions(self, repo: RoomRepo) -> None:
        moments: list[datetime] = []

        for _ in range(5):
            await repo.decide(RoomId("a"), lambda room, now: _note(moments, now))

        assert all(earlier <= later for earlier, later in pairwise(moments))

    async def test_wishes_to_watch_are_taken_off_once_and_when_due(self, repo: RoomRepo) -> None:
        wishes = (
            AgentRecheck(agent_id=ANNE, list_at=LONG_AGO),
            AgentRecheck(agent_id=BEN, list_at=FAR_AHEAD),
            AgentRecheck(agent_id=CLEO, list_at=FAR_AHEAD),
        )
        await repo.decide(RoomId("a"), lambda room, now: Decided(None, watches=wishes))

        assert await repo.take_rechecks(5) == [ANNE]
        assert await repo.take_rechecks(5) == []

    async def test_a_later_wish_to_watch_an_agent_counts(self, repo: RoomRepo) -> None:
        first = (AgentRecheck(agent_id=ANNE, list_at=LONG_AGO),)
        later = (AgentRecheck(agent_id=ANNE, list_at=FAR_AHEAD),)

        await repo.decide(RoomId("a"), lambda room, now: Decided(None, watches=first))
        await repo.decide(RoomId("b"), lambda room, now: Decided(None, watches=later))

        assert await repo.take_rechecks(5) == []


def _note(seen: list[T], value: T) -> Decided[None]:
    seen.append(value)
    return Decided(None)


class Telling:
    """What the repo tells of itself."""

    async def test_the_line_is_told_page_by_page(self, repo: RoomRepo) -> None:
        await arrive_all(repo, "a", "b", "c", channel_id=WIDGET)
        await arrive(repo, "d", channel_id=WHATSAPP)

        page = await repo.waiting(3)
        rest = await repo.waiting(3, after=(page[-1].arrived_at, page[-1].id))

        assert [chat.room_id for chat in page] == ["a", "b", "c"]
        assert [chat.room_id for chat in rest] == ["d"]

    async def test_holdings_bound_what_the_platform_may_count(
        self, repo: RoomRepo, agent_settings: AgentSettings
    ) -> None:
        await arrive_all(repo, "a", "b", "c")
        await assign_one(repo)
        await assign_one(repo)
        await end(repo, "a", service_id=1)
        await reserve_one(repo)
        now = (await agent_settings.agent_loads()).now

        soon = await repo.count_bounds(now, timedelta(hours=1))
        later = await repo.count_bounds(now + timedelta(hours=1), NO_TIME)

        assert soon == {ANNE: CountBounds(0, 3)}
        assert later == {ANNE: CountBounds(1, 2)}

    async def test_only_delayed_chats_are_hastened(self, repo: RoomRepo) -> None:
        await arrive_all(repo, "a", "b")
        await turn_down(repo, await reserve_one(repo))
        version = (await chat_of(repo, "a")).version

        assert await repo.hasten(FAR_AHEAD) == 0
        assert await repo.hasten(LONG_AGO) == 1
        assert await repo.hasten(LONG_AGO) == 0
        assert (await chat_of(repo, "a")).version == version + 1
        assert rooms_in(await repo.reserve(a_plan(), limit=5)) == ["a", "b"]


class Keeping:
    """Leases, and what is forgotten."""

    async def test_a_chat_that_rests_longer_than_one_can_is_ready_again(
        self, repo: RoomRepo
    ) -> None:
        await arrive(repo)
        await turn_down(repo, await reserve_one(repo), SLOW)
        resting = await repo.reserve(a_plan(), limit=5)

        assert await repo.bring_back(HORIZON) == 1

        assert resting == ()
        assert rooms_in(await repo.reserve(a_plan(), limit=5)) == ["room-1"]

    async def test_a_reservation_whose_deadline_is_too_far_away_is_due(
        self, repo: RoomRepo
    ) -> None:
        await arrive(repo)
        await reserve_one(repo, rules=SLOW)
        before = await repo.due(5)

        assert await repo.bring_back(HORIZON) == 1

        assert before == []
        assert [chat.room_id for chat in await repo.due(5)] == ["room-1"]

    async def test_agents_who_are_passed_over_for_too_long_are_tried_again(
        self, repo: RoomRepo
    ) -> None:
        await arrive(repo)
        await skip(repo, await reserve_one(repo), BEN, rules=SLOW)
        await repo.bring_back(HORIZON)

        assert await repo.lift_exclusions() == 1

    async def test_an_arrival_that_lies_ahead_stands_before_those_that_come(
        self, repo: RoomRepo
    ) -> None:
        await arrive(repo, "second", arrived_at=FAR_AHEAD + timedelta(hours=1))
        await arrive(repo, "third", arrived_at=FAR_AHEAD)
        await arrive(repo, "first")
        await repo.bring_back(HORIZON)
        await arrive(repo, "fourth")

        line = await repo.waiting(9)

        assert [chat.room_id for chat in line] == ["first", "second", "third", "fourth"]

    async def test_what_is_as_far_ahead_as_it_may_be_stays(self, repo: RoomRepo) -> None:
        await arrive_all(repo, "a", "b", "c")
        await turn_down(repo, await reserve_one(repo))
        await skip(repo, await reserve_one(repo), BEN)
        await reserve_one(repo)
        await end(repo, "d", service_id=5)
        before = await repo.rooms(map(RoomId, "abcd"))

        assert await repo.bring_back(HORIZON) == 0
        assert await repo.rooms(map(RoomId, "abcd")) == before


class Steered:
    """What people do by hand."""

    async def test_a_chat_given_by_hand_holds_a_slot_from_that_moment(
        self, repo: RoomRepo, agent_settings: AgentSettings, journal: Journal
    ) -> None:
        await arrive_all(repo, "a", "b")

        decided = await give_by_hand(repo, "b")

        chat, agent_loads = await chat_of(repo, "b"), await agent_settings.agent_loads()
        assert decided.answer.reservation == Reservation.of(chat)
        assert agent_loads.loads == {ANNE: 1}
        assert agent_loads.settings[ANNE].last_given_at == chat.changed_at
        newest, *_ = await journal.history(RoomId("b"))
        assert (newest.move, newest.actor) == (Transition.RESERVE, "lead")
        assert newest.details == {"load": 0, "capacity": 3}

    async def test_the_last_slot_is_given_once_by_hand_and_by_the_plan(
        self, repo: RoomRepo, another: RoomRepo, agent_settings: AgentSettings
    ) -> None:
        await arrive_all(repo, *"abcdef")
        plan, both = a_plan(capacity=1), (repo, another)

        by_hand = asyncio.gather(
            *(give_by_hand(each, room_id, capacity=1) for each in both for room_id in "abc")
        )
        by_plan = asyncio.gather(*(each.reserve(plan, limit=3) for each in both))
        given, planned = await by_hand, await by_plan

        won = sum(each.answer.outcome is ManualOutcome.DONE for each in given)
        assert won + sum(map(len, planned)) == 1
        assert (await agent_settings.agent_loads()).loads == {ANNE: 1}

    async def test_reservations_by_hand_and_by_plan_have_ids_of_their_own(
        self, repo: RoomRepo
    ) -> None:
        await arrive_all(repo, "a", "b")

        by_hand = (await give_by_hand(repo, "b")).answer.reservation
        by_plan = await reserve_one(repo)

        assert by_hand is not None
        assert by_hand.id != by_plan.id

    async def test_a_refused_wish_writes_nothing(self, repo: RoomRepo, journal: Journal) -> None:
        await arrive(repo)

        decided = await give_by_hand(repo, "room-1", capacity=0)

        assert decided.answer.outcome is ManualOutcome.FULL
        assert (await chat_of(repo)).state is ChatState.WAITING
        assert len(await journal.history(RoomId("room-1"))) == 1

    async def test_a_dropped_room_is_remembered_until_its_customer_asks_again(
        self, repo: RoomRepo
    ) -> None:
        await arrive(repo)

        await repo.decide(RoomId("room-1"), partial(drop, "lead"))

        assert (await room_of(repo)).dropped
        await arrive(repo, rules=AT_ONCE)
        await end(repo, service_id=3, rules=AT_ONCE)
        assert not (await room_of(repo)).dropped


async def give_by_hand(
    repo: RoomRepo, room_id: str, *, capacity: int = 3
) -> Decided[ManualAssignment]:
    """A person gives Anne the room."""
    wish = AssignRequest(agent_id=ANNE, actor="lead")
    capacities = CapacityRules(default=capacity)
    roster = a_plan().roster
    return await repo.decide_on_floor(
        RoomId(room_id), partial(hand_over, wish, roster, capacities, RULES)
    )


class RoomRepoContract(
    Steered,
    Admitting,
    Resolutions,
    Reserving,
    Fences,
    Settling,
    Deciding,
    Telling,
    Keeping,
):
    """Inherit it and provide the fixtures `repo` and `another`, `agent_settings` and `journal`.

    `another` is the same store as another process sees it; the others are beside `repo`.
    """
