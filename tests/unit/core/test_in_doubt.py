"""The in-doubt table walked: what holds of every chat, under every reading, at every moment."""

from __future__ import annotations

import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from sebastian_core.domain.chat import Chat, ChatState, Doubt, OutlivesCall, ResolvedInCall
from sebastian_core.domain.in_doubt import (
    TABLE,
    Evidence,
    Outcome,
    RoomState,
    Shown,
    counts_from,
    settle,
)
from sebastian_core.domain.room import Decided
from tests.unit.core.building import RULES, a_chat, a_room, at

ROOT = Path(__file__).parents[3]
W, R, A = ChatState.WAITING, ChatState.RESERVED, ChatState.ASSIGNED

moments = st.integers(-30, 30).map(at)
texts = st.sampled_from([*Doubt, "a doubt of a newer version"])
readings = st.builds(
    Evidence,
    state=st.sampled_from(RoomState),
    began_at=st.integers(-60, 60).map(at),
    listed=st.sampled_from([None, True, False]),
)


@st.composite
def chats(draw: st.DrawFn) -> Chat:
    """A chat in any state with any facts that may stand beside each other; some without a doubt."""
    state = draw(st.sampled_from([W, R, A]))
    facts: dict[str, Any] = {
        "conclusive_from": draw(moments),
        "settle_at": draw(moments if state is R else st.none() | moments),
        "asked_again_at": draw(st.none() | moments) if state is not W else None,
    }
    if facts["settle_at"] is not None:
        earlier = st.none() | moments.map(lambda each: min(each, facts["conclusive_from"]))
        facts |= {
            "doubt": draw(st.none() | texts),
            "waiting_counts_from": draw(earlier),
            "resolved_counts_from": draw(earlier),
            "outlives_call": draw(st.none() | st.sampled_from(OutlivesCall)),
        }
    if state is R:
        in_call = draw(st.none() | st.sampled_from(ResolvedInCall))
        facts |= {"resolved_in_call": in_call}
        facts |= {"counts_as_refusal": draw(st.booleans()) if in_call is None else False}
    return a_chat(state, **facts)


def read(chat: Chat, evidence: Evidence, now: datetime | None = None) -> Decided[Outcome]:
    now = now or max(evidence.began_at, at(60))
    return settle(chat.id, chat.version, evidence, RULES, a_room(chat), now)


def counts(chat: Chat, evidence: Evidence) -> bool:
    return evidence.began_at >= counts_from(evidence.shows, chat, RULES)


@given(chats(), readings)
def test_a_reading_that_is_too_old_changes_nothing_but_when_the_room_is_read(
    chat: Chat, evidence: Evidence
) -> None:
    decided = read(chat, evidence)

    if not counts(chat, evidence):
        assert decided.answer is Outcome.TOO_EARLY
        for change in decided.changes:
            assert evolve(change.chat, settle_at=chat.settle_at) == chat
            assert change.chat.settle_at is not None
            assert change.chat.settle_at >= counts_from(evidence.shows, chat, RULES)


@given(chats(), readings)
def test_a_reading_that_counts_answers_every_doubt(chat: Chat, evidence: Evidence) -> None:
    decided = read(chat, evidence)

    if counts(chat, evidence):
        after = decided.room.chat if decided.room else chat
        is_opened = after is not None and after.id != chat.id
        assert after is None or is_opened or (after.doubt, after.settle_at) == (None, None)


@given(chats(), readings)
def test_whoever_is_shown_waiting_waits_or_has_just_been_tried(
    chat: Chat, evidence: Evidence
) -> None:
    decided = read(chat, evidence)

    if counts(chat, evidence) and evidence.state is RoomState.WAITING:
        after = decided.room.chat if decided.room else chat
        assert after is not None
        assert (after.state, after.settle_at) == (W, None)


@given(chats(), readings)
def test_a_slot_is_kept_exactly_for_whom_the_agent_serves(chat: Chat, evidence: Evidence) -> None:
    decided = read(chat, evidence)

    if counts(chat, evidence):
        after = decided.room.chat if decided.room else chat
        serves = evidence.shows is Shown.SERVED and chat.holds_slot
        assert (after is not None and after.holds_slot) == serves
        assert after is None or not serves or after.agent_id == chat.agent_id


@given(chats(), readings)
def test_nobody_is_left_in_the_line_of_a_room_that_needs_nobody(
    chat: Chat, evidence: Evidence
) -> None:
    decided = read(chat, evidence)

    if counts(chat, evidence) and evidence.state in (RoomState.RESOLVED, RoomState.GONE):
        assert decided.room is not None
        has_asked_behind = chat.resolved_in_call is not None and chat.asked_again_at is not None
        is_opened = has_asked_behind and evidence.state is RoomState.RESOLVED
        assert (decided.room.chat is not None) == is_opened


@given(chats(), readings, st.none() | texts)
def test_the_word_for_a_doubt_decides_nothing(
    chat: Chat, evidence: Evidence, other: str | None
) -> None:
    decided = read(chat, evidence)
    otherwise = read(evolve(chat, doubt=other), evidence)

    assert otherwise.answer is decided.answer
    assert [each.move for each in otherwise.changes] == [each.move for each in decided.changes]


@given(chats(), readings, st.integers(0, 60))
def test_a_later_reading_of_the_same_counts_as_well(
    chat: Chat, evidence: Evidence, later: int
) -> None:
    again = evolve(evidence, began_at=evidence.began_at + later * (at(1) - at(0)))

    assert counts(chat, again) or not counts(chat, evidence)


def test_the_table_has_an_entry_for_every_live_state_and_reading() -> None:
    assert set(TABLE) == {(state, shown) for state in (W, R, A) for shown in Shown}


def test_the_page_shows_the_table_as_it_is() -> None:
    script = ROOT / "scripts" / "in-doubt-table"

    done = subprocess.run([sys.executable, script, "--check"], check=False)

    assert done.returncode == 0, "run scripts/in-doubt-table"
