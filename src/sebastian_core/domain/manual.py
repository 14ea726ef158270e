"""What people do themselves: take a chat out of the line, make it ready, give it to an agent."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from attrs import evolve, frozen

from sebastian_core.domain.agent_loads import AgentLoads, AgentSetting, CapacityRules
from sebastian_core.domain.chat import NO_DOUBT, Chat, ChatState, CloseReason, Needs, Transition
from sebastian_core.domain.ids import AgentId, ReservationId
from sebastian_core.domain.reservation import Reservation, reserve
from sebastian_core.domain.room import Decided, Room, close, moved, with_chat
from sebastian_core.domain.roster import Roster
from sebastian_core.domain.rules import Rules


class ManualOutcome(StrEnum):
    """What became of something that a person wanted."""

    DONE = "done"
    READY_ALREADY = "it is ready already"
    NO_CHAT = "the room has no live chat"
    BEING_GIVEN = "it is being given to an agent right now"
    ASSIGNED = "an agent has it"
    NOT_READ = "the agents have not been read"
    UNKNOWN_AGENT = "no such agent is known"
    OFFLINE = "the agent is offline"
    FULL = "the agent has no free slot"


@frozen(kw_only=True)
class ManualResult:
    """What became of a person's wish about one room; `chat` is as it stands afterwards."""

    outcome: ManualOutcome
    chat: Chat | None = None

    @property
    def is_done(self) -> bool:
        """Whether what was wanted is so."""
        return self.outcome in (ManualOutcome.DONE, ManualOutcome.READY_ALREADY)


@frozen(kw_only=True)
class ManualAssignment:
    """What became of the wish to give a chat to an agent, and how the agent stood.

    `load` is without this chat. `reservation` is there exactly if the slot was taken.
    """

    outcome: ManualOutcome
    chat: Chat | None = None
    load: int = 0
    capacity: int = 0
    reservation: Reservation | None = None


@frozen(kw_only=True)
class AssignRequest:
    """A person wants this agent to have the chat.

    `over` lets it exceed the agent's capacity, `offline` lets it go to somebody who is not online.
    """

    agent_id: AgentId
    actor: str
    over: bool = False
    offline: bool = False


def drop(actor: str, room: Room, now: datetime) -> Decided[ManualResult]:
    """Take the room's chat out of the line; one that an agent holds is left alone.

    The room stays out although the platform goes on showing it as waiting, until its customer asks
    again.
    """
    refusal = _not_waiting(room.chat)
    if refusal is not None:
        return Decided(ManualResult(outcome=refusal, chat=room.chat))
    closed, change = close(room, now, CloseReason.DROPPED, reason="taken out by hand", actor=actor)
    handled = ManualResult(outcome=ManualOutcome.DONE, chat=change.chat)
    return Decided(handled, evolve(closed, dropped=True), (change,))


def make_ready(actor: str, rules: Rules, room: Room, now: datetime) -> Decided[ManualResult]:
    """Make the room's chat ready at once: no delay, no doubt, nobody passed over.

    It keeps its place, and the count of its refusals.
    """
    chat = room.chat
    refusal = _not_waiting(chat)
    if chat is None or refusal is not None:
        return Decided(ManualResult(outcome=refusal or ManualOutcome.NO_CHAT, chat=chat))
    if chat.is_ready(now) and chat.needs.only is None:
        return Decided(ManualResult(outcome=ManualOutcome.READY_ALREADY, chat=chat))
    change = moved(
        chat,
        Transition.CLEAR if chat.is_doubtful else Transition.EXPEDITED,
        now,
        rules,
        reason="made ready by hand",
        actor=actor,
        ready_at=min(chat.ready_at, now),
        needs=Needs(chat.needs.channel_id),
        excluded_until=None,
        **NO_DOUBT,
    )
    handled = ManualResult(outcome=ManualOutcome.DONE, chat=change.chat)
    return Decided(handled, with_chat(room, change), (change,))


def hand_over(
    wish: AssignRequest,
    roster: Roster | None,
    capacities: CapacityRules,
    rules: Rules,
    room: Room,
    agent_loads: AgentLoads,
    reservation_id: ReservationId,
) -> Decided[ManualAssignment]:
    """Reserve a slot of the agent whom a person chose, wherever the chat stands in the line."""
    setting = agent_loads.settings.get(wish.agent_id, AgentSetting())
    load = agent_loads.loads.get(wish.agent_id, 0)
    capacity = capacities.of(wish.agent_id, setting, agent_loads)
    answer = ManualAssignment(
        outcome=ManualOutcome.DONE, chat=room.chat, load=load, capacity=capacity
    )
    chat = room.chat
    refusal = _not_waiting(chat) or _agent_refusal(wish, roster)
    if refusal is None and load >= capacity and not wish.over:
        refusal = ManualOutcome.FULL
    if chat is None or refusal is not None:
        return Decided(evolve(answer, outcome=refusal or ManualOutcome.NO_CHAT))
    change = reserve(
        chat,
        wish.agent_id,
        reservation_id,
        rules,
        agent_loads.now,
        reason="assigned by hand",
        actor=wish.actor,
        details={"load": load, "capacity": capacity},
    )
    done = evolve(answer, chat=change.chat, reservation=Reservation.of(change.chat))
    return Decided(done, with_chat(room, change), (change,))


def _not_waiting(chat: Chat | None) -> ManualOutcome | None:
    if chat is None:
        return ManualOutcome.NO_CHAT
    if chat.state is ChatState.RESERVED:
        return ManualOutcome.BEING_GIVEN
    return ManualOutcome.ASSIGNED if chat.state is ChatState.ASSIGNED else None


def _agent_refusal(wish: AssignRequest, roster: Roster | None) -> ManualOutcome | None:
    if roster is None:
        return ManualOutcome.NOT_READ
    presence = roster.agents.get(wish.agent_id)
    if presence is None:
        return ManualOutcome.UNKNOWN_AGENT
    return None if presence.online or wish.offline else ManualOutcome.OFFLINE
