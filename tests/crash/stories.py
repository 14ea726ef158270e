"""What happens around a crash: each story sets the stage, arms the counting, and goes on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from sebastian_apps.fake_qiscus import InjectedFault
from tests.crash.stage import Stage

LONGER_THAN_SETTLE_SECONDS = 0.45
LONGER_THAN_EXCLUSION_SECONDS = 1.1
LONGER_THAN_PROBE_SECONDS = 1.2

Story = Callable[[Stage], Awaitable[None]]


async def a_customer_arrives(stage: Stage) -> None:
    """Admit, from the webhook to its acknowledgement; then again, as the platform repeats it."""
    await stage.act("refresh")
    await stage.arm()
    room = await stage.arrives()
    await stage.arrives(room)


async def a_chat_is_given(stage: Stage) -> None:
    """Reserve, verify, assign, confirm; and the look that finds nothing."""
    await stage.arrived()
    await stage.arm()
    await stage.act("dispatch")
    await stage.act("dispatch")


async def two_chats_are_given(stage: Stage) -> None:
    """One pass, two calls under way at once."""
    await stage.arrived()
    await stage.arrives()
    await stage.arm()
    await stage.act("dispatch")


async def the_platform_is_slow(stage: Stage) -> None:
    """The call is applied after the process that sent it is dead."""
    stage.goes_wrong(InjectedFault(kind="latency", operation="assign_agent", seconds=0.25, count=1))
    await a_chat_is_given(stage)


async def the_room_is_refused(stage: Stage) -> None:
    """Refused by 400, one look at the room, a rest, and given again."""
    stage.goes_wrong(InjectedFault(kind="status", operation="assign_agent", status=400, count=1))
    await a_chat_is_given(stage)


async def the_platform_throttles(stage: Stage) -> None:
    """Answered 429: released at once, with its place."""
    stage.goes_wrong(
        InjectedFault(
            kind="status", operation="assign_agent", status=429, count=1, retry_after_seconds=1
        )
    )
    await a_chat_is_given(stage)


async def applied_but_500(stage: Stage) -> None:
    """Nobody knows whether the call was applied (it was), and it is settled."""
    stage.goes_wrong(
        InjectedFault(kind="status", operation="assign_agent", status=500, is_applied=True, count=2)
    )
    await _given_in_doubt(stage)


async def not_applied_and_500(stage: Stage) -> None:
    """Nobody knows whether the call was applied (it was not), and it is settled."""
    stage.goes_wrong(InjectedFault(kind="status", operation="assign_agent", status=500, count=2))
    await _given_in_doubt(stage)


async def no_answer_comes(stage: Stage) -> None:
    """Applied, and never answered."""
    stage.goes_wrong(
        InjectedFault(kind="silence", operation="assign_agent", is_applied=True, count=1)
    )
    await _given_in_doubt(stage)


async def the_agent_has_left(stage: Stage) -> None:
    """Offline between the roster and the call: released, and given to the other agent."""
    await stage.arrived()
    stage.fake.platform.set_online(stage.agents[0], online=False)
    await stage.arm()
    await stage.act("dispatch")
    await stage.act("dispatch")


async def the_agent_is_gone(stage: Stage) -> None:
    """No longer eligible for the room: passed over, and given to the other agent."""
    await stage.arrived()
    stage.fake.platform.delete_agent(stage.agents[0])
    await stage.arm()
    await stage.act("dispatch")
    await stage.act("dispatch")


async def a_chat_is_resolved(stage: Stage) -> None:
    """Resolve, and the customer who comes back at once."""
    room = await stage.given()
    resolved = stage.is_resolved(room)
    await stage.arm()
    await stage.resolves(resolved)
    await stage.arrives(room)
    await stage.act("dispatch")


async def the_resolve_is_lost(stage: Stage) -> None:
    """The customer asks again in a chat that we hold as assigned; it is settled, and given."""
    room = await stage.given()
    await stage.passes(LONGER_THAN_SETTLE_SECONDS)
    stage.is_resolved(room)
    await stage.arm()
    await stage.arrives(room)
    await stage.passes(LONGER_THAN_SETTLE_SECONDS)
    await stage.act("settle")
    await stage.act("dispatch")


async def the_resolve_comes_late(stage: Stage) -> None:
    """The customer asks again first, then the resolve comes: the next chat opens with it."""
    room = await stage.given()
    resolved = stage.is_resolved(room)
    await stage.arrives(room)
    await stage.arm()
    await stage.resolves(resolved)
    await stage.passes(LONGER_THAN_SETTLE_SECONDS)
    await stage.act("settle")
    await stage.act("dispatch")


async def nobody_tells_of_the_end(stage: Stage) -> None:
    """A lost resolve of a customer who stays away: the listing lacks the room."""
    room = await stage.given()
    stage.is_resolved(room)
    await stage.passes(LONGER_THAN_SETTLE_SECONDS)
    await stage.arm()
    await stage.act("refresh")
    await stage.act("refresh")
    await stage.act("settle")


async def the_webhook_is_lost(stage: Stage) -> None:
    """Reconcile finds the room, and it is given."""
    await stage.act("refresh")
    stage.fake.platform.customer_message(stage.fake.platform.new_room_id())
    await stage.arm()
    await stage.act("reconcile")
    await stage.act("dispatch")


async def a_person_takes_an_unknown_room(stage: Stage) -> None:
    """Given in the dashboard before we heard of it: adopted."""
    room = stage.fake.platform.new_room_id()
    stage.fake.platform.customer_message(room)
    stage.fake.platform.assign_by_hand(room, stage.agents[0])
    await stage.passes(LONGER_THAN_SETTLE_SECONDS)
    await stage.arm()
    await stage.act("refresh")
    await stage.act("refresh")


async def a_person_takes_a_waiting_room(stage: Stage) -> None:
    """Given in the dashboard while it stands in our line: converted."""
    room = await stage.arrived()
    stage.fake.platform.assign_by_hand(room, stage.agents[0])
    await stage.passes(LONGER_THAN_SETTLE_SECONDS)
    await stage.arm()
    await stage.act("refresh")
    await stage.act("reconcile")
    await stage.act("dispatch")


async def a_person_moves_a_room(stage: Stage) -> None:
    """Moved in the dashboard from one agent to the other: the slot moves too."""
    room = await stage.given()
    (agent,) = stage.fake.platform.agents_in(room)
    other = next(each for each in stage.agents if each != agent)
    stage.fake.platform.move(room, agent, other)
    await stage.passes(LONGER_THAN_SETTLE_SECONDS)
    await stage.arm()
    await stage.act("refresh")
    await stage.act("refresh")
    await stage.act("settle")


async def a_person_assigns_with_us(stage: Stage) -> None:
    """`sebastian assign`, or the floor page."""
    room = await stage.arrived()
    await stage.arm()
    await stage.act("by hand", room, stage.agents[1])


async def a_person_drops_a_chat(stage: Stage) -> None:
    """Resolved in the dashboard, which nobody tells us, and taken out of our line."""
    room = await stage.arrived()
    stage.fake.platform.mark_as_resolved(room, by=None, actor="person")
    await stage.arm()
    await stage.act("drop", room)
    await stage.act("dispatch")


async def a_person_releases_a_chat(stage: Stage) -> None:
    """Refused, and made ready again by hand before its delay is over."""
    stage.goes_wrong(InjectedFault(kind="status", operation="assign_agent", status=400, count=1))
    room = await stage.arrived()
    await stage.act("dispatch")
    await stage.arm()
    await stage.act("release", room)
    await stage.act("dispatch")


async def an_agent_is_paused(stage: Stage) -> None:
    """The other agent is given the chat; then both may be given chats again."""
    await stage.arrived()
    await stage.arm()
    await stage.act("pause", stage.agents[0])
    await stage.act("dispatch")
    await stage.act("resume", stage.agents[0])


async def a_capacity_is_changed(stage: Stage) -> None:
    """Nothing for one agent, so that the other is given the chat; then as configured again."""
    await stage.arrived()
    await stage.arm()
    await stage.act("capacity", stage.agents[0], 0)
    await stage.act("dispatch")
    await stage.act("capacity", stage.agents[0], None)


async def the_platform_was_away(stage: Stage) -> None:
    """An outage that is noticed by a chat; the probe finds that it is over."""
    stage.goes_wrong(InjectedFault(kind="status", operation="*", status=503, for_seconds=0.5))
    await stage.arrives()
    await stage.arm()
    await stage.act("refresh")
    await stage.act("dispatch")
    await stage.passes(LONGER_THAN_PROBE_SECONDS)
    await stage.works()


async def an_exclusion_is_over(stage: Stage) -> None:
    """The agent who was not eligible for the room may be asked again."""
    await stage.arrived()
    stage.fake.platform.set_online(stage.agents[0], online=False)
    await stage.act("dispatch")
    stage.fake.platform.set_online(stage.agents[0], online=True)
    await stage.passes(LONGER_THAN_EXCLUSION_SECONDS)
    await stage.arm()
    await stage.act("lift")
    await stage.act("dispatch")


async def the_duties_are_taken(stage: Stage) -> None:
    """The lease, the first refresh, the first reconcile."""
    await stage.arm()
    await stage.act("duty")
    await stage.act("refresh")
    await stage.act("reconcile")


async def _given_in_doubt(stage: Stage) -> None:
    await stage.arrived()
    await stage.arm()
    await stage.act("dispatch")
    await stage.passes(LONGER_THAN_SETTLE_SECONDS)
    await stage.act("settle")
    await stage.act("dispatch")


STORIES: dict[str, Story] = {
    story.__name__.replace("_", " "): story
    for story in (
        a_customer_arrives,
        a_chat_is_given,
        two_chats_are_given,
        the_platform_is_slow,
        the_room_is_refused,
        the_platform_throttles,
        applied_but_500,
        not_applied_and_500,
        no_answer_comes,
        the_agent_has_left,
        the_agent_is_gone,
        a_chat_is_resolved,
        the_resolve_is_lost,
        the_resolve_comes_late,
        nobody_tells_of_the_end,
        the_webhook_is_lost,
        a_person_takes_an_unknown_room,
        a_person_takes_a_waiting_room,
        a_person_moves_a_room,
        a_person_assigns_with_us,
        a_person_drops_a_chat,
        a_person_releases_a_chat,
        an_agent_is_paused,
        a_capacity_is_changed,
        the_platform_was_away,
        an_exclusion_is_over,
        the_duties_are_taken,
    )
}
