"""What `sebastian dev` prints: one line per decision, and a summary that stays readable."""

from __future__ import annotations

import shlex
import shutil
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import datetime, timedelta
from itertools import takewhile
from pathlib import Path

from attrs import frozen
from rich.console import Console
from rich.live import Live
from rich.text import Text

from sebastian_core.domain.chat import Transition
from sebastian_core.domain.history import HistoryRow
from sebastian_core.domain.ids import AgentId, ChatId
from sebastian_core.domain.roster import Roster
from sebastian_core.ports.journal import Summary

MINUTE = timedelta(minutes=1)
SUMMARY_EVERY = timedelta(seconds=10)
REMEMBERED = 10_000

STYLES: Mapping[Transition, str] = {
    Transition.CONFIRM: "green",
    Transition.ADMIT: "cyan",
    Transition.CLOSE: "dim",
    Transition.REFUSE: "red",
    Transition.DOUBT: "yellow",
    Transition.ADOPT: "magenta",
}


@frozen
class Slots:
    """How many slots the agents who are online have, and how many of them are taken."""

    taken: int = 0
    total: int = 0
    online: int = 0


class Screen:
    """Prints history rows as they come, oldest first, and the summary below them.

    On a terminal the summary stays at the bottom; elsewhere it is a line every ten seconds.
    """

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False)
        self._live = Live(Text(""), console=self.console, auto_refresh=False, transient=True)
        self._last: tuple[datetime, ChatId, int] | None = None
        self._arrived: dict[ChatId, datetime] = {}
        self._assigned: deque[datetime] = deque()
        self._summarised_at: datetime | None = None

    @property
    def shown(self) -> AbstractContextManager[object]:
        """Show the summary at the bottom of a terminal while this is entered."""
        return self._live if self.console.is_terminal else nullcontext()

    @contextmanager
    def busy(self, what: str) -> Iterator[None]:
        """Turn a wheel on a terminal while something is under way; then say how long it took."""
        began = time.monotonic()
        with self.console.status(f"{what} …") if self.console.is_terminal else nullcontext():
            yield
        self.say(f"{what}: {time.monotonic() - began:.1f} s")

    def say(self, text: str) -> None:
        """Print a line above the summary."""
        self.console.print(text, soft_wrap=True)

    def explain_commands(self, config: Path) -> None:
        """Say how the command line looks at this very floor."""
        command = _command()
        self.say("Ask it, from another terminal:")
        for words in ("queue", "agents", "why ROOM", "agents pause ID", "doctor"):
            self.say(f"  {command} {words} -c {shlex.quote(str(config))}")

    def take(self, newest_first: Iterable[HistoryRow], roster: Roster | None) -> None:
        """Print the rows that are new since the last time."""
        last = self._last
        new = list(takewhile(lambda row: last is None or _key(row) > last, newest_first))
        for row in reversed(new):
            self._remember(row)
            line = self._line(row, roster)
            if line:
                self.console.print(Text(line, style=STYLES.get(row.move, "")))
        if new:
            self._last = _key(new[0])

    def summarise(self, summary: Summary, slots: Slots) -> None:
        """Show the summary."""
        line = self._summary(summary, slots)
        if self.console.is_terminal:
            self._live.update(
                Text(line, style="bold reverse", overflow="ellipsis", no_wrap=True), refresh=True
            )
        elif self._summarised_at is None or summary.at - self._summarised_at >= SUMMARY_EVERY:
            self._summarised_at = summary.at
            self.console.print(line, soft_wrap=True)

    def _remember(self, row: HistoryRow) -> None:
        if row.before is None:
            self._arrived[row.chat_id] = row.at
        if row.move is Transition.CONFIRM:
            self._assigned.append(row.at)
        while len(self._arrived) > REMEMBERED:
            self._arrived.pop(next(iter(self._arrived)))

    def _line(self, row: HistoryRow, roster: Roster | None) -> str | None:
        told = self._told(row, roster)
        if told is None:
            return None
        return f"{row.at:%H:%M:%S}  room {row.room_id:<12} {told}"

    def _told(self, row: HistoryRow, roster: Roster | None) -> str | None:
        agent = _name(row.agent_id, roster)
        match row.move:
            case Transition.ADMIT:
                return f"waits ({row.reason})"
            case Transition.RESERVE:
                return None
            case Transition.CONFIRM:
                return f"→ {agent}{self._after(row)}"
            case Transition.ADOPT | Transition.TRANSFER:
                return f"→ {agent} ({row.reason})"
            case Transition.CLOSE:
                return f"closed ({row.reason})"
            case _:
                return f"{row.move}: {row.reason}"

    def _after(self, row: HistoryRow) -> str:
        arrived = self._arrived.get(row.chat_id)
        return "" if arrived is None else f"  after {(row.at - arrived).total_seconds():.2f} s"

    def _summary(self, summary: Summary, slots: Slots) -> str:
        while self._assigned and summary.at - self._assigned[0] > MINUTE:
            self._assigned.popleft()
        oldest = summary.oldest_arrived_at
        wait = f", oldest {(summary.at - oldest).total_seconds():.0f} s" if oldest else ""
        stuck = f" · {summary.stuck} stuck" if summary.stuck else ""
        return (
            f" {summary.waiting} waiting{wait}{stuck} · {slots.taken} of {slots.total} slots taken"
            f" · {slots.online} online · {len(self._assigned)} given a minute "
        )


def slots_of(
    roster: Roster | None, loads: Mapping[AgentId, int], capacities: Mapping[AgentId, int]
) -> Slots:
    """Count the slots of the agents who are online."""
    online = [each for each in roster.agents.values() if each.online] if roster else []
    return Slots(
        taken=sum(loads.get(each.agent_id, 0) for each in online),
        total=sum(capacities.get(each.agent_id, 0) for each in online),
        online=len(online),
    )


def _command() -> str:
    """This program as it can be typed from here: by its path where the shell would not find it."""
    own = Path(sys.argv[0])
    if shutil.which("sebastian") or own.name != "sebastian":
        return "sebastian"
    return str(own.relative_to(Path.cwd()) if own.is_relative_to(Path.cwd()) else own)


def _key(row: HistoryRow) -> tuple[datetime, ChatId, int]:
    return row.at, row.chat_id, row.version


def _name(agent_id: AgentId | None, roster: Roster | None) -> str:
    presence = roster.agents.get(agent_id) if roster and agent_id is not None else None
    return presence.name if presence and presence.name else f"agent {agent_id}"
