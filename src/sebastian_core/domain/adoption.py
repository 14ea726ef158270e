"""Chats that others gave: rooms that an agent's listing shows, and what they make of our record."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from attrs import frozen

from sebastian_core.domain.chat import NO_DOUBT, UNSAVED, Chat, ChatState, Needs, Transition
from sebastian_core.domain.evidence import conclusive_from
from sebastian_core.domain.ids import AgentId, ChannelId, RoomId
from sebastian_core.domain.in_doubt import cleared
from sebastian_core.domain.room import Decided, Room, admitted, moved, with_chat
from sebastian_core.domain.rules import Rules


@frozen(kw_only=True)
class Listed:
    """A room that the listing of an agent's served rooms shows.

    `absent_elsewhere` is true where the listing of the agent whom we recorded lacks the room.
    """

    room_id: RoomId
    agent_id: AgentId
    began_at: datetime
    channel_id: ChannelId | None = None
    source: str | None = None
    absent_elsewhere: bool = False


class Adopting(StrEnum):
    """What became of a listed room."""

    ADOPTED = "adopted"
    CONVERTED = "converted"
    TRANSFERRED = "transferred"
    CLEARED = "cleared"
    KNOWN = "known"
    TOO_EARLY = "too early"


def adopt(listed: Listed, rules: Rules, room: Room, now: datetime) -> Decided[Adopting]:
    """Record a chat that somebody else gave, so that it counts as load like any other."""
    chat = room.chat
    if chat is None:
        return _adopt_unknown(listed, rules, room, now)
    if chat.agent_id == listed.agent_id:
        return _seen_with_its_agent(chat, listed, rules, room, now)
    if listed.began_at < conclusive_from(chat, rules):
        return Decided(Adopting.TOO_EARLY)
    if chat.holds_slot and not listed.absent_elsewhere:
        return Decided(Adopting.KNOWN)
    if chat.state is ChatState.ASSIGNED:
        return _transfer(chat, listed, rules, room, now)
    return _convert(chat, listed, rules, room, now)


def _adopt_unknown(listed: Listed, rules: Rules, room: Room, now: datetime) -> Decided[Adopting]:
    if room.closed_since(listed.began_at - rules.settle):
        return Decided(Adopting.TOO_EARLY)
    change = admitted(
        Chat(
            id=UNSAVED,
            room_id=listed.room_id,
            state=ChatState.ASSIGNED,
            arrived_at=now,
            changed_at=now,
            ready_at=now,
            needs=Needs(listed.channel_id),
            source=listed.source,
            agent_id=listed.agent_id,
            assigned_at=now,
            adopted=True,
            conclusive_from=now + rules.settle,
        ),
        reason="somebody else gave it",
    )
    return Decided(Adopting.ADOPTED, with_chat(room, change), (change,))


def _seen_with_its_agent(
    chat: Chat, listed: Listed, rules: Rules, room: Room, now: datetime
) -> Decided[Adopting]:
    """A listing of the agent whom we recorded is a reading: its agent serves the room."""
    if chat.state is not ChatState.ASSIGNED or chat.doubt is None:
        return Decided(Adopting.KNOWN)
    if listed.began_at < conclusive_from(chat, rules):
        return Decided(Adopting.TOO_EARLY)
    change = cleared(chat, rules, now, "listed with its agent again")
    return Decided(Adopting.CLEARED, with_chat(room, change), (change,))


def _transfer(
    chat: Chat, listed: Listed, rules: Rules, room: Room, now: datetime
) -> Decided[Adopting]:
    change = moved(
        chat,
        Transition.TRANSFER,
        now,
        rules,
        reason="somebody moved it to another agent",
        details={"from": chat.agent_id},
        agent_id=listed.agent_id,
        adopted=True,
        asked_again_at=None,
        **NO_DOUBT,
    )
    return Decided(Adopting.TRANSFERRED, with_chat(room, change), (change,))


def _convert(
    chat: Chat, listed: Listed, rules: Rules, room: Room, now: datetime
) -> Decided[Adopting]:
    change = moved(
        chat,
        Transition.ADOPT,
        now,
        rules,
        reason="somebody else gave it while it waited",
        details={"from": chat.agent_id},
        state=ChatState.ASSIGNED,
        agent_id=listed.agent_id,
        reservation_id=None,
        assigned_at=now,
        adopted=True,
        asked_again_at=None,
        **NO_DOUBT,
    )
    return Decided(Adopting.CONVERTED, with_chat(room, change), (change,))
