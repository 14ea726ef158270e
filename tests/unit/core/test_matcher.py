"""One look at the floor: who is free, which lines are read, and what a bad policy cannot do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from itertools import pairwise

import pytest
from attrs import define, field
from hypothesis import given, settings
from hypothesis import strategies as st

from sebastian_core.domain.agent_loads import AgentLoads, AgentSetting, CapacityRules
from sebastian_core.domain.chat import Needs
from sebastian_core.domain.ids import AgentId, ChatId
from sebastian_core.domain.matcher import AgentPool, Availability, Free, Matcher
from sebastian_core.domain.policy import Candidate, LeastLoaded, Placement, Policy, ReadyChat
from sebastian_core.domain.roster import Presence, Roster
from tests.unit.core.building import (
    ANNE,
    BEN,
    CLEO,
    NOW,
    WHATSAPP,
    WIDGET,
    a_presence,
    a_ready_chat,
    a_roster,
    agent_loads,
    at,
)


def standing_of(presence: Presence, now: AgentLoads | None = None, **plan: object) -> Availability:
    floor = Matcher(a_roster(presence), **plan).look(now or agent_loads())  # type: ignore[arg-type]
    return floor.agents[presence.agent_id].standing


class TestAnAgentStands:
    def test_free_when_online_and_below_capacity(self) -> None:
        assert standing_of(a_presence(), agent_loads(loads={ANNE: 2})) is Availability.FREE

    def test_full_at_capacity(self) -> None:
        assert standing_of(a_presence(), agent_loads(loads={ANNE: 3})) is Availability.FULL

    def test_full_beyond_a_capacity_that_was_lowered(self) -> None:
        lowered = agent_loads(loads={ANNE: 3}, settings={ANNE: AgentSetting(capacity=1)})

        assert standing_of(a_presence(), lowered) is Availability.FULL

    def test_full_with_a_capacity_of_nought(self) -> None:
        none = agent_loads(settings={ANNE: AgentSetting(capacity=0)})

        assert standing_of(a_presence(), none) is Availability.FULL

    def test_offline_whatever_else(self) -> None:
        assert standing_of(a_presence(online=False)) is Availability.OFFLINE

    def test_paused_when_a_person_paused_them(self) -> None:
        paused = agent_loads(settings={ANNE: AgentSetting(paused=True)})

        assert standing_of(a_presence(), paused) is Availability.PAUSED

    def test_stale_when_their_reading_is_older_than_allowed(self) -> None:
        old = a_presence(read_at=at(-31))

        assert standing_of(old, max_age=timedelta(seconds=30)) is Availability.STALE

    def test_free_when_their_reading_is_just_young_enough(self) -> None:
        old = a_presence(read_at=at(-30))

        assert standing_of(old, max_age=timedelta(seconds=30)) is Availability.FREE

    def test_free_at_any_age_where_a_reading_is_made_for_every_call(self) -> None:
        assert standing_of(a_presence(read_at=at(-3600))) is Availability.FREE


class TestCapacity:
    rules = CapacityRules(default=3, per_agent={BEN: 5})

    @pytest.mark.parametrize(
        ("agent_id", "setting", "default", "capacity"),
        [
            (ANNE, AgentSetting(), None, 3),
            (ANNE, AgentSetting(), 4, 4),
            (BEN, AgentSetting(), 4, 5),
            (BEN, AgentSetting(capacity=1), 4, 1),
            (ANNE, AgentSetting(capacity=0), None, 0),
            (ANNE, AgentSetting(), 0, 0),
        ],
    )
    def test_is_the_agents_own_else_the_files_else_the_default(
        self, agent_id: AgentId, setting: AgentSetting, default: int | None, capacity: int
    ) -> None:
        now = agent_loads(default_capacity=default)

        assert self.rules.of(agent_id, setting, now) == capacity


class TestTheFloor:
    def floor(self, **plan: object) -> AgentPool:
        """Anne is free for WhatsApp, Ben for everything, Cleo is full."""
        roster = a_roster(
            a_presence(ANNE, channels=frozenset({WHATSAPP})), a_presence(BEN), a_presence(CLEO)
        )
        now = agent_loads(loads={CLEO: 3, BEN: 1})
        return Matcher(roster, **plan).look(now)  # type: ignore[arg-type]

    def test_counts_the_slots_of_free_agents_only(self) -> None:
        assert self.floor().free.slots == 3 + 2

    def test_opens_the_lines_whose_needs_some_free_agent_meets(self) -> None:
        nobody = Needs(only=frozenset({CLEO}))
        needs = [Needs(), Needs(WIDGET), nobody, Needs(WIDGET, frozenset({ANNE}))]

        assert self.floor().open_needs(needs) == [Needs(), Needs(WIDGET)]

    def test_lets_every_agent_take_every_channel_where_channels_are_not_to_be_matched(self) -> None:
        needs = Needs(WIDGET, frozenset({ANNE}))

        assert self.floor(match_channels=False).open_needs([needs]) == [needs]

    def test_puts_chats_in_order_before_the_policy_sees_them(self) -> None:
        chats = [a_ready_chat(number) for number in (3, 1, 2)]

        placed = self.floor().place(chats).placements

        assert [each.chat_id for each in placed] == [1, 2, 3]

    def test_orders_chats_of_one_moment_by_id(self) -> None:
        chats = [a_ready_chat(number, arrived_at=NOW) for number in (2, 1)]

        assert [each.chat_id for each in self.floor().place(chats).placements] == [1, 2]

    def test_explains_by_name_who_was_near_and_by_reason_who_was_not(self) -> None:
        explained = self.floor().explain(Needs(WIDGET))

        assert explained == {
            "nearest": [[BEN, 1, 3]],
            "standings": {"other channel": 1, "free": 1, "full": 1},
        }

    def test_explains_that_an_agent_is_not_eligible_for_the_room(self) -> None:
        standings = self.floor().standings(Needs(only=frozenset({BEN})))

        assert standings == {Availability.NOT_ELIGIBLE: 2, Availability.FREE: 1}


AGENTS = st.integers(1, 5).map(AgentId)
STAFFINGS = st.builds(
    AgentLoads,
    st.just(NOW) | st.just(at(40)),
    st.dictionaries(AGENTS, st.integers(0, 4)),
    st.dictionaries(
        AGENTS,
        st.builds(
            AgentSetting, st.booleans(), st.none() | st.integers(0, 4), st.none() | st.just(at(-5))
        ),
    ),
    st.none() | st.integers(0, 3),
)
ROSTERS = st.lists(
    st.builds(
        Presence,
        AGENTS,
        st.booleans(),
        st.just(NOW) | st.just(at(20)),
        st.frozensets(st.sampled_from([WHATSAPP, WIDGET])),
    ),
    unique_by=lambda presence: presence.agent_id,
).map(lambda presences: a_roster(*presences))
NEEDS = st.builds(
    Needs,
    st.none() | st.sampled_from([WHATSAPP, WIDGET]),
    st.none() | st.frozensets(AGENTS, max_size=3),
)


def differing(before: AgentLoads, now: AgentLoads) -> set[AgentId]:
    return {
        agent_id
        for agent_id in map(AgentId, range(1, 6))
        if before.loads.get(agent_id) != now.loads.get(agent_id)
        or before.settings.get(agent_id) != now.settings.get(agent_id)
    }


class TestALaterFloor:
    @given(ROSTERS, st.lists(STAFFINGS, min_size=2, max_size=4), st.booleans(), st.lists(NEEDS))
    @settings(max_examples=150, deadline=None)
    def test_is_what_a_look_at_everybody_would_show(
        self, roster: Roster, moments: list[AgentLoads], verify: bool, wanted: list[Needs]
    ) -> None:
        plan = Matcher(roster, max_age=None if verify else timedelta(seconds=30))
        floor = plan.look(moments[0])
        for before, now in pairwise(moments):
            floor = plan.look_again(floor, now, differing(before, now))

        anew = plan.look(moments[-1])
        assert floor == anew
        assert floor.open_needs(wanted) == anew.open_needs(wanted)
        assert [floor.explain(needs) for needs in wanted] == [anew.explain(n) for n in wanted]

    def test_of_another_plan_is_looked_at_anew(self) -> None:
        before = Matcher(a_roster(a_presence(ANNE))).look(agent_loads())

        floor = Matcher(a_roster(a_presence(BEN))).look_again(before, agent_loads(), frozenset())

        assert list(floor.agents) == [BEN]


CANDIDATES = st.builds(
    Candidate,
    st.integers(1, 90).map(AgentId),
    st.integers(0, 3),
    st.just(4),
    last_given_at=st.none() | st.integers(-9, 0).map(at),
)


class TestThoseWhoAreFree:
    @given(
        st.lists(CANDIDATES, min_size=30, max_size=60, unique_by=lambda each: each.agent_id),
        st.lists(CANDIDATES, max_size=4, unique_by=lambda each: each.agent_id),
        st.integers(0, 4),
    )
    @settings(max_examples=150, deadline=None)
    def test_are_in_order_after_a_few_changed_as_if_all_were_sorted(
        self, before: list[Candidate], come: list[Candidate], leaving: int
    ) -> None:
        moved = {each.agent_id for each in come}
        left = {each.agent_id for each in before[:leaving]}
        gone = [each for each in before if each.agent_id in moved | left]
        stay = [each for each in before if each not in gone]

        assert Free.of(before).later(gone, come) == Free.of([*stay, *come])


class TestManyAgents:
    @given(ROSTERS, STAFFINGS, NEEDS)
    @settings(max_examples=200, deadline=None)
    def test_are_counted_as_one_by_one(self, roster: Roster, now: AgentLoads, needs: Needs) -> None:
        floor = Matcher(roster).look(now)

        one_by_one = Counter(floor.standing_of(agent_id, needs) for agent_id in floor.agents)
        assert floor.standings(needs) == one_by_one
        able = [each for each in floor.candidates.values() if each.meets(needs)]
        assert bool(floor.open_needs([needs])) == bool(able)


@define
class Bent(Policy):
    """A policy that answers what it was told to, or raises it."""

    answer: object
    seen: list[ReadyChat] = field(factory=list)

    def place(
        self, chats: Sequence[ReadyChat], candidates: Sequence[Candidate]
    ) -> Sequence[Placement]:
        self.seen = list(chats)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer  # type: ignore[return-value]


class TestAPolicyOfSomebodyElse:
    def place(self, policy: Policy) -> tuple[list[tuple[int, int]], list[Exception]]:
        told: list[Exception] = []
        plan = Matcher(a_roster(a_presence(ANNE)), policy=policy, on_refused=told.append)
        choice = plan.look(agent_loads()).place([a_ready_chat(1), a_ready_chat(2)])
        return [(each.chat_id, each.agent_id) for each in choice.placements], told

    def test_can_choose_otherwise_than_ours(self) -> None:
        placed, told = self.place(Bent([Placement(ChatId(2), ANNE)]))

        assert (placed, told) == ([(2, ANNE)], [])

    def test_can_answer_with_an_iterator(self) -> None:
        placed, told = self.place(Bent(iter([Placement(ChatId(2), ANNE)])))

        assert (placed, told) == ([(2, ANNE)], [])

    @pytest.mark.parametrize(
        "answer",
        [
            ZeroDivisionError("oops"),
            None,
            [None],
            [Placement(ChatId(1), BEN)],
            [Placement(ChatId(9), ANNE)],
            [Placement(ChatId(1), ANNE), Placement(ChatId(1), ANNE)],
        ],
    )
    def test_cannot_stop_the_floor_by_raising_or_cheating(self, answer: object) -> None:
        placed, told = self.place(Bent(answer))

        assert placed == [(1, ANNE), (2, ANNE)]
        assert len(told) == 1

    def test_cannot_hide_chats_by_emptying_what_it_was_shown(self) -> None:
        class Thief(Policy):
            def place(
                self, chats: Sequence[ReadyChat], candidates: Sequence[Candidate]
            ) -> Sequence[Placement]:
                chats.clear()  # type: ignore[attr-defined]
                candidates.clear()  # type: ignore[attr-defined]
                return []

        placed, told = self.place(Thief())

        assert placed == [(1, ANNE), (2, ANNE)]
        assert isinstance(told[0], AttributeError)

    def test_built_upon_ours_falls_back_to_ours_too(self) -> None:
        class Derived(LeastLoaded):
            def place(
                self, chats: Sequence[ReadyChat], candidates: Sequence[Candidate]
            ) -> Sequence[Placement]:
                raise KeyError("region")

        placed, told = self.place(Derived())

        assert placed == [(1, ANNE), (2, ANNE)]
        assert isinstance(told[0], KeyError)

    def test_what_breaks_the_shipped_policy_is_not_hidden(self) -> None:
        plan = Matcher(a_roster(a_presence(ANNE)))

        with pytest.raises(AttributeError):
            plan.look(agent_loads()).place([a_ready_chat(1, needs=None)])
