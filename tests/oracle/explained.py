"""P9: every state of every chat follows from its history, by legal moves and without gaps."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from sebastian_core.domain.chat import LEGAL_TRANSITIONS, ChatState, CloseReason, Transition
from tests.oracle.record import ChatNow, Record, Row
from tests.oracle.verdict import Promise, Teller, Violation

_REASONS = frozenset(str(each) for each in CloseReason)


def judge_explained(record: Record) -> Iterator[Violation]:
    """Walk every chat's rows, compare the last with the chat, and every room's chats in turn."""
    teller = Teller(record)
    rows_of: defaultdict[int, list[Row]] = defaultdict(list)
    for row in record.history:
        rows_of[row.chat_id].append(row)
    for rows in rows_of.values():
        rows.sort(key=lambda row: row.version)
        yield from _judge_rows(rows, teller)
    for chat in record.chats:
        yield from _judge_end(chat, rows_of.get(chat.id, []), teller)
    yield from _judge_rooms(record, teller)


def _judge_rows(rows: Sequence[Row], teller: Teller) -> Iterator[Violation]:
    state, version = None, 0
    for row in rows:
        if row.version != version + 1:
            yield _unexplained(row, f"comes after version {version}", teller)
        if row.before != state:
            yield _unexplained(row, f"was {row.before}, the row before says {state}", teller)
        if (row.before, row.after) not in LEGAL_TRANSITIONS[row.move]:
            yield _unexplained(row, f"is not legal: {row.move} {row.before} → {row.after}", teller)
        if row.holds_slot and row.agent_id is None:
            yield _unexplained(row, "holds a slot of nobody", teller)
        if row.move is Transition.RESERVE and row.reservation_id is None:
            yield _unexplained(row, "reserves without a reservation id", teller)
        state, version = row.after, row.version


def _judge_end(chat: ChatNow, rows: Sequence[Row], teller: Teller) -> Iterator[Violation]:
    if not rows:
        yield Violation(
            promise=Promise.P9,
            sentence=f"chat {chat.id} of room {chat.room_id} has no history",
            room_id=chat.room_id,
            chat_id=chat.id,
        )
        return
    last = rows[-1]
    told = (last.after, last.version, last.agent_id)
    now = (chat.state, chat.version, chat.agent_id)
    if told != now:
        yield _unexplained(last, f"is the last and tells {told}, but the chat is {now}", teller)
    if chat.state is ChatState.CLOSED and chat.close_reason not in _REASONS:
        yield _unexplained(last, f"closes for no reason ({chat.close_reason})", teller)


def _judge_rooms(record: Record, teller: Teller) -> Iterator[Violation]:
    """At most one live chat a room: a decision about a room never overlaps with another."""
    living: dict[str, int] = {}
    for row in record.history:
        other = living.get(row.room_id)
        if row.after is ChatState.CLOSED:
            if other == row.chat_id:
                del living[row.room_id]
        elif other not in (None, row.chat_id):
            yield _unexplained(row, f"lives beside chat {other} in its room", teller)
        else:
            living[row.room_id] = row.chat_id


def _unexplained(row: Row, what: str, teller: Teller) -> Violation:
    return Violation(
        promise=Promise.P9,
        sentence=(
            f"version {row.version} of chat {row.chat_id} (room {row.room_id}, "
            f"{teller.moment(row.at)}) {what}"
        ),
        room_id=row.room_id,
        chat_id=row.chat_id,
        at=row.at,
        evidence=teller.rows_of(row.chat_id),
    )
