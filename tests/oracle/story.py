"""A record told by hand, for tests of the oracle: every sentence keeps the promises by itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import define, evolve, field

from sebastian_adapters.memory.platform import Event
from sebastian_adapters.memory.platform.log import Actor, EventKind
from sebastian_core.domain.chat import ChatState, Transition
from tests.oracle.record import ChatNow, Delivered, PassRow, Record, Row, Snapshot

_AFTER = {
    Transition.ADMIT: ChatState.WAITING,
    Transition.RESERVE: ChatState.RESERVED,
    Transition.CONFIRM: ChatState.ASSIGNED,
    Transition.RELEASE: ChatState.WAITING,
    Transition.REFUSE: ChatState.WAITING,
    Transition.PASS_OVER: ChatState.WAITING,
    Transition.ADOPT: ChatState.ASSIGNED,
    Transition.TRANSFER: ChatState.ASSIGNED,
    Transition.EXPEDITED: ChatState.WAITING,
    Transition.CLOSE: ChatState.CLOSED,
}


@define
class Story:
    """Builds a record, one event after the other. Chats and services carry the same numbers."""

    rows: list[Row] = field(factory=list)
    chats: dict[int, ChatNow] = field(factory=dict)
    events: list[Event] = field(factory=list)
    deliveries: list[Delivered] = field(factory=list)
    passes: list[PassRow] = field(factory=list)

    def record(self, ended_at: float = 100.0) -> Record:
        """What was told so far, the platform's events in the order of time."""
        return Record(
            events=sorted(self.events, key=lambda event: event.at),
            history=self.rows,
            chats=list(self.chats.values()),
            deliveries=self.deliveries,
            passes=self.passes,
            ended_at=ended_at,
        )

    def online(self, *agent_ids: int, at: float = 0.0) -> None:
        """Agents come."""
        self.events += [Event(at, "online", agent_id=agent_id) for agent_id in agent_ids]

    def offline(self, agent_id: int, at: float) -> None:
        """An agent leaves."""
        self.events.append(Event(at, "offline", agent_id=agent_id))

    def arrives(
        self, chat_id: int, at: float, *, reason: str = "the customer asked", channel: int = 1
    ) -> None:
        """A customer comes to the platform, the webhook is acknowledged, the chat admitted."""
        room = f"room{chat_id}"
        self.happens("opened", at, chat_id, by="customer")
        self.acknowledged(chat_id, at)
        self.chats[chat_id] = ChatNow(
            id=chat_id,
            room_id=room,
            state=ChatState.WAITING,
            version=0,
            arrived_at=at,
            channel_id=channel,
        )
        self.row(chat_id, Transition.ADMIT, at, reason=reason)

    def acknowledged(self, chat_id: int, at: float) -> None:
        """The allocation webhook of a service, answered 200."""
        self.deliveries.append(
            Delivered(
                kind="allocation",
                room_id=f"room{chat_id}",
                service_id=chat_id,
                fired_at=at,
                sent_at=at,
                answered_at=at + 0.005,
                status=200,
            )
        )

    def given(self, chat_id: int, agent_id: int, at: float, *, xid: int | None = None) -> None:
        """Reserved, assigned by us and confirmed, within 20 ms."""
        self.row(chat_id, Transition.RESERVE, at, agent_id=agent_id, xid=xid)
        self.happens("assigned", at + 0.01, chat_id, agent_id, by="api")
        self.row(chat_id, Transition.CONFIRM, at + 0.02, agent_id=agent_id, xid=xid and xid + 1)

    def resolved(self, chat_id: int, at: float) -> None:
        """The agent resolves, and we close the chat."""
        self.happens("resolved", at, chat_id, by="agent")
        self.row(chat_id, Transition.CLOSE, at + 0.005, reason="resolved")

    def served(self, chat_id: int, agent_id: int, at: float, *, until: float) -> None:
        """One chat from its coming to its end, given at once."""
        self.arrives(chat_id, at)
        self.given(chat_id, agent_id, at + 0.01)
        self.resolved(chat_id, until)

    def happens(
        self,
        kind: EventKind,
        at: float,
        service: int,
        agent_id: int | None = None,
        *,
        by: Actor = "platform",
        room_id: str | None = None,
    ) -> None:
        """An event at the platform."""
        room = room_id or f"room{service}"
        self.events.append(Event(at, kind, room, agent_id, service, by))

    def row(
        self,
        chat_id: int,
        move: Transition,
        at: float,
        *,
        agent_id: int | None = None,
        reason: str = "",
        xid: int | None = None,
        details: Mapping[str, Any] | None = None,
        after: ChatState | None = None,
    ) -> None:
        """One history row, and the chat as it leaves it; whoever holds a slot keeps its agent."""
        chat = self.chats[chat_id]
        state = after or _AFTER.get(move, chat.state)
        holder = agent_id if state is not ChatState.WAITING else None
        if holder is None and state is not ChatState.WAITING:
            holder = chat.agent_id
        self.rows.append(
            Row(
                seq=len(self.rows) + 1,
                chat_id=chat_id,
                room_id=chat.room_id,
                version=chat.version + 1,
                at=at,
                move=move,
                before=None if chat.version == 0 else chat.state,
                after=state,
                agent_id=holder,
                reservation_id=len(self.rows) if move is Transition.RESERVE else None,
                reason=reason,
                details=details or {},
                xid=xid,
            )
        )
        self.chats[chat_id] = evolve(
            chat,
            state=state,
            version=chat.version + 1,
            agent_id=holder,
            close_reason="resolved" if state is ChatState.CLOSED else None,
        )

    def passed(self, xid: int, at: float, snapshot: str) -> None:
        """A reserving pass with what it could see."""
        self.passes.append(PassRow(xid=xid, at=at, snapshot=Snapshot.parse(snapshot)))
