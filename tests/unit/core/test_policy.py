"""Who gets which chat: least loaded, oldest first, never against what an agent brings."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from sebastian_adapters.testing.policies import candidates, ready_chats
from sebastian_core.domain.chat import Needs
from sebastian_core.domain.errors import PlanRefused
from sebastian_core.domain.ids import AgentId, ChatId
from sebastian_core.domain.policy import (
    Candidate,
    LeastLoaded,
    Placement,
    ReadyChat,
    check_placements,
)
from tests.unit.core.building import (
    ANNE,
    BEN,
    CLEO,
    NOW,
    WHATSAPP,
    WIDGET,
    a_candidate,
    a_ready_chat,
    at,
)


def place(chats: Sequence[ReadyChat], *candidates: Candidate) -> list[tuple[int, int]]:
    return [(each.chat_id, each.agent_id) for each in LeastLoaded().place(chats, candidates)]


class TestLeastLoaded:
    def test_gives_the_oldest_chat_first(self) -> None:
        given = place([a_ready_chat(1), a_ready_chat(2)], a_candidate(ANNE, capacity=1))

        assert given == [(1, ANNE)]

    def test_prefers_the_agent_with_the_fewest_chats(self) -> None:
        given = place([a_ready_chat(1)], a_candidate(ANNE, load=2), a_candidate(BEN, load=1))

        assert given == [(1, BEN)]

    def test_counts_what_it_gave_in_the_same_pass(self) -> None:
        chats = [a_ready_chat(number) for number in (1, 2, 3)]

        given = place(chats, a_candidate(ANNE, load=0), a_candidate(BEN, load=1))

        assert given == [(1, ANNE), (2, BEN), (3, ANNE)]

    def test_prefers_among_equals_the_one_who_was_never_given_a_chat(self) -> None:
        known = a_candidate(ANNE, last_given_at=NOW)

        assert place([a_ready_chat(1)], known, a_candidate(BEN)) == [(1, BEN)]

    def test_prefers_among_equals_the_one_given_longest_ago(self) -> None:
        lately = a_candidate(ANNE, last_given_at=at(-10))
        long_ago = a_candidate(BEN, last_given_at=at(-60))

        assert place([a_ready_chat(1)], lately, long_ago) == [(1, BEN)]

    def test_prefers_the_lower_id_where_nothing_else_differs(self) -> None:
        assert place([a_ready_chat(1)], a_candidate(BEN), a_candidate(ANNE)) == [(1, ANNE)]

    def test_cannot_give_to_an_agent_beyond_their_capacity(self) -> None:
        chats = [a_ready_chat(number) for number in range(1, 6)]

        given = place(chats, a_candidate(ANNE, load=1, capacity=3))

        assert given == [(1, ANNE), (2, ANNE)]

    def test_can_give_across_channels_that_are_unknown_on_either_side(self) -> None:
        chats = [a_ready_chat(1), a_ready_chat(2, needs=Needs(WIDGET))]

        given = place(chats, a_candidate(ANNE, channels=frozenset({WHATSAPP})), a_candidate(BEN))

        assert given == [(1, ANNE), (2, BEN)]

    def test_cannot_give_to_an_agent_without_the_channel(self) -> None:
        chat = a_ready_chat(1, needs=Needs(WIDGET))

        assert place([chat], a_candidate(channels=frozenset({WHATSAPP}))) == []

    def test_cannot_give_to_an_agent_whom_the_platform_did_not_name_for_the_room(self) -> None:
        chat = a_ready_chat(1, needs=Needs(only=frozenset({BEN})))

        assert place([chat], a_candidate(ANNE), a_candidate(BEN, load=2)) == [(1, BEN)]

    def test_cannot_give_a_chat_for_which_nobody_is_eligible(self) -> None:
        chat = a_ready_chat(1, needs=Needs(only=frozenset()))

        assert place([chat], a_candidate(ANNE), a_candidate(BEN)) == []

    def test_an_unplaceable_chat_does_not_stop_the_one_behind_it(self) -> None:
        nobodys = a_ready_chat(1, needs=Needs(only=frozenset()))

        assert place([nobodys, a_ready_chat(2)], a_candidate(ANNE)) == [(2, ANNE)]

    def test_prefers_another_agent_than_the_one_refused_last(self) -> None:
        chat = a_ready_chat(1, refused_by=ANNE)

        assert place([chat], a_candidate(ANNE), a_candidate(BEN, load=2)) == [(1, BEN)]

    def test_takes_the_agent_refused_last_where_nobody_else_is_free(self) -> None:
        chat = a_ready_chat(1, refused_by=ANNE)

        assert place([chat], a_candidate(ANNE)) == [(1, ANNE)]

    def test_an_agent_passed_over_for_one_chat_is_first_for_the_next(self) -> None:
        chats = [a_ready_chat(1, refused_by=ANNE), a_ready_chat(2)]

        given = place(chats, a_candidate(ANNE), a_candidate(BEN, load=1))

        assert given == [(1, BEN), (2, ANNE)]

    def test_remembers_across_lines_what_an_agent_was_given(self) -> None:
        chats = [
            a_ready_chat(1, needs=Needs(WIDGET)),
            a_ready_chat(2, needs=Needs(WHATSAPP)),
            a_ready_chat(3, needs=Needs(WIDGET)),
        ]

        given = place(chats, a_candidate(ANNE, capacity=2), a_candidate(CLEO, load=1, capacity=2))

        assert given == [(1, ANNE), (2, CLEO), (3, ANNE)]

    def test_an_agent_may_have_the_id_nought(self) -> None:
        chat = a_ready_chat(1, refused_by=ANNE)

        assert place([chat], a_candidate(ANNE), a_candidate(0, load=1)) == [(1, 0)]

    def test_gives_nothing_to_nobody(self) -> None:
        assert place([], a_candidate()) == []
        assert place([a_ready_chat(1)]) == []


class TestTheCheckOfAPlan:
    def check(self, *placements: Placement) -> None:
        """Two chats offered; Anne has one free slot and serves WhatsApp."""
        anne = a_candidate(ANNE, load=2, capacity=3, channels=frozenset({WHATSAPP}))
        ben = a_candidate(BEN)
        chats = [a_ready_chat(1), a_ready_chat(2), a_ready_chat(3, needs=Needs(WIDGET))]
        check_placements(placements, chats, {ANNE: anne, BEN: ben})

    def test_lets_an_honest_plan_pass(self) -> None:
        self.check(Placement(ChatId(1), ANNE), Placement(ChatId(3), BEN))

    def test_lets_a_plan_pass_that_leaves_chats_out_or_takes_them_in_another_order(self) -> None:
        self.check(Placement(ChatId(2), BEN), Placement(ChatId(1), BEN))

    @pytest.mark.parametrize(
        ("chat_id", "agent_id", "why"),
        [
            (99, BEN, "was not offered"),
            (1, CLEO, "not online and free"),
            (3, ANNE, "may not take"),
        ],
    )
    def test_refuses_what_no_policy_may_do(self, chat_id: int, agent_id: AgentId, why: str) -> None:
        with pytest.raises(PlanRefused, match=why):
            self.check(Placement(ChatId(chat_id), agent_id))

    def test_refuses_a_chat_that_is_placed_twice(self) -> None:
        with pytest.raises(PlanRefused, match="placed twice"):
            self.check(Placement(ChatId(1), ANNE), Placement(ChatId(1), BEN))

    def test_refuses_more_chats_than_an_agent_has_slots(self) -> None:
        with pytest.raises(PlanRefused, match="no free slot"):
            self.check(Placement(ChatId(1), ANNE), Placement(ChatId(2), ANNE))

    def test_refuses_an_agent_whom_the_platform_did_not_name_for_the_room(self) -> None:
        chat = a_ready_chat(1, needs=Needs(only=frozenset({BEN})))

        with pytest.raises(PlanRefused, match="may not take"):
            check_placements([Placement(ChatId(1), ANNE)], [chat], {ANNE: a_candidate(ANNE)})


def one_by_one(chats: Sequence[ReadyChat], floor: Sequence[Candidate]) -> list[Placement]:
    """What giving one chat at a time, with all that follows from it, would have given."""
    agents = {each.agent_id: each for each in floor}
    given: list[Placement] = []
    for chat in chats:
        free = [each for each in agents.values() if each.free > 0]
        for placement in LeastLoaded().place([chat], free):
            agent = agents[placement.agent_id]
            moment = NOW + timedelta(days=1, seconds=len(given))
            agents[agent.agent_id] = evolve(agent, load=agent.load + 1, last_given_at=moment)
            given.append(placement)
    return given


def left_over(
    chats: Sequence[ReadyChat], floor: Sequence[Candidate], given: Sequence[Placement]
) -> list[tuple[ReadyChat, Candidate]]:
    """Chats that were not placed, each with an agent who could have taken it at the end."""
    placed = {each.chat_id for each in given}
    taken = [each.agent_id for each in given]
    return [
        (chat, agent)
        for chat in chats
        for agent in floor
        if chat.id not in placed
        and agent.meets(chat.needs)
        and taken.count(agent.agent_id) < agent.free
    ]


class TestWhateverTheFloor:
    @given(ready_chats(), candidates())
    @settings(max_examples=200, deadline=None)
    def test_a_batch_equals_giving_one_by_one(
        self, chats: list[ReadyChat], floor: list[Candidate]
    ) -> None:
        assert list(LeastLoaded().place(chats, floor)) == one_by_one(chats, floor)

    @given(ready_chats(), candidates())
    @settings(max_examples=200, deadline=None)
    def test_its_plan_passes_the_check_that_every_plan_must_pass(
        self, chats: list[ReadyChat], floor: list[Candidate]
    ) -> None:
        given = LeastLoaded().place(chats, floor)

        check_placements(given, chats, {each.agent_id: each for each in floor})

    @given(ready_chats(), candidates())
    @settings(max_examples=200, deadline=None)
    def test_nothing_that_could_be_placed_is_left_over(
        self, chats: list[ReadyChat], floor: list[Candidate]
    ) -> None:
        given = LeastLoaded().place(chats, floor)

        assert left_over(chats, floor, given) == []

    @given(ready_chats(), candidates(), st.randoms(use_true_random=False))
    @settings(max_examples=100, deadline=None)
    def test_the_order_in_which_agents_are_named_does_not_matter(
        self, chats: list[ReadyChat], floor: list[Candidate], random: object
    ) -> None:
        shuffled = list(floor)
        random.shuffle(shuffled)  # type: ignore[attr-defined]

        assert LeastLoaded().place(chats, shuffled) == LeastLoaded().place(chats, floor)

    @given(ready_chats(), candidates())
    @settings(max_examples=100, deadline=None)
    def test_a_later_chat_never_takes_a_slot_that_an_earlier_one_could_have_had(
        self, chats: list[ReadyChat], floor: list[Candidate]
    ) -> None:
        whole = {each.chat_id: each.agent_id for each in LeastLoaded().place(chats, floor)}

        for number in range(len(chats)):
            part = LeastLoaded().place(chats[:number], floor)
            assert all(whole[each.chat_id] == each.agent_id for each in part)

    @given(ready_chats(), candidates(), st.data())
    @settings(max_examples=200, deadline=None)
    def test_a_plan_bent_at_one_place_is_refused(
        self, chats: list[ReadyChat], floor: list[Candidate], data: st.DataObject
    ) -> None:
        honest = list(LeastLoaded().place(chats, floor))
        if not honest:
            return
        bent = data.draw(st.sampled_from(_cheats(honest, chats, floor)))

        with pytest.raises(PlanRefused):
            check_placements(bent, chats, {each.agent_id: each for each in floor})


def _cheats(
    honest: list[Placement], chats: Sequence[ReadyChat], floor: Sequence[Candidate]
) -> list[list[Placement]]:
    """The honest plan with one wrong added: twice, unknown, offline, over capacity, unfit."""
    first = honest[0]
    placed = {each.chat_id for each in honest}
    waiting = [chat for chat in chats if chat.id not in placed]
    taken = [each.agent_id for each in honest]
    cheats = [
        [*honest, first],
        [*honest, Placement(ChatId(10_000), first.agent_id)],
        [Placement(first.chat_id, AgentId(10_000)), *honest[1:]],
    ]
    for chat in waiting:
        cheats += [
            [*honest, Placement(chat.id, agent.agent_id)]
            for agent in floor
            if not agent.meets(chat.needs) or taken.count(agent.agent_id) >= agent.free
        ]
    return cheats
