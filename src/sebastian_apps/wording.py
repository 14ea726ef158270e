"""What happened and why, in sentences: for the command line and the floor page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta, tzinfo

from attrs import field, frozen

from sebastian_apps.printable import as_argument
from sebastian_core.domain.chat import Chat, ChatState, Transition
from sebastian_core.domain.explanation import (
    HOLDS_ALL,
    AssignmentWhy,
    BlockedBy,
    Explanation,
    Remedy,
    WaitWhy,
)
from sebastian_core.domain.history import HistoryRow
from sebastian_core.domain.ids import AgentId
from sebastian_core.domain.matcher import Availability
from sebastian_core.domain.room import SYSTEM

_MOVES: Mapping[Transition, str] = {
    Transition.ADMIT: "came into the line: {reason}",
    Transition.RESERVE: "a slot of {agent} was reserved",
    Transition.CONFIRM: "assigned to {agent}: {reason}",
    Transition.RELEASE: "not given to {past}, back at its place: {reason}",
    Transition.REFUSE: "refused for {past}, the {ordinal} time: {reason}",
    Transition.PASS_OVER: "not given to {past}, back at its place: {reason}",
    Transition.ADOPT: "with {agent}: {reason}",
    Transition.TRANSFER: "with {agent} instead of {past}: {reason}",
    Transition.ASK_AGAIN: "in doubt: {reason}",
    Transition.DOUBT: "in doubt: {reason}",
    Transition.CLEAR: "no longer in doubt: {reason}",
    Transition.EXPEDITED: "ready at once: {reason}",
    Transition.CLOSE: "over: {reason}",
    Transition.UNKNOWN: "{move}, says a newer version of Sebastian: {reason}",
}
NAMED_AT_MOST = 3
_BY_HAND = "a slot of {agent} was taken by hand"

_ARE: Mapping[Availability, tuple[str, str]] = {
    Availability.FREE: ("is free", "are free"),
    Availability.FULL: ("is full", "are full"),
    Availability.OFFLINE: ("is offline", "are offline"),
    Availability.PAUSED: ("is paused", "are paused"),
    Availability.STALE: ("was not read lately", "were not read lately"),
    Availability.OTHER_CHANNEL: ("serves other channels", "serve other channels"),
    Availability.NOT_ELIGIBLE: ("is not eligible for the room", "are not eligible for the room"),
}


def local_time(at: datetime) -> datetime:
    """A moment in the time zone of this machine; in UTC where TZ names an impossible one."""
    try:
        return at.astimezone()
    except ValueError:
        return at.astimezone(UTC)


@frozen
class Phrases:
    """Tells moments in one time zone, seen from `now`, and agents by their names."""

    now: datetime
    zone: tzinfo = UTC
    names: Mapping[AgentId, str] = field(factory=dict)

    def moment(self, at: datetime) -> str:
        """The time of day, with the date if it is not today's."""
        local, today = at.astimezone(self.zone), self.now.astimezone(self.zone)
        return f"{local:%H:%M:%S}" if local.date() == today.date() else f"{local:%Y-%m-%d %H:%M:%S}"

    def until(self, at: datetime) -> str:
        """A moment to come, and in how long that is."""
        return f"at {self.moment(at)} (in {duration(at - self.now)})"

    def ago(self, at: datetime) -> str:
        """A moment that was, and how long ago."""
        return f"{self.moment(at)}, {duration(self.now - at)} ago"

    def agent(self, agent_id: object) -> str:
        """The agent's name with the id, or the id alone."""
        name = self.names.get(AgentId(agent_id)) if isinstance(agent_id, int) else None
        return f"{name} ({agent_id})" if name else f"agent {agent_id}"

    def any_of(self, agent_ids: Iterable[AgentId], number: int) -> str:
        """One of so many agents, some of whom are named: `Anne (7), Ben (8) or one of 3 others`."""
        named = [self.agent(each) for each in list(agent_ids)[:NAMED_AT_MOST]]
        others = number - len(named)
        if others > 0:
            named.append("one other" if others == 1 else f"one of {others} others")
        *first, last = named or ["an agent"]
        return f"{', '.join(first)} or {last}" if first else last

    def row(self, row: HistoryRow) -> str:
        """One history row as a sentence without its moment."""
        by_hand = row.actor not in (SYSTEM, "")
        words = _BY_HAND if row.move is Transition.RESERVE and by_hand else _MOVES[row.move]
        sentence = words.format(
            reason=row.reason,
            move=row.details.get("move"),
            agent=self.agent(row.agent_id),
            past=self.agent(row.details.get("agent", row.details.get("from"))),
            ordinal=ordinal(int(row.details.get("refusals", 1))),
        )
        return f"{sentence} (by {row.actor})" if by_hand else sentence


def explained(explanation: Explanation, zone: tzinfo = UTC) -> list[str]:
    """The whole explanation, line by line; an empty line parts its paragraphs."""
    if not explanation.is_known:
        return [
            f"Nothing is known of room {explanation.room_id}.",
            "No request of it was recorded, or it is longer ago than history.keep.",
        ]
    teller = Phrases(explanation.at, zone, explanation.names)
    lines = [headline(explanation, teller)]
    if explanation.chat and explanation.waiting:
        lines += ["", *why_it_waits(explanation.chat, explanation.waiting, teller)]
    elif explanation.given and _tells_the_end(explanation, explanation.given):
        lines += ["", *why_this_agent(explanation.given, explanation.history, teller)]
    return [*lines, "", *what_happened(explanation, teller)]


def headline(explanation: Explanation, teller: Phrases) -> str:
    """How the room stands, in one sentence."""
    chat, room_id = explanation.chat, explanation.room_id
    if chat is None:
        last = explanation.history[-1]
        return f"Room {room_id} has no live chat. The last one ended {teller.ago(last.at)}."
    if chat.state is ChatState.WAITING:
        place = explanation.waiting.place if explanation.waiting else 1
        wait = duration(teller.now - chat.arrived_at)
        return f"Room {room_id} waits for an agent: {ordinal(place)} in the line, for {wait}."
    agent = teller.agent(chat.agent_id)
    if chat.state is ChatState.RESERVED:
        return f"Room {room_id} {_being_given(chat, agent, teller)}"
    return f"Room {room_id} is with {agent}{_since(chat, teller)}"


def _being_given(chat: Chat, agent: str, teller: Phrases) -> str:
    if chat.doubt is None or chat.settle_at is None:
        return f"is being given to {agent} right now."
    read_at = teller.moment(chat.settle_at)
    return f"keeps a slot of {agent} until it is read at {read_at}: {chat.doubt}."


def why_it_waits(chat: Chat, waiting: WaitWhy, teller: Phrases) -> list[str]:
    """What holds a waiting chat, and what would change that."""
    ways = [f"  - {_way(way, chat, waiting, teller)}" for way in waiting.ways]
    if waiting.hold not in _LEAVES_NOTHING_TO_PEOPLE:
        ways.append(f"  - a person gives it: sebastian assign {as_argument(chat.room_id)} AGENT")
    return [_held(chat, waiting, teller), "", "What would change that:", *ways]


_LEAVES_NOTHING_TO_PEOPLE = HOLDS_ALL - {BlockedBy.NO_WORKER}
"""While one of these holds, nobody can give a chat by hand either."""


def why_not_yet(chat: Chat, waiting: WaitWhy) -> str:
    """What holds a waiting chat, in a few words without the moment until which it does."""
    match waiting.hold:
        case BlockedBy.DOUBT:
            return f"in doubt: {chat.doubt}"
        case BlockedBy.NEXT_TRY:
            return f"refused {counted(chat.refusals, 'time')}"
        case BlockedBy.NOBODY_FREE:
            return f"nobody free: {standings_told(waiting.standings)}"
        case BlockedBy.TURN:
            return f"{waiting.before} before it, {counted(waiting.free_slots, 'slot')} free"
        case BlockedBy.DISPATCH:
            return "ready: given within seconds"
        case hold if hold in HOLDS_ALL:
            return f"on hold: {hold}"
        case _:
            return str(waiting.hold)


def why_this_agent(
    given: AssignmentWhy, history: Iterable[HistoryRow], teller: Phrases
) -> list[str]:
    """Why the chosen agent was chosen, and how the others stood at that moment."""
    lines = [f"Why {teller.agent(given.agent_id)}: {_reason(given, history, teller)}"]
    if given.nearest:
        near = (f"{teller.agent(n.agent_id)} {n.load} of {n.capacity}" for n in given.nearest)
        lines.append(f"  nearest at that moment: {', '.join(near)}")
    if given.standings:
        number = counted(sum(given.standings.values()), "agent")
        stood = ", ".join(f"{count} {name}" for name, count in given.standings.items())
        lines.append(f"  of {number}: {stood}")
    return lines


def what_happened(explanation: Explanation, teller: Phrases) -> list[str]:
    """The chat's history, oldest first."""
    rows = [f"  {teller.moment(row.at)}  {teller.row(row)}" for row in explanation.history]
    earlier = explanation.chats - 1
    if earlier > 0:
        rows.append(f"  ({counted(earlier, 'earlier chat')} of this room not shown)")
    return ["What happened:", *rows]


def standings_told(standings: Mapping[Availability, int]) -> str:
    """How many agents stand how: `of 8 agents 5 are full, 2 are offline`."""
    number = sum(standings.values())
    parts = [
        f"{standings[s]} {_ARE[s][standings[s] != 1]}" for s in Availability if standings.get(s)
    ]
    return f"of {counted(number, 'agent')} {', '.join(parts)}"


def left_aside(number: int) -> str:
    """That so many chats cannot be read by this version, and what follows."""
    hold, them = ("holds", "it") if number == 1 else ("hold", "them")
    return (
        f"{counted(number, 'live chat')} {hold} a word that only a newer version of Sebastian "
        f"knows. This one leaves {them} aside: run the newer one."
    )


def duration(length: timedelta) -> str:
    """A length of time in its two largest units: `1 min 5 s`."""
    seconds = max(0, round(length.total_seconds()))
    units = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))
    first = next((i for i, (_, size) in enumerate(units) if seconds >= size), len(units) - 1)
    parts: list[str] = []
    for name, size in units[first : first + 2]:
        count, seconds = divmod(seconds, size)
        if count or not parts:
            parts.append(f"{count} {name}")
    return " ".join(parts)


def ordinal(number: int) -> str:
    """1st, 2nd, 3rd, 4th …"""
    if number % 100 in (11, 12, 13):
        return f"{number}th"
    return f"{number}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th') }"


def counted(number: int, word: str) -> str:
    """The number with its word, in the plural where it is one."""
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def _since(chat: Chat, teller: Phrases) -> str:
    assigned_at = chat.assigned_at or chat.changed_at
    if chat.adopted:
        return f"; somebody else gave it. Known since {teller.ago(assigned_at)}."
    wait = duration(assigned_at - chat.arrived_at)
    return f" since {teller.ago(assigned_at)}. It had waited {wait}."


def _tells_the_end(explanation: Explanation, given: AssignmentWhy) -> bool:
    chat = explanation.chat
    if chat is not None and chat.adopted:
        return False
    return given.is_confirmed or given.ended_by is None


def _reason(given: AssignmentWhy, history: Iterable[HistoryRow], teller: Phrases) -> str:
    held = f"{given.load} of {given.capacity}"
    if given.is_by_hand:
        over = ", over the capacity" if given.load >= given.capacity else ""
        return f"{given.actor} chose so; the agent held {held}{over}."
    less = [near for near in given.nearest if near.load < given.load]
    if not less:
        return f"of those who were free nobody held less ({held})."
    refused = {row.details.get("agent") for row in history if row.move is Transition.REFUSE}
    avoided = [near.agent_id for near in less if near.agent_id in refused]
    if avoided:
        who = teller.any_of(avoided, len(avoided))
        return f"held {held}; {who} held less, but had been refused for this room."
    return f"held {held} by then; {given.reason} chose for several chats at once."


def _held(chat: Chat, waiting: WaitWhy, teller: Phrases) -> str:
    match waiting.hold:
        case BlockedBy.DOUBT:
            return f"It is in doubt: {chat.doubt}."
        case BlockedBy.NEXT_TRY:
            last = f" (last for {teller.agent(chat.refused_by)})" if chat.refused_by else ""
            return f"Qiscus refused it {counted(chat.refusals, 'time')}{last}."
        case BlockedBy.NOT_READ:
            return "The agents have not been read yet, so nobody counts as online."
        case BlockedBy.NO_AGENTS:
            return "Qiscus lists no agents in this account."
        case BlockedBy.NOBODY_FREE:
            return f"No agent is free for it: {standings_told(waiting.standings)}."
        case BlockedBy.TURN:
            stand = "stands" if waiting.before == 1 else "stand"
            return f"{_slots(waiting)} free for it, and {waiting.before} {stand} before it."
        case BlockedBy.DISPATCH:
            return f"{_slots(waiting)} free for it: it is given within seconds."
        case hold:
            return f"Everything is on hold: {hold}."


def _way(way: Remedy, chat: Chat, waiting: WaitWhy, teller: Phrases) -> str:
    return _WAYS[way].format(
        release=f"or at once: sebastian queue release {as_argument(chat.room_id)}",
        until=_until(waiting.until, teller),
        lifted=_until(chat.excluded_until, teller),
        read=f" again (last at {teller.ago(waiting.read_at)})" if waiting.read_at else "",
        full=_some(Availability.FULL, waiting, teller),
        offline=_some(Availability.OFFLINE, waiting, teller),
        paused=_some(Availability.PAUSED, waiting, teller),
        first_full=_first(Availability.FULL, waiting),
        first_paused=_first(Availability.PAUSED, waiting),
        channel=chat.needs.channel_id,
        before=waiting.before,
    )


_WAYS: Mapping[Remedy, str] = {
    Remedy.WRITTEN: "the database takes writes again; what it answers: sebastian doctor",
    Remedy.STARTED: "a worker is started: sebastian-worker",
    Remedy.ACCEPTED: "qiscus.app_id and qiscus.secret_key are corrected, and the workers restarted",
    Remedy.ANSWERED: "Qiscus answers again: it is asked every few seconds",
    Remedy.SETTLED: "its room is read {until}; {release}",
    Remedy.TRIED: "it is tried again {until}; {release}",
    Remedy.READ: "the agents are read{read}; if that takes long: sebastian doctor",
    Remedy.RESOLVED: "a chat of {full} is resolved",
    Remedy.RAISED: "more capacity: sebastian agents capacity {first_full} N",
    Remedy.ONLINE: "{offline} comes online",
    Remedy.RESUMED: "{paused} takes part again: sebastian agents resume {first_paused}",
    Remedy.CHANNEL: "another agent gets channel {channel} in Qiscus",
    Remedy.ELIGIBLE: "the others are tried {lifted}; {release}",
    Remedy.SERVED: "those before it are given ({before})",
    Remedy.PASS: "a worker looks at the line, within 2 s",
}


def _slots(waiting: WaitWhy) -> str:
    return f"{counted(waiting.free_slots, 'slot')} {'is' if waiting.free_slots == 1 else 'are'}"


def _until(at: datetime | None, teller: Phrases) -> str:
    return teller.until(at) if at is not None and at > teller.now else "any moment now"


def _some(standing: Availability, waiting: WaitWhy, teller: Phrases) -> str:
    number = waiting.standings.get(standing, 0)
    named = waiting.named.get(standing, ())
    return teller.any_of(named, number)


def _first(standing: Availability, waiting: WaitWhy) -> str:
    named = waiting.named.get(standing, ())
    return str(named[0]) if named else "ID"
