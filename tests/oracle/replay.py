"""The line and the slots as our history tells them, moment by moment and pass by pass."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence

from attrs import define, field, frozen

from sebastian_core.domain.chat import ChatState, Doubt, Transition
from sebastian_core.domain.rules import Rules
from tests.oracle.record import PassRow, Record, Row, Snapshot

_DOUBTS = frozenset(str(each) for each in Doubt)
_OUTLIVES_RESERVATION = (str(Doubt.UNNAMED_RESOLVE), str(Doubt.LATE_SUCCESS))
_DOUBTING = (Transition.ADMIT, Transition.RELEASE, Transition.DOUBT, Transition.ASK_AGAIN)
_BELIEVED_AGAIN = (
    Transition.CLEAR,
    Transition.RESERVE,
    Transition.CONFIRM,
    Transition.ADOPT,
    Transition.TRANSFER,
)


@frozen
class Standing:
    """A chat after its last row, with what follows from the rows before it."""

    row: Row
    ready_at: float
    is_doubtful: bool = False
    is_passed_over: bool = False
    """Kept for a while to agents whom the history does not name: not comparable to others."""
    is_in_question: bool = False
    """Doubted while it was being given, for a reason that outlives the reservation."""

    def is_ready(self, at: float) -> bool:
        """Whether it might have been given then."""
        waits = self.row.after is ChatState.WAITING
        return waits and not self.is_doubtful and not self.is_passed_over and self.ready_at <= at


def standing_after(before: Standing | None, row: Row, rules: Rules) -> Standing:
    """What a row makes of a chat."""
    if before is None:
        before = Standing(row, row.at)
    in_question = row.reason in _OUTLIVES_RESERVATION or (
        before.is_in_question and row.move not in _BELIEVED_AGAIN
    )
    doubtful = before.is_doubtful
    if row.move in _DOUBTING:
        doubtful = row.reason in _DOUBTS or row.move is Transition.DOUBT or in_question
    elif row.move in (Transition.REFUSE, Transition.PASS_OVER):
        doubtful = in_question
    elif row.move in _BELIEVED_AGAIN:
        doubtful = False
    passed_over = row.move is Transition.PASS_OVER or before.is_passed_over
    return Standing(row, _ready_at(before, row, rules), doubtful, passed_over, in_question)


def _ready_at(before: Standing, row: Row, rules: Rules) -> float:
    if row.move in (Transition.ADMIT, Transition.EXPEDITED):
        return row.at
    if row.move is Transition.REFUSE:
        refusals = int(row.details.get("refusals", 1))
        return row.at + rules.delay_after(refusals).total_seconds()
    return before.ready_at


@define
class Line:
    """All live chats at one moment of the replay."""

    rules: Rules
    standings: dict[int, Standing] = field(factory=dict)
    versions: dict[int, int] = field(factory=dict)
    waiting: dict[int, Standing] = field(factory=dict)
    held: defaultdict[int, dict[int, str]] = field(factory=lambda: defaultdict(dict))
    """Per agent the rooms whose slot they hold, by chat."""

    def apply(self, row: Row) -> None:
        """Take in one row; one that is older than what is known of its chat changes nothing."""
        if row.version <= self.versions.get(row.chat_id, 0):
            return
        before = self.standings.get(row.chat_id)
        self._put(row.chat_id, row.version, standing_after(before, row, self.rules))

    def load(self, agent_id: int) -> int:
        """How many live chats the agent holds."""
        return len(self.held[agent_id])

    def remember(self, chat_ids: Iterable[int]) -> list[tuple[int, int, Standing | None]]:
        """What is known of these chats, to be put back with `restore`."""
        return [(each, self.versions.get(each, 0), self.standings.get(each)) for each in chat_ids]

    def restore(self, remembered: Iterable[tuple[int, int, Standing | None]]) -> None:
        """Forget what was taken in since `remember`."""
        for chat_id, version, standing in remembered:
            self._put(chat_id, version, standing)

    def _put(self, chat_id: int, version: int, standing: Standing | None) -> None:
        self._take_off(self.standings.pop(chat_id, None))
        self.versions[chat_id] = version
        if standing is None:
            return
        self.standings[chat_id] = standing
        row = standing.row
        if row.after is ChatState.WAITING:
            self.waiting[chat_id] = standing
        elif row.holds_slot and row.agent_id is not None:
            self.held[row.agent_id][chat_id] = row.room_id

    def _take_off(self, standing: Standing | None) -> None:
        if standing is None:
            return
        row = standing.row
        self.waiting.pop(row.chat_id, None)
        if row.agent_id is not None:
            self.held[row.agent_id].pop(row.chat_id, None)


@frozen
class Pass:
    """One reserving pass: the rows that it wrote, and what it could see (None: all before it)."""

    at: float
    rows: Sequence[Row]
    snapshot: Snapshot | None

    @property
    def given(self) -> frozenset[int]:
        """The chats that it gave."""
        return frozenset(row.chat_id for row in self.rows)

    @property
    def by_agent(self) -> Counter[int]:
        """How many it gave to whom."""
        return Counter(row.agent_id for row in self.rows if row.agent_id is not None)


def passes_of(record: Record) -> list[Pass]:
    """The reserving passes in their order: one lock, so they follow each other."""
    known = {each.xid: each for each in record.passes}
    groups: list[list[Row]] = []
    for row in record.history:
        if row.move is not Transition.RESERVE:
            continue
        if groups and _continues(groups[-1], row, record):
            groups[-1].append(row)
        else:
            groups.append([row])
    return [_pass(rows, known) for rows in groups]


def _continues(group: Sequence[Row], row: Row, record: Record) -> bool:
    """Without transactions to tell: written in one go, at one moment, and in the line's order."""
    last = group[-1]
    if row.xid is not None:
        return row.xid == last.xid
    return row.seq == last.seq + 1 and row.at == last.at and row.chat_id > last.chat_id


def _pass(rows: Sequence[Row], known: dict[int, PassRow]) -> Pass:
    told = known.get(rows[0].xid) if rows[0].xid is not None else None
    if told is None:
        return Pass(rows[0].at, rows, None)
    return Pass(told.at, rows, told.snapshot.of(told.xid))


def seen_by_passes(record: Record, rules: Rules) -> Iterator[tuple[Pass, Line]]:
    """Each pass with the line as it was when the pass read it.

    The line is one object that moves on: look at it before asking for the next.
    """
    line = Line(rules)
    by_xid = sorted(record.history, key=lambda row: (row.xid or 0, row.seq))
    settled = 0
    for each in passes_of(record):
        snapshot = each.snapshot
        if snapshot is None:
            while settled < len(by_xid) and by_xid[settled].seq < each.rows[0].seq:
                line.apply(by_xid[settled])
                settled += 1
            yield each, line
            continue
        while settled < len(by_xid) and (by_xid[settled].xid or 0) < snapshot.xmin:
            line.apply(by_xid[settled])
            settled += 1
        also_seen = _between(by_xid, settled, snapshot)
        remembered = line.remember({row.chat_id for row in also_seen})
        for row in also_seen:
            line.apply(row)
        yield each, line
        line.restore(remembered)


def _between(rows: Sequence[Row], start: int, snapshot: Snapshot) -> list[Row]:
    """What was visible of transactions younger than the oldest running one, by version."""
    found = []
    for row in rows[start:]:
        xid = row.xid or 0
        if xid >= snapshot.xmax:
            break
        if snapshot.sees(xid):
            found.append(row)
    return sorted(found, key=lambda row: row.version)
