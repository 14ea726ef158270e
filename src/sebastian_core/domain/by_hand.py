"""What people do themselves: take a chat out of the line, make it ready, give it to an agent."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from attrs import evolve, frozen

from sebastian_core.domain.agent import AgentSetting, CapacityRules, Roster, Staffing
from sebastian_core.domain.chat import NO_DOUBT, Chat, ChatState, CloseReason, Move, Needs
from sebastian_core.domain.ids import AgentId, ReservationId
from sebastian_core.domain.reservation import Reservation, reserve
from sebastian_core.domain.room import Decided, Room, close, moved, with_chat
from sebastian_core.domain.rules import Rules


class ByHand(StrEnum):
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
class Handled:
    """What became of a person's wish about one room; `chat` is as it stands afterwards."""

    outcome: ByHand
    chat: Chat | None = None

    @property
    def is_done(self) -> bool:
        """Whether what was wanted is so."""
        return self.outcome in (ByHand.DONE, ByHand.READY_ALREADY)


@frozen(kw_only=True)
class HandedOver:
    """What became of the wish to give a chat to an agent, and how the agent stood.

    `load` is without this chat. `reservation` is there exactly if the slot was taken.
    """

    outcome: ByHand
    chat: Chat | None = None
    load: int = 0
    capacity: int = 0
    reservation: Reservation | None = None


@frozen(kw_only=True)
class Wish:
    """A person wants this agent to have the chat.

    `over` lets it exceed the agent's capacity, `offline` lets it go to somebody who is not online.
    """

    agent_id: AgentId
    actor: str
    over: bool = False
    offline: bool = False


def drop(actor: str, room: Room, now: datetime) -> Decided[Handled]:
    """Take the room's chat out of the line; one that an agent holds is left alone.

    The room stays out although the platform goes on showing it as waiting, until its customer asks
    again.
    """
    refusal = _not_waiting(room.chat)
    if refusal is not None:
        return Decided(Handled(outcome=refusal, chat=room.chat))
    closed, change = close(room, now, CloseReason.DROPPED, reason="taken out by hand", actor=actor)
    handled = Handled(outcome=ByHand.DONE, chat=change.chat)
    return Decided(handled, evolve(closed, dropped=True), (change,))


def make_ready(actor: str, rules: Rules, room: Room, now: datetime) -> Decided[Handled]:
    """Make the room's chat ready at once: no delay, no doubt, nobody passed over.

    It keeps its place, and the count of its refusals.
    """
    chat = room.chat
    refusal = _not_waiting(chat)
    if chat is None or refusal is not None:
        return Decided(Handled(outcome=refusal or ByHand.NO_CHAT, chat=chat))
    if chat.is_ready(now) and chat.needs.only is None:
        return Decided(Handled(outcome=ByHand.READY_ALREADY, chat=chat))
    change = moved(
        chat,
        Move.CLEAR if chat.is_doubtful else Move.HASTEN,
        now,
        rules,
        reason="made ready by hand",
        actor=actor,
        ready_at=min(chat.ready_at, now),
        needs=Needs(chat.needs.channel_id),
        excluded_until=None,
        **NO_DOUBT,
    )
    handled = Handled(outcome=ByHand.DONE, chat=change.chat)
    return Decided(handled, with_chat(room, change), (change,))


def hand_over(
    wish: Wish,
    roster: Roster | None,
    capacities: CapacityRules,
    rules: Rules,
    room: Room,
    staffing: Staffing,
    reservation_id: ReservationId,
) -> Decided[HandedOver]:
    """Reserve a slot of the agent whom a person chose, wherever the chat stands in the line."""
    setting = staffing.settings.get(wish.agent_id, AgentSetting())
    load = staffing.loads.get(wish.agent_id, 0)
    capacity = capacities.of(wish.agent_id, setting, staffing)
    answer = HandedOver(outcome=ByHand.DONE, chat=room.chat, load=load, capacity=capacity)
    chat = room.chat
    refusal = _not_waiting(chat) or _agent_refusal(wish, roster)
    if refusal is None and load >= capacity and not wish.over:
        refusal = ByHand.FULL
    if chat is None or refusal is not None:
        return Decided(evolve(answer, outcome=refusal or ByHand.NO_CHAT))
    change = reserve(
        chat,
        wish.agent_id,
        reservation_id,
        rules,
        staffing.now,
        reason="assigned by hand",
        actor=wish.actor,
        details={"load": load, "capacity": capacity},
    )
    done = evolve(answer, chat=change.chat, reservation=Reservation.of(change.chat))
    return Decided(done, with_chat(room, change), (change,))


def _not_waiting(chat: Chat | None) -> ByHand | None:
    if chat is None:
        return ByHand.NO_CHAT
    if chat.state is ChatState.RESERVED:
        return ByHand.BEING_GIVEN
    return ByHand.ASSIGNED if chat.state is ChatState.ASSIGNED else None


def _agent_refusal(wish: Wish, roster: Roster | None) -> ByHand | None:
    if roster is None:
        return ByHand.NOT_READ
    presence = roster.agents.get(wish.agent_id)
    if presence is None:
        return ByHand.UNKNOWN_AGENT
    return None if presence.online or wish.offline else ByHand.OFFLINE
