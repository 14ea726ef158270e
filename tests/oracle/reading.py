"""Brings what a run left behind into a record: PostgreSQL's rows, the repo in memory, JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import psycopg
from psycopg.rows import dict_row

from sebastian_adapters.memory.platform import Event
from sebastian_core.domain.chat import Chat, ChatState, Needs, Transition
from sebastian_core.domain.history import HistoryRow
from tests.oracle.record import ChatNow, Delivered, PassRow, Row, Snapshot

UNIX_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_HISTORY = """
select id, chat_id, room_id, version, at, move, before, after, agent_id, reservation_id, reason,
       details, xid::text as xid
from sebastian.history
order by id
"""
_PASSES = "select xid::text as xid, at, snapshot::text as snapshot from sebastian.pass order by id"
_CHATS = """
select id, room_id, state, version, arrived_at, needs, agent_id, reservation_id, close_reason
from sebastian.chat
order by id
"""


def rows_of_history(
    history: Iterable[HistoryRow], *, epoch: datetime = UNIX_EPOCH, first: int = 0
) -> list[Row]:
    """The rows of the repo in memory, oldest first; `epoch` is the platform's zero."""
    return [
        Row(
            seq=number,
            chat_id=row.chat_id,
            room_id=row.room_id,
            version=row.version,
            at=(row.at - epoch).total_seconds(),
            move=row.move,
            before=row.before,
            after=row.after,
            agent_id=row.agent_id,
            reservation_id=row.reservation_id,
            reason=row.reason,
            details=row.details,
        )
        for number, row in enumerate(history, first)
    ]


def chats_now(chats: Iterable[Chat], *, epoch: datetime = UNIX_EPOCH) -> list[ChatNow]:
    """The chats of the repo in memory."""
    return [
        ChatNow(
            id=chat.id,
            room_id=chat.room_id,
            state=chat.state,
            version=chat.version,
            arrived_at=(chat.arrived_at - epoch).total_seconds(),
            channel_id=chat.needs.channel_id,
            agent_id=chat.agent_id,
            reservation_id=chat.reservation_id,
            close_reason=None if chat.close_reason is None else str(chat.close_reason),
        )
        for chat in chats
    ]


def events_of_json(events: Iterable[Mapping[str, Any]]) -> list[Event]:
    """The platform's log as its control API answers it."""
    return [
        Event(
            event["at"],
            event["kind"],
            event["room_id"],
            event["agent_id"],
            event["service_id"],
            event["by"],
        )
        for event in events
    ]


def deliveries_of_json(deliveries: Iterable[Mapping[str, Any]]) -> list[Delivered]:
    """The webhooks as the fake platform's control API answers them."""
    return [
        Delivered(
            kind=each["kind"],
            room_id=each["room_id"],
            service_id=each["service_id"],
            fired_at=each["fired_at"],
            copy=each["copy"],
            sent_at=each["sent_at"],
            answered_at=each["answered_at"],
            status=each["status"],
            is_lost=each["is_lost"],
        )
        for each in deliveries
    ]


def read_postgres(url: str) -> tuple[Sequence[Row], Sequence[ChatNow], Sequence[PassRow]]:
    """History, chats and passes from one snapshot of a database, moments in Unix seconds."""
    with psycopg.connect(url) as connection:
        return read_connection(connection)


def read_connection(
    connection: psycopg.Connection[Any],
) -> tuple[Sequence[Row], Sequence[ChatNow], Sequence[PassRow]]:
    """The same on a connection that is there already."""
    with connection.transaction(), connection.cursor(row_factory=dict_row) as cursor:
        cursor.execute("set transaction isolation level repeatable read read only")
        history = [_row(each) for each in cursor.execute(_HISTORY)]
        chats = [_chat(each) for each in cursor.execute(_CHATS)]
        passes = [_pass(each) for each in cursor.execute(_PASSES)]
    return history, chats, passes


def _row(found: Mapping[str, Any]) -> Row:
    return Row(
        seq=found["id"],
        chat_id=found["chat_id"],
        room_id=found["room_id"],
        version=found["version"],
        at=found["at"].timestamp(),
        move=Transition(found["move"]),
        before=None if found["before"] is None else ChatState(found["before"]),
        after=ChatState(found["after"]),
        agent_id=found["agent_id"],
        reservation_id=found["reservation_id"],
        reason=found["reason"],
        details=found["details"],
        xid=int(found["xid"]),
    )


def _chat(found: Mapping[str, Any]) -> ChatNow:
    return ChatNow(
        id=found["id"],
        room_id=found["room_id"],
        state=ChatState(found["state"]),
        version=found["version"],
        arrived_at=found["arrived_at"].timestamp(),
        channel_id=Needs.from_key(found["needs"]).channel_id,
        agent_id=found["agent_id"],
        reservation_id=found["reservation_id"],
        close_reason=found["close_reason"],
    )


def _pass(found: Mapping[str, Any]) -> PassRow:
    return PassRow(
        xid=int(found["xid"]),
        at=found["at"].timestamp(),
        snapshot=Snapshot.parse(found["snapshot"]),
    )
