"""Lines and floors for hypothesis, and the rules that every policy must keep."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from sebastian_core.domain.chat import Needs
from sebastian_core.domain.ids import AgentId, ChannelId, ChatId, RoomId
from sebastian_core.domain.policy import (
    Candidate,
    Policy,
    ReadyChat,
    check_placements,
)

NOON = datetime(2025, 6, 22, 12, 0, tzinfo=UTC)
CHANNELS = st.sampled_from([ChannelId(1), ChannelId(2), ChannelId(3)])
AGENTS = st.integers(1, 12).map(AgentId)
NEEDS = st.builds(Needs, st.none() | CHANNELS, st.none() | st.frozensets(AGENTS, max_size=4))


@st.composite
def ready_chats(
    draw: st.DrawFn, properties: st.SearchStrategy[dict[str, str]] | None = None
) -> list[ReadyChat]:
    """A line, oldest first: channels and eligible agents as they come, some refused before.

    `properties` draws what is known of a customer; without it nothing is.
    """
    known = properties or st.just({})
    wishes = draw(st.lists(st.tuples(NEEDS, st.none() | AGENTS, known), max_size=20))
    return [
        ReadyChat(
            ChatId(number),
            RoomId(f"room-{number}"),
            needs,
            NOON + timedelta(seconds=number),
            refused_by,
            of_customer,
        )
        for number, (needs, refused_by, of_customer) in enumerate(wishes, 1)
    ]


@st.composite
def candidates(draw: st.DrawFn) -> list[Candidate]:
    """Agents with at least one free slot, in no order, loaded and given chats as it comes."""
    floor = []
    for agent_id in draw(st.lists(AGENTS, unique=True)):
        load = draw(st.integers(0, 4))
        ago = draw(st.none() | st.integers(0, 3))
        floor.append(
            Candidate(
                agent_id,
                load=load,
                capacity=load + draw(st.integers(1, 4)),
                channels=draw(st.frozensets(CHANNELS, max_size=2)),
                last_given_at=None if ago is None else NOON - timedelta(seconds=ago),
            )
        )
    return floor


def assert_policy_keeps_the_rules(
    policy: Policy,
    *,
    properties: st.SearchStrategy[dict[str, str]] | None = None,
    examples: int = 200,
) -> None:
    """Fail, with the smallest line and floor that shows it, if a plan would be refused.

    Each plan passes `check_placements`: no chat that was not offered or is placed twice, no agent
    who is not there, full or not eligible. The policy raises nothing, and answers the same when it
    is asked the same again: it is a pure function.
    """

    @given(ready_chats(properties), candidates())
    @settings(max_examples=examples, deadline=None, database=None, report_multiple_bugs=False)
    def keeps_the_rules(chats: list[ReadyChat], floor: list[Candidate]) -> None:
        plan = list(policy.place(chats, floor))
        check_placements(plan, chats, {each.agent_id: each for each in floor})
        assert list(policy.place(chats, floor)) == plan, "the same question, another answer"

    keeps_the_rules()
