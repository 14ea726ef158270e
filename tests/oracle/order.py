"""P5: first come, first served, in every pass and at the platform."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from attrs import frozen

from sebastian_adapters.memory.platform import ServiceTruth, Truth
from sebastian_core.domain.chat import ChatState, Doubt, Transition
from tests.oracle.record import ChatNow, Judging, Record, Row
from tests.oracle.replay import Pass, Standing, seen_by_passes
from tests.oracle.verdict import Overtaking, Promise, Teller, Violation

_DOUBTS = frozenset(str(each) for each in Doubt)
_PROMPT_SECONDS = 0.001


def judge_order_of_passes(record: Record, judging: Judging) -> Iterator[Violation]:
    """No pass gives a chat while one of the same channel, ready and before it, is left waiting.

    What the pass could see is exact where the record knows its snapshot. Chats kept to certain
    agents (passed over by others) are not compared: the history does not name those agents.
    """
    teller = Teller(record)
    chats = {chat.id: chat for chat in record.chats}
    later = {(row.chat_id, row.version): row for row in record.history}
    for each, line in seen_by_passes(record, judging.rules):
        last, given_now = _last_given(each, chats), each.given
        for standing in line.waiting.values():
            chat = chats.get(standing.row.chat_id)
            if chat is None or chat.id in given_now:
                continue
            given = last.get(chat.channel_id)
            if given is None or chat.place >= given.place:
                continue
            if not standing.is_ready(each.at - judging.clock_seconds):
                continue
            if _changed_meanwhile(standing, each, later, judging):
                continue
            yield _left_waiting(chat, given, each, teller)


def _last_given(each: Pass, chats: Mapping[int, ChatNow]) -> dict[int | None, ChatNow]:
    """Per channel the youngest chat that the pass gave."""
    last: dict[int | None, ChatNow] = {}
    for row in each.rows:
        chat = chats.get(row.chat_id)
        if chat is None:
            continue
        known = last.get(chat.channel_id)
        if known is None or chat.place > known.place:
            last[chat.channel_id] = chat
    return last


def _changed_meanwhile(
    standing: Standing, each: Pass, later: Mapping[tuple[int, int], Row], judging: Judging
) -> bool:
    """Whether somebody else changed the chat while the pass was under way.

    Both lock the chat: a change that the pass met was written before what the pass wrote.
    """
    following = later.get((standing.row.chat_id, standing.row.version + 1))
    if following is None or following.move is Transition.RESERVE:
        return False
    if following.seq < each.rows[-1].seq:
        return True
    return following.at <= each.at + judging.changed_meanwhile_seconds


def _left_waiting(chat: ChatNow, given: ChatNow, each: Pass, teller: Teller) -> Violation:
    return Violation(
        promise=Promise.P5,
        sentence=(
            f"the pass of {teller.moment(each.at)} gave chat {given.id} (room {given.room_id}, "
            f"arrived {teller.moment(given.arrived_at)}) and left chat {chat.id} (room "
            f"{chat.room_id}, arrived {teller.moment(chat.arrived_at)}) waiting, which was ready "
            "and before it"
        ),
        room_id=chat.room_id,
        chat_id=chat.id,
        at=each.at,
        evidence=teller.rows_of(chat.id, given.id),
    )


@frozen(kw_only=True)
class _Served:
    """One service that we gave, as its customer saw it."""

    service: ServiceTruth
    chat: ChatNow
    came_at: float
    acknowledged_at: float
    reserved_at: float
    assigned_at: float
    is_plain: bool
    """Given at the first try and never doubtful: nothing excuses a later place."""


def overtakings(record: Record, judging: Judging, truth: Truth) -> Iterator[Overtaking]:
    """Who was served noticeably later than somebody who came noticeably after them.

    Both were given by us, in one channel; one was acknowledged `overtaken_ack_seconds` before the
    other came, and assigned `overtaken_assigned_seconds` after it. Not where the first was
    doubtful, refused or released meanwhile, or where the other stood in the line since before (a
    remembered arrival).
    """
    teller = Teller(record)
    lines: defaultdict[int | None, list[_Served]] = defaultdict(list)
    for served in _served(record, truth):
        lines[served.chat.channel_id].append(served)
    for line in lines.values():
        for late, early in _overtaken(line, judging):
            inverted = late.reserved_at > early.reserved_at
            yield Overtaking(is_inversion=inverted, violation=_told(late, early, teller))


def _served(record: Record, truth: Truth) -> Iterator[_Served]:
    rows_of: defaultdict[int, list[Row]] = defaultdict(list)
    reserved: defaultdict[tuple[str, int], list[Row]] = defaultdict(list)
    for row in record.history:
        rows_of[row.chat_id].append(row)
        if row.move is Transition.RESERVE and row.agent_id is not None:
            reserved[row.room_id, row.agent_id].append(row)
    chats = {chat.id: chat for chat in record.chats}
    moments = _moments(record)
    for service_id, (came_at, acknowledged_at) in moments.items():
        service = truth.services.get(service_id)
        if service is None or not service.servings or service.servings[0].by != "api":
            continue
        first = service.servings[0]
        ours = [row for row in reserved[service.room_id, first.agent_id] if row.at <= first.from_at]
        chat = chats.get(ours[-1].chat_id) if ours else None
        if chat is not None:
            plain = _is_plain(chat, rows_of[chat.id])
            yield _Served(
                service=service,
                chat=chat,
                came_at=came_at,
                acknowledged_at=acknowledged_at,
                reserved_at=ours[-1].at,
                assigned_at=first.from_at,
                is_plain=plain,
            )


def _moments(record: Record) -> dict[int, tuple[float, float]]:
    """Per service: when its first webhook left the platform, and when we first acknowledged one."""
    found: dict[int, tuple[float, float]] = {}
    for each in record.deliveries:
        if each.kind != "allocation" or each.service_id is None or not each.is_acknowledged:
            continue
        sent_at, answered_at = each.sent_at or each.fired_at, each.answered_at or each.fired_at
        came, acknowledged = found.get(each.service_id, (sent_at, answered_at))
        found[each.service_id] = (min(came, sent_at), min(acknowledged, answered_at))
    return found


def _is_plain(chat: ChatNow, rows: Sequence[Row]) -> bool:
    """Admitted when it arrived (no remembered arrival), without doubt; reserved once, confirmed."""
    up_to_given = [row.move for row in rows if row.after is not ChatState.CLOSED]
    expected = [Transition.ADMIT, Transition.RESERVE, Transition.CONFIRM]
    is_believed = bool(rows) and rows[0].reason not in _DOUBTS
    is_prompt = bool(rows) and rows[0].at - chat.arrived_at < _PROMPT_SECONDS
    return is_believed and is_prompt and up_to_given[:3] == expected[: len(up_to_given)]


def _overtaken(line: Sequence[_Served], judging: Judging) -> Iterator[tuple[_Served, _Served]]:
    """For each the first-served of all who came after it, where that one was served before."""
    by_coming = sorted(line, key=lambda each: each.came_at)
    earliest: list[_Served] = []
    for each in reversed(by_coming):
        is_earlier = not earliest or each.assigned_at < earliest[-1].assigned_at
        earliest.append(each if is_earlier else earliest[-1])
    earliest.reverse()
    came = [each.came_at for each in by_coming]
    for late in by_coming:
        start = _first_after(came, late.acknowledged_at + judging.overtaken_ack_seconds)
        if not late.is_plain or start == len(by_coming):
            continue
        early = earliest[start]
        if late.assigned_at <= early.assigned_at + judging.overtaken_assigned_seconds:
            continue
        if late.chat.place < early.chat.place:
            yield late, early


def _first_after(moments: Sequence[float], at: float) -> int:
    return bisect_right(moments, at)


def _told(late: _Served, early: _Served, teller: Teller) -> Violation:
    return Violation(
        promise=Promise.P5,
        sentence=(
            f"at the platform: room {late.service.room_id} (chat {late.chat.id}) was acknowledged "
            f"at {teller.moment(late.acknowledged_at)} and assigned at "
            f"{teller.moment(late.assigned_at)}, room {early.service.room_id} (chat "
            f"{early.chat.id}) came at {teller.moment(early.came_at)} and was assigned at "
            f"{teller.moment(early.assigned_at)}"
        ),
        room_id=late.service.room_id,
        chat_id=late.chat.id,
        at=late.assigned_at,
        evidence=teller.rows_of(late.chat.id, early.chat.id),
    )
