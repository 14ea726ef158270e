"""Why, in golden texts: each situation is brought about on a small floor and explained."""

# ruff: noqa: E501 - golden texts are not folded

from __future__ import annotations

from textwrap import dedent

import pytest
from attrs import evolve

from sebastian_core.domain.explanation import HOLDS_ALL, BlockedBy
from sebastian_core.domain.ids import RoomId
from tests.unit.core.explaining_floor import ANNE, BEN, CLEO, ROOM, WIDGET, Floor


def reads(text: str) -> str:
    """A golden text as it is written below."""
    return dedent(text).strip("\n")


async def test_a_chat_that_was_given_names_the_agent_the_others_and_the_moment() -> None:
    floor = Floor(capacity=3)
    await floor.agents(ANNE, BEN, offline=(CLEO,))
    await floor.asks(RoomId("another"))
    await floor.give()
    floor.after(1)
    await floor.asks()
    floor.after(2)
    await floor.give()
    floor.after(60)

    assert await floor.why() == reads(
        """
        Room 68303333 is with Ben (8) since 09:00:03, 1 min ago. It had waited 2 s.

        Why Ben (8): of those who were free nobody held less (0 of 3).
          nearest at that moment: Ben (8) 0 of 3, Anne (7) 1 of 3
          of 3 agents: 2 free, 1 offline

        What happened:
          09:00:01  came into the line: the customer asked
          09:00:03  a slot of Ben (8) was reserved
          09:00:03  assigned to Ben (8): the platform confirmed
        """
    )


async def test_a_chat_waits_while_everybody_is_full_or_offline() -> None:
    floor = Floor()
    await floor.agents(ANNE, BEN, offline=(CLEO,))
    for number in range(12):
        await floor.asks(RoomId(f"{number}"))
    await floor.give()
    await floor.asks()
    floor.after(65)

    assert await floor.why() == reads(
        """
        Room 68303333 waits for an agent: 11th in the line, for 1 min 5 s.

        No agent is free for it: of 3 agents 2 are full, 1 is offline.

        What would change that:
          - a chat of Anne (7) or Ben (8) is resolved
          - more capacity: sebastian agents capacity 7 N
          - Cleo (9) comes online
          - a person gives it: sebastian assign 68303333 AGENT

        What happened:
          09:00:00  came into the line: the customer asked
        """
    )


async def test_a_refused_chat_waits_for_its_next_try() -> None:
    floor = Floor()
    await floor.agents(ANNE)
    await floor.asks()
    await floor.refuse(2)
    await floor.refuse(1, waits=False)
    floor.after(1)

    assert await floor.why() == reads(
        """
        Room 68303333 waits for an agent: 1st in the line, for 7 s.

        Qiscus refused it 3 times (last for Anne (7)).

        What would change that:
          - it is tried again at 09:00:14 (in 7 s); or at once: sebastian queue release 68303333
          - a person gives it: sebastian assign 68303333 AGENT

        What happened:
          09:00:00  came into the line: the customer asked
          09:00:00  a slot of Anne (7) was reserved
          09:00:00  refused for Anne (7), the 1st time: Qiscus refused with 400: no text
          09:00:02  a slot of Anne (7) was reserved
          09:00:02  refused for Anne (7), the 2nd time: Qiscus refused with 400: no text
          09:00:06  a slot of Anne (7) was reserved
          09:00:06  refused for Anne (7), the 3rd time: Qiscus refused with 400: no text
        """
    )


async def test_an_agent_who_held_less_but_was_refused_is_named() -> None:
    floor = Floor(capacity=3)
    await floor.agents(ANNE, BEN)
    await floor.asks(RoomId("another"))
    await floor.give()
    await floor.asks()
    await floor.refuse(1)
    await floor.give()

    assert await floor.why() == reads(
        """
        Room 68303333 is with Anne (7) since 09:00:02, 0 s ago. It had waited 2 s.

        Why Anne (7): held 1 of 3; Ben (8) held less, but had been refused for this room.
          nearest at that moment: Ben (8) 0 of 3, Anne (7) 1 of 3
          of 2 agents: 2 free

        What happened:
          09:00:00  came into the line: the customer asked
          09:00:00  a slot of Ben (8) was reserved
          09:00:00  refused for Ben (8), the 1st time: Qiscus refused with 400: no text
          09:00:02  a slot of Anne (7) was reserved
          09:00:02  assigned to Anne (7): the platform confirmed
        """
    )


async def test_a_doubtful_chat_waits_to_be_settled() -> None:
    floor = Floor()
    await floor.agents(ANNE)
    await floor.asks()
    await floor.give()
    floor.after(2)
    await floor.resolves()
    floor.after(1)
    await floor.asks()

    assert await floor.why() == reads(
        """
        Room 68303333 waits for an agent: 1st in the line, for 0 s.

        It is in doubt: perhaps a late message of the service before.

        What would change that:
          - its room is read at 09:00:05 (in 2 s); or at once: sebastian queue release 68303333
          - a person gives it: sebastian assign 68303333 AGENT

        What happened:
          09:00:03  came into the line: perhaps a late message of the service before
          (1 earlier chat of this room not shown)
        """
    )


async def test_nobody_has_read_the_agents() -> None:
    floor = Floor()
    await floor.asks()
    floor.after(5)

    assert await floor.why() == reads(
        """
        Room 68303333 waits for an agent: 1st in the line, for 5 s.

        The agents have not been read yet, so nobody counts as online.

        What would change that:
          - the agents are read; if that takes long: sebastian doctor
          - a person gives it: sebastian assign 68303333 AGENT

        What happened:
          09:00:00  came into the line: the customer asked
        """
    )


async def test_the_account_has_no_agents() -> None:
    floor = Floor()
    await floor.agents()
    await floor.asks()

    assert await floor.why() == reads(
        """
        Room 68303333 waits for an agent: 1st in the line, for 0 s.

        Qiscus lists no agents in this account.

        What would change that:
          - an agent comes online
          - a person gives it: sebastian assign 68303333 AGENT

        What happened:
          09:00:00  came into the line: the customer asked
        """
    )


async def test_one_is_full_one_paused_one_serves_another_channel() -> None:
    floor = Floor()
    await floor.agents(ANNE, BEN, CLEO, channels={BEN: WIDGET})
    await floor.pause(CLEO, paused=True, actor="cli:eve")
    await floor.asks(RoomId("another"))
    await floor.give()
    await floor.asks()
    floor.after(30)

    assert await floor.why() == reads(
        """
        Room 68303333 waits for an agent: 1st in the line, for 30 s.

        No agent is free for it: of 3 agents 1 is full, 1 is paused, 1 serves other channels.

        What would change that:
          - a chat of Anne (7) is resolved
          - more capacity: sebastian agents capacity 7 N
          - Cleo (9) takes part again: sebastian agents resume 9
          - another agent gets channel 31 in Qiscus
          - a person gives it: sebastian assign 68303333 AGENT

        What happened:
          09:00:00  came into the line: the customer asked
        """
    )


async def test_others_stand_before_it() -> None:
    floor = Floor(capacity=2)
    await floor.agents(ANNE)
    for number in range(5):
        await floor.asks(RoomId(f"{number}"))
    await floor.asks()
    floor.after(3)

    assert await floor.why() == reads(
        """
        Room 68303333 waits for an agent: 6th in the line, for 3 s.

        2 slots are free for it, and 5 stand before it.

        What would change that:
          - those before it are given (5)
          - a person gives it: sebastian assign 68303333 AGENT

        What happened:
          09:00:00  came into the line: the customer asked
        """
    )


async def test_the_next_pass_gives_it() -> None:
    floor = Floor(capacity=2)
    await floor.agents(ANNE)
    await floor.asks()
    floor.after(1)

    assert await floor.why() == reads(
        """
        Room 68303333 waits for an agent: 1st in the line, for 1 s.

        2 slots are free for it: it is given within seconds.

        What would change that:
          - a worker looks at the line, within 2 s
          - a person gives it: sebastian assign 68303333 AGENT

        What happened:
          09:00:00  came into the line: the customer asked
        """
    )


async def test_the_platform_holds_nobody_else_eligible() -> None:
    floor = Floor()
    await floor.agents(ANNE, BEN)
    await floor.asks()
    await floor.pass_over(CLEO)
    floor.after(3)

    assert await floor.why() == reads(
        """
        Room 68303333 waits for an agent: 1st in the line, for 3 s.

        No agent is free for it: of 2 agents 2 are not eligible for the room.

        What would change that:
          - the others are tried at 09:00:30 (in 27 s); or at once: sebastian queue release 68303333
          - a person gives it: sebastian assign 68303333 AGENT

        What happened:
          09:00:00  came into the line: the customer asked
          09:00:00  a slot of Anne (7) was reserved
          09:00:00  not given to Anne (7), back at its place: the agent is not eligible for this room
        """
    )


async def test_everybody_is_offline() -> None:
    floor = Floor()
    await floor.agents(offline=(ANNE, BEN))
    await floor.asks()
    floor.after(10)

    assert await floor.why() == reads(
        """
        Room 68303333 waits for an agent: 1st in the line, for 10 s.

        No agent is free for it: of 2 agents 2 are offline.

        What would change that:
          - Anne (7) or Ben (8) comes online
          - a person gives it: sebastian assign 68303333 AGENT

        What happened:
          09:00:00  came into the line: the customer asked
        """
    )


async def test_the_agents_were_not_read_lately() -> None:
    floor = Floor(verify=False)
    await floor.agents(ANNE)
    await floor.asks()
    floor.after(120)

    assert await floor.why() == reads(
        """
        Room 68303333 waits for an agent: 1st in the line, for 2 min.

        No agent is free for it: of 1 agent 1 was not read lately.

        What would change that:
          - the agents are read again (last at 09:00:00, 2 min ago); if that takes long: sebastian doctor
          - a person gives it: sebastian assign 68303333 AGENT

        What happened:
          09:00:00  came into the line: the customer asked
        """
    )


async def test_a_chat_that_somebody_else_gave() -> None:
    floor = Floor()
    await floor.agents(ANNE, BEN)
    await floor.adopted(BEN)
    floor.after(10)

    assert await floor.why() == reads(
        """
        Room 68303333 is with Ben (8); somebody else gave it. Known since 09:00:00, 10 s ago.

        What happened:
          09:00:00  with Ben (8): somebody else gave it
        """
    )


async def test_a_chat_that_is_being_given() -> None:
    floor = Floor()
    await floor.agents(ANNE, BEN)
    await floor.asks()
    floor.after(1)
    await floor.release("the agent is not online")
    floor.after(1)
    await floor.reserve()

    assert await floor.why() == reads(
        """
        Room 68303333 is being given to Ben (8) right now.

        Why Ben (8): of those who were free nobody held less (0 of 1).
          nearest at that moment: Ben (8) 0 of 1, Anne (7) 0 of 1
          of 2 agents: 2 free

        What happened:
          09:00:00  came into the line: the customer asked
          09:00:01  a slot of Anne (7) was reserved
          09:00:01  not given to Anne (7), back at its place: the agent is not online
          09:00:02  a slot of Ben (8) was reserved
        """
    )


async def test_a_chat_that_was_resolved_while_it_was_being_given() -> None:
    floor = Floor()
    await floor.agents(ANNE)
    await floor.asks()
    floor.after(1)
    await floor.reserve()
    floor.after(1)
    await floor.resolves()

    assert await floor.why() == reads(
        """
        Room 68303333 keeps a slot of Anne (7) until it is read at 09:00:10: resolved while its assign call was under way.

        Why Anne (7): of those who were free nobody held less (0 of 1).
          nearest at that moment: Anne (7) 0 of 1
          of 1 agent: 1 free

        What happened:
          09:00:00  came into the line: the customer asked
          09:00:01  a slot of Anne (7) was reserved
          09:00:02  in doubt: resolved while its assign call was under way
        """
    )


async def test_a_chat_that_a_person_gave_over_the_capacity() -> None:
    floor = Floor()
    await floor.agents(ANNE)
    await floor.asks(RoomId("another"))
    await floor.give()
    await floor.asks()
    floor.after(4)
    await floor.hand_over(ANNE, actor="cli:eve", over=True)

    assert await floor.why() == reads(
        """
        Room 68303333 is with Anne (7) since 09:00:04, 0 s ago. It had waited 4 s.

        Why Anne (7): cli:eve chose so; the agent held 1 of 1, over the capacity.

        What happened:
          09:00:00  came into the line: the customer asked
          09:00:04  a slot of Anne (7) was taken by hand (by cli:eve)
          09:00:04  assigned to Anne (7): the platform confirmed
        """
    )


async def test_a_chat_that_is_over() -> None:
    floor = Floor()
    await floor.agents(ANNE)
    await floor.asks()
    floor.after(2)
    await floor.give()
    floor.after(100)
    await floor.resolves()
    floor.after(86400)

    assert await floor.why() == reads(
        """
        Room 68303333 has no live chat. The last one ended 2025-06-22 09:01:42, 1 d ago.

        Why Anne (7): of those who were free nobody held less (0 of 1).
          nearest at that moment: Anne (7) 0 of 1
          of 1 agent: 1 free

        What happened:
          2025-06-22 09:00:00  came into the line: the customer asked
          2025-06-22 09:00:02  a slot of Anne (7) was reserved
          2025-06-22 09:00:02  assigned to Anne (7): the platform confirmed
          2025-06-22 09:01:42  over: resolved
        """
    )


async def test_a_chat_that_a_person_took_out() -> None:
    floor = Floor()
    await floor.asks()
    floor.after(1)
    await floor.drop(ROOM, actor="cli:eve")
    floor.after(5)

    assert await floor.why() == reads(
        """
        Room 68303333 has no live chat. The last one ended 09:00:01, 5 s ago.

        What happened:
          09:00:00  came into the line: the customer asked
          09:00:01  over: taken out by hand (by cli:eve)
        """
    )


async def test_a_released_chat_is_ready_again() -> None:
    floor = Floor()
    await floor.agents(ANNE)
    await floor.asks()
    await floor.refuse(1, waits=False)
    floor.after(1)
    await floor.release_chat(ROOM, actor="page")

    assert await floor.why() == reads(
        """
        Room 68303333 waits for an agent: 1st in the line, for 1 s.

        1 slot is free for it: it is given within seconds.

        What would change that:
          - a worker looks at the line, within 2 s
          - a person gives it: sebastian assign 68303333 AGENT

        What happened:
          09:00:00  came into the line: the customer asked
          09:00:00  a slot of Anne (7) was reserved
          09:00:00  refused for Anne (7), the 1st time: Qiscus refused with 400: no text
          09:00:01  ready at once: made ready by hand (by page)
        """
    )


@pytest.mark.parametrize("hold", sorted(HOLDS_ALL))
async def test_what_holds_every_chat_is_said_before_anything_else(hold: BlockedBy) -> None:
    floor = Floor(capacity=2)
    await floor.agents(ANNE)
    await floor.asks()
    await floor.refuse(1, waits=False)
    floor.blocked = hold

    explanation = await floor.explain(ROOM)
    (_, in_line), *_ = (await floor.explain.line(10)).entries

    assert explanation.waiting is not None
    assert explanation.waiting.hold is in_line.hold is hold
    assert f"Everything is on hold: {hold}." in await floor.why()


async def test_a_room_waits_for_the_same_reason_alone_and_in_the_line() -> None:
    floor = Floor(capacity=2)
    await floor.agents(ANNE)
    await floor.asks(RoomId("refused"))
    await floor.refuse(1, waits=False)
    rooms = [RoomId("refused"), *(RoomId(f"{number}") for number in range(4))]
    for room_id in rooms[1:]:
        await floor.asks(room_id)

    in_line = {chat.room_id: each for chat, each in (await floor.explain.line(10)).entries}
    alone = {room_id: (await floor.explain(room_id)).waiting for room_id in rooms}

    assert [in_line[room_id].hold for room_id in rooms] == [
        BlockedBy.NEXT_TRY,
        *[BlockedBy.DISPATCH] * 2,
        *[BlockedBy.TURN] * 2,
    ]
    for room_id, waiting in alone.items():
        assert waiting == evolve(in_line[room_id], named=waiting.named if waiting else {})


async def test_a_room_that_nothing_is_known_of() -> None:
    floor = Floor()

    assert await floor.why() == reads(
        """
        Nothing is known of room 68303333.
        No request of it was recorded, or it is longer ago than history.keep.
        """
    )
