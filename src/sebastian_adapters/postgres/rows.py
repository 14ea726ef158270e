"""Rows into values and values into columns: the only place that knows both."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from enum import StrEnum
from functools import lru_cache
from operator import attrgetter
from typing import Any

import msgspec

from sebastian_adapters.postgres.arrays import array
from sebastian_core.domain.chat import (
    Chat,
    ChatState,
    CloseReason,
    Doubt,
    Needs,
    OutlivesCall,
    ResolvedInCall,
    Transition,
)
from sebastian_core.domain.errors import UnknownWord
from sebastian_core.domain.evidence import facts_of
from sebastian_core.domain.history import HistoryRow
from sebastian_core.domain.ids import RoomId
from sebastian_core.domain.room import Change, Room

Row = tuple[Any, ...]
Columns = dict[str, Any]

_CHAT_COLUMNS = (
    "id",
    "room_id",
    "state",
    "version",
    "arrived_at",
    "changed_at",
    "ready_at",
    "needs",
    "source",
    "base_service_id",
    "base_resolved",
    "agent_id",
    "reservation_id",
    "assigned_at",
    "adopted",
    "asked_again_at",
    "refusals",
    "refused_by",
    "passes",
    "excluded_until",
    "doubt",
    "settle_at",
    "closed_at",
    "close_reason",
    "conclusive_from",
    "waiting_counts_from",
    "resolved_counts_from",
    "resolved_in_call",
    "outlives_call",
    "counts_as_refusal",
    "facts_version",
    "properties",
)
CHAT_COLUMNS = ", ".join(f"chat.{name}" for name in _CHAT_COLUMNS).replace(
    "chat.properties", "chat.properties::text"
)

_SAVED = (
    "id",
    "version",
    "changed_at",
    "ready_at",
    "agent_id",
    "reservation_id",
    "assigned_at",
    "adopted",
    "asked_again_at",
    "refusals",
    "refused_by",
    "passes",
    "excluded_until",
    "settle_at",
    "closed_at",
    "conclusive_from",
    "waiting_counts_from",
    "resolved_counts_from",
    "counts_as_refusal",
)
_ADDED = (
    "room_id",
    "version",
    "arrived_at",
    "changed_at",
    "ready_at",
    "source",
    "base_service_id",
    "base_resolved",
    "agent_id",
    "assigned_at",
    "adopted",
    "settle_at",
    "conclusive_from",
    "waiting_counts_from",
)

_ROOM_ID = _CHAT_COLUMNS.index("room_id")
_AFTER = 6
_REMEMBERED = (
    "room_id",
    "closed_service_id",
    "closed_at",
    "closed_by_id",
    "last_assigned_at",
    "dropped",
)
remembered = attrgetter(*_REMEMBERED)
"""What is remembered of a room: all of it but its live chat."""

_states = {state.value: state for state in ChatState}
_doubts = {doubt.value: doubt for doubt in Doubt}
_in_call = {each.value: each for each in ResolvedInCall}
_outliving = {each.value: each for each in OutlivesCall}
_close_reasons = {reason.value: reason for reason in CloseReason}
_moves = {move.value: move for move in Transition}
_needs = lru_cache(maxsize=4096)(Needs.from_key)


def _words(names: Iterable[str]) -> str:
    quoted = (name.replace("'", "''") for name in names)
    return ", ".join(f"'{name}'" for name in quoted)


#: Whether this version knows the words in a chat's record; a newer one may know more. A doubt is
#: a word that decides only where its facts were not written with it.
READABLE = (
    f"chat.state in ({_words(_states)})"
    " and chat.needs ~ '^[0-9]*(=[0-9,]*)?$'"
    " and case when chat.facts_version = chat.version"
    f" then coalesce(chat.resolved_in_call in ({_words(_in_call)}), true)"
    f" and coalesce(chat.outlives_call in ({_words(_outliving)}), true)"
    f" else coalesce(chat.doubt in ({_words(_doubts)}), true) end"
)
_to_json = msgspec.json.Encoder(enc_hook=str).encode


def chat_from(row: Sequence[Any]) -> Chat:
    """The chat that a row of `{chat}` columns holds; raises UnknownWord."""
    named = dict(zip(_CHAT_COLUMNS, row, strict=True))
    try:
        named["state"] = _states[named["state"]]
        named["needs"] = _needs(named["needs"])
        named["doubt"] = _doubts.get(named["doubt"], named["doubt"])
        if named.pop("facts_version") == named["version"]:
            named |= _written_facts(named)
        else:
            named |= _BEFORE_FACTS | facts_of(named["doubt"])
        if named["close_reason"] is not None:
            named["close_reason"] = _close_reasons[named["close_reason"]]
    except (KeyError, ValueError) as error:
        raise UnknownWord(named["room_id"], str(error)) from error
    named["properties"] = _properties(named["properties"])
    return Chat(**named)


#: Another version changed the chat since the facts in its row were written, or they never were.
_BEFORE_FACTS: dict[str, Any] = {
    "conclusive_from": None,
    "waiting_counts_from": None,
    "resolved_counts_from": None,
    "resolved_in_call": None,
    "outlives_call": None,
    "counts_as_refusal": False,
}


def _written_facts(named: Mapping[str, Any]) -> dict[str, Any]:
    in_call, outlives = named["resolved_in_call"], named["outlives_call"]
    return {
        "resolved_in_call": None if in_call is None else _in_call[in_call],
        "outlives_call": None if outlives is None else _outliving[outlives],
        "counts_as_refusal": bool(named["counts_as_refusal"]),
    }


def chats_from(rows: Iterable[Row]) -> list[Chat]:
    """The chats that rows of such columns show."""
    return [chat_from(row) for row in rows]


def needs_from(keys: Iterable[str]) -> dict[str, Needs]:
    """The needs that these keys name, as far as this version can read them."""
    read = {}
    for key in keys:
        with suppress(ValueError):
            read[key] = _needs(key)
    return read


def rooms_from(
    rows: Iterable[Row], chats: Iterable[Sequence[Any]]
) -> dict[RoomId, Room | UnknownWord]:
    """Rooms with their live chats, by room id; instead of one that is left aside, why."""
    live = {chat[_ROOM_ID]: _chat_or_why_not(chat) for chat in chats}
    found: dict[RoomId, Room | UnknownWord] = {}
    for row in rows:
        known = dict(zip(_REMEMBERED, row, strict=True))
        chat = live.get(known["room_id"])
        if isinstance(chat, UnknownWord):
            found[known["room_id"]] = chat
        else:
            found[known["room_id"]] = Room(chat=chat, **known)
    return found


def _chat_or_why_not(row: Sequence[Any]) -> Chat | UnknownWord:
    try:
        return chat_from(row)
    except UnknownWord as error:
        return error


def history_from(rows: Iterable[Row]) -> list[HistoryRow]:
    """What rows of `history` or `decisions` tell; those of states that we do not know are left out.

    A move that we do not know is told as unknown.
    """
    return [_history_row(row) for row in rows if row[_AFTER] in _states]


def _history_row(row: Row) -> HistoryRow:
    chat_id, room_id, version, at, move, before, after, agent_id, reservation_id, *why = row
    reason, actor, details = why
    if move not in _moves:
        details = {**details, "move": move}
    return HistoryRow(
        chat_id=chat_id,
        room_id=room_id,
        version=version,
        at=at,
        move=_moves.get(move, Transition.UNKNOWN),
        before=_states.get(before),
        after=_states[after],
        agent_id=agent_id,
        reservation_id=reservation_id,
        reason=reason,
        actor=actor,
        details=details,
    )


def _properties(text: str) -> dict[str, str]:
    return {} if text == "{}" else json.loads(text)


def saved_columns(changes: Iterable[Change]) -> Columns:
    """What `save_chats` writes: the last state of each chat that was changed."""
    chats = list({change.chat.id: change.chat for change in changes}.values())
    columns = _plain(_SAVED, chats) | _texts(chats)
    columns["close_reason"] = _values(chat.close_reason for chat in chats)
    columns["resolved_in_call"] = _values(chat.resolved_in_call for chat in chats)
    columns["outlives_call"] = _values(chat.outlives_call for chat in chats)
    return columns


def added_columns(changes: Sequence[Change]) -> Columns:
    """What `add_chats` writes: new chats, in the order in which they came."""
    chats = [change.chat for change in changes]
    columns = _plain(_ADDED, chats) | _texts(chats) | _told(changes)
    columns["properties"] = array(as_json(chat.properties) for chat in chats)
    return columns


def reserved_columns(changes: Sequence[Change]) -> Columns:
    """What `reserve_chats` writes: all that a reservation changes of a chat, and tells."""
    names = (
        "id",
        "room_id",
        "version",
        "settle_at",
        "conclusive_from",
        "agent_id",
        "reservation_id",
    )
    return _plain(names, [change.chat for change in changes]) | _told(changes)


def told_columns(changes: Sequence[Change]) -> Columns:
    """What `save_chats` tells of chats that are not new."""
    names = ("room_id", "version", "agent_id", "reservation_id")
    columns = _plain(names, [change.chat for change in changes]) | _told(changes)
    columns["chat_id"] = array(change.chat.id for change in changes)
    columns["before"] = _values(change.before for change in changes)
    columns["after"] = _values(change.chat.state for change in changes)
    return {f"told_{name}": column for name, column in columns.items()}


def room_columns(rooms: Sequence[Room]) -> Columns:
    """What `save_rooms` writes."""
    return _plain(_REMEMBERED, rooms)


def as_json(named: Mapping[str, Any]) -> str:
    """Details and properties as the text of a JSON object."""
    return _to_json(dict(named)).decode() if named else "{}"


def _plain(names: Iterable[str], values: Sequence[Any]) -> Columns:
    return {name: array(map(attrgetter(name), values)) for name in names}


def _texts(chats: Sequence[Chat]) -> Columns:
    return {
        "state": _values(chat.state for chat in chats),
        "needs": array(chat.needs.key for chat in chats),
        "doubt": array(None if chat.doubt is None else str(chat.doubt) for chat in chats),
    }


def _told(changes: Sequence[Change]) -> Columns:
    return {
        "move": _values(change.move for change in changes),
        "reason": array(str(change.reason) for change in changes),
        "actor": array(change.actor for change in changes),
        "details": array(as_json(change.details) for change in changes),
    }


def _values(named: Iterable[StrEnum | None]) -> str:
    return array(None if each is None else each.value for each in named)
