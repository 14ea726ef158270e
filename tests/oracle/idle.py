"""P7 and P8: nobody waits beside a free slot, whatever stands before them in the line."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import count

from attrs import define, field

from sebastian_core.domain.chat import Transition
from tests.oracle.record import Judging, Record, Row
from tests.oracle.replay import Line, Standing
from tests.oracle.verdict import Promise, Teller, Violation

STARVING_FACTOR = 4
"""How many times longer than a whole floor may idle a single chat may be passed by."""


def judge_idle(record: Record, judging: Judging) -> Iterator[Violation]:
    """Play all moments in order and watch for chats that could be given and are not.

    P7: some ready chat waits beside a free agent and nothing at all is reserved for
    `idle_seconds`. P8: one chat is ready beside a free agent for several times as long while others
    are given. An agent counts as free once we must know that they are online.
    """
    if judging.idle_seconds is None:
        return
    yield from _Watch(record, judging, judging.idle_seconds).play()


@define
class _Span:
    """Since when somebody ready waits beside somebody free, in one channel."""

    since: float
    quiet_since: float
    is_told: bool = False


@define
class _Watch:
    """The floor as it was, and for how long something was left undone."""

    record: Record
    judging: Judging
    idle_seconds: float
    _line: Line = field(init=False)
    _moments: list[tuple[float, int, Callable[[], None]]] = field(factory=list, init=False)
    _order: Iterator[int] = field(factory=count, init=False)
    _online: dict[int, int] = field(factory=dict, init=False)
    """Who is known to be online, by the number of the event that said so."""
    _ready: dict[int, Standing] = field(factory=dict, init=False)
    _ready_since: dict[int, float] = field(factory=dict, init=False)
    _spans: dict[int | None, _Span] = field(factory=dict, init=False)
    _ready_in: Counter[int | None] = field(factory=Counter, init=False)
    _starved: set[int] = field(factory=set, init=False)
    _found: list[Violation] = field(factory=list, init=False)
    _outages: int = field(default=0, init=False)
    _present: dict[int, int] = field(factory=dict, init=False)
    _channels: dict[int, int | None] = field(init=False)
    _now: float = field(default=0.0, init=False)

    @_line.default
    def _empty(self) -> Line:
        return Line(self.judging.rules)

    @_channels.default
    def _known_channels(self) -> dict[int, int | None]:
        return {chat.id: chat.channel_id for chat in self.record.chats}

    def play(self) -> Iterator[Violation]:
        """All violations, in the order in which they became ones."""
        self._plan()
        while self._moments:
            at, _, act = heapq.heappop(self._moments)
            self._look(at)
            self._now = at
            act()
        self._look(self.record.ended_at)
        self._now = self.record.ended_at
        for channel in tuple(self._spans):
            self._end_span(channel)
        yield from self._found

    def _plan(self) -> None:
        for row in self.record.history:
            self._at(row.at, self._take_row, row)
        for number, event in enumerate(self.record.events):
            if event.agent_id is None:
                continue
            if event.kind == "online":
                self._at(event.at, self._come, event.agent_id, number)
                known_at = event.at + self.judging.presence_interval_seconds + 1.0
                self._at(known_at, self._know, event.agent_id, number)
            elif event.kind in ("offline", "agent_deleted"):
                self._at(event.at, self._leave, event.agent_id)
        for since, until in self.judging.outages:
            self._at(since, self._shift_outage, 1)
            self._at(until, self._shift_outage, -1)

    def _at(self, at: float, act: Callable[..., None], *args: object) -> None:
        heapq.heappush(self._moments, (at, next(self._order), lambda: act(*args)))

    def _take_row(self, row: Row) -> None:
        self._line.apply(row)
        self._forget_ready(row.chat_id)
        standing = self._line.waiting.get(row.chat_id)
        if standing is not None and standing.is_ready(self._now):
            self._become_ready(standing)
        elif standing is not None and standing.is_ready(standing.ready_at):
            self._at(standing.ready_at, self._ripen, standing)
        if row.move is Transition.RESERVE:
            span = self._spans.get(self._channels.get(row.chat_id))
            if span is not None:
                span.quiet_since = self._now

    def _ripen(self, standing: Standing) -> None:
        if self._line.waiting.get(standing.row.chat_id) is standing:
            self._become_ready(standing)

    def _become_ready(self, standing: Standing) -> None:
        chat_id = standing.row.chat_id
        self._ready[chat_id] = standing
        self._ready_in[self._channels.get(chat_id)] += 1
        self._ready_since.setdefault(chat_id, self._now)

    def _forget_ready(self, chat_id: int) -> None:
        standing = self._ready.pop(chat_id, None)
        if standing is not None:
            self._ready_in[self._channels.get(chat_id)] -= 1
            self._judge_starving(standing)
        if chat_id not in self._line.waiting:
            self._ready_since.pop(chat_id, None)

    def _come(self, agent_id: int, number: int) -> None:
        self._present[agent_id] = number

    def _know(self, agent_id: int, number: int) -> None:
        if self._present.get(agent_id) == number:
            self._online[agent_id] = number

    def _leave(self, agent_id: int) -> None:
        self._present.pop(agent_id, None)
        self._online.pop(agent_id, None)

    def _shift_outage(self, by: int) -> None:
        self._outages += by

    def _look(self, now: float) -> None:
        """What held from the last moment until now."""
        for channel, ready in tuple(self._ready_in.items()):
            if not ready or self._outages or not self._somebody_is_free(channel):
                self._end_span(channel)
                continue
            span = self._spans.setdefault(channel, _Span(self._now, self._now))
            self._judge_idle(channel, span, now)

    def _end_span(self, channel: int | None) -> None:
        for standing in self._ready.values() if channel in self._spans else ():
            if self._channel_of(standing) == channel:
                self._judge_starving(standing)
        self._spans.pop(channel, None)

    def _judge_idle(self, channel: int | None, span: _Span, now: float) -> None:
        if span.is_told or now - span.quiet_since <= self.idle_seconds:
            return
        span.is_told = True
        self._tell(Promise.P7, self._oldest(channel), span.quiet_since, now)

    def _judge_starving(self, standing: Standing) -> None:
        """Look back at one chat that ceases to be ready, or whose free agents are gone."""
        chat_id, span = standing.row.chat_id, self._spans.get(self._channel_of(standing))
        if span is None or chat_id in self._starved:
            return
        since = max(span.since, self._ready_since[chat_id])
        if self._now - since > STARVING_FACTOR * self.idle_seconds:
            self._starved.add(chat_id)
            self._tell(Promise.P8, standing, since, self._now)

    def _somebody_is_free(self, channel: int | None) -> bool:
        return any(self._is_free(agent_id, channel) for agent_id in self._online)

    def _is_free(self, agent_id: int, channel: int | None) -> bool:
        channels = self.record.channels.get(agent_id, frozenset())
        if channel is not None and channels and channel not in channels:
            return False
        return self._line.load(agent_id) < self.judging.capacities.at(agent_id, self._now)

    def _oldest(self, channel: int | None) -> Standing:
        ready = (each for each in self._ready.values() if self._channel_of(each) == channel)
        return min(ready, key=lambda standing: standing.row.chat_id)

    def _channel_of(self, standing: Standing) -> int | None:
        return self._channels.get(standing.row.chat_id)

    def _tell(self, promise: Promise, standing: Standing, since: float, now: float) -> None:
        teller, row = Teller(self.record), standing.row
        channel = self._channel_of(standing)
        free = sorted(each for each in self._online if self._is_free(each, channel))
        told = Violation(
            promise=promise,
            sentence=(
                f"chat {row.chat_id} (room {row.room_id}) was ready from {teller.moment(since)} to "
                f"{teller.moment(now)} beside free agents {free[:5]} and was not given "
                f"({len(self._ready)} others were ready)"
            ),
            room_id=row.room_id,
            chat_id=row.chat_id,
            at=since,
            evidence=teller.rows_of(row.chat_id),
        )
        self._found.append(told)
