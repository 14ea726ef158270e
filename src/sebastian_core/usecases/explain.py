"""Why a room's chat was given to whom, or why it still waits."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime

from attrs import frozen

from sebastian_core.domain.chat import Chat, ChatState
from sebastian_core.domain.errors import UnknownWord
from sebastian_core.domain.explanation import (
    BlockedBy,
    Explanation,
    Line,
    WaitWhy,
    chat_rows,
    explain_given,
)
from sebastian_core.domain.ids import AgentId, RoomId
from sebastian_core.domain.matcher import Matcher
from sebastian_core.domain.roster import Roster
from sebastian_core.ports.agent_settings import AgentSettings
from sebastian_core.ports.journal import Journal
from sebastian_core.ports.room_repo import RoomRepo
from sebastian_core.usecases.dispatch import DispatchRules
from sebastian_core.usecases.roster_cache import RosterCache


@frozen(kw_only=True)
class ExplainedLine:
    """The head of the waiting line at one moment, each chat with why it waits."""

    at: datetime
    entries: tuple[tuple[Chat, WaitWhy], ...]
    names: Mapping[AgentId, str]


Blocked = Callable[[datetime], Awaitable[BlockedBy | None]]
"""Answers what holds every chat at this moment of the database's clock, whoever is free."""

LINE_READ = 1000
"""So many chats before a room's are looked at one by one; all that stand before those count."""


async def not_blocked(_: datetime) -> BlockedBy | None:
    """Nothing is known that holds every chat."""
    return None


class ExplainRoom:
    """Reads what is known of a room's chat and explains it. Changes nothing.

    `blocked` is asked what holds every chat, such as that no worker runs.
    """

    def __init__(
        self,
        room_repo: RoomRepo,
        journal: Journal,
        agent_settings: AgentSettings,
        roster: RosterCache,
        rules: DispatchRules,
        *,
        verify: bool = True,
        blocked: Blocked = not_blocked,
    ) -> None:
        self._room_repo = room_repo
        self._journal = journal
        self._agent_settings = agent_settings
        self._roster = roster
        self._rules = rules
        self._verify = verify
        self._blocked = blocked

    async def __call__(self, room_id: RoomId) -> Explanation:
        """Explain the room's live chat, else its last one; raises StoreUnavailable, UnknownWord."""
        rows = await self._journal.history(room_id)
        room = (await self._room_repo.rooms([room_id])).get(room_id)
        if room is None and rows and rows[0].after is not ChatState.CLOSED:
            raise UnknownWord(room_id)
        roster = await self._roster.roster()
        chat = room.chat if room else None
        waits = chat is not None and chat.state is ChatState.WAITING
        waiting, now = await self._waiting(chat, roster) if chat and waits else (None, None)
        history = chat_rows(rows, chat)
        return Explanation(
            room_id=room_id,
            at=now or (await self._agent_settings.agent_loads()).now,
            chat=chat,
            waiting=waiting,
            given=explain_given(history),
            history=history,
            names=_names(roster),
            chats=len({row.chat_id for row in rows}),
        )

    async def line(self, limit: int) -> ExplainedLine:
        """The head of the waiting line, and why each chat in it waits."""
        chats = await self._room_repo.waiting(limit)
        roster = await self._roster.roster()
        line, now = await self._line(roster)
        return ExplainedLine(
            at=now,
            entries=tuple((chat, line.next(chat, place)) for place, chat in enumerate(chats, 1)),
            names=_names(roster),
        )

    async def _waiting(self, chat: Chat, roster: Roster | None) -> tuple[WaitWhy, datetime]:
        line, now = await self._line(roster)
        ahead = await self._journal.ahead_of(chat)
        before = await self._room_repo.waiting(min(ahead, LINE_READ)) if ahead else ()
        line.skip(ahead - len(before))
        for place, each in enumerate(before, 1):
            line.next(each, place)
        return line.next(chat, ahead + 1, naming=True), now

    async def _line(self, roster: Roster | None) -> tuple[Line, datetime]:
        agent_loads = await self._agent_settings.agent_loads()
        floor = self._plan(roster).look(agent_loads) if roster else None
        read_at = roster.read_at if roster else None
        return Line(
            agent_loads.now, floor, read_at, await self._blocked(agent_loads.now)
        ), agent_loads.now

    def _plan(self, roster: Roster) -> Matcher:
        rules = self._rules
        return Matcher(
            roster=roster,
            capacities=rules.capacities,
            policy=rules.policy,
            rules=rules.rules,
            match_channels=rules.match_channels,
            max_age=None if self._verify else rules.presence_max_age,
        )


def _names(roster: Roster | None) -> dict[AgentId, str]:
    agents = roster.agents.values() if roster else ()
    return {presence.agent_id: presence.name for presence in agents if presence.name}
