"""Every example webhook of the platform through the real HTTP service: file, outcome."""

from __future__ import annotations

import json

import pytest
from attrs import frozen

from sebastian_core.domain.chat import ChatState
from sebastian_core.domain.ids import RoomId, ServiceId
from tests.payload_shapes import PAYLOADS
from tests.webhook_service import ARRIVAL, RESOLVE, parts_in_memory, webhook_service


@frozen
class Row:
    """What becomes of a webhook, and what of it is kept."""

    room_id: str
    outcome: str
    channel_id: int | None = None
    source: str | None = None
    base: tuple[int, bool] | None = None
    service_id: int | None = None


ARRIVALS = {
    "caa-01-docs2019-full": Row("1905692", "admitted", source="qiscus", base=(244, True)),
    "caa-02-docs2025-new-shape": Row("123", "admitted", channel_id=123, source="wa"),
    "caa-03-live2024-null-candidate": Row("273683234", "admitted", source="qiscus"),
    "caa-04-partial-arioki1": Row("250000002", "admitted"),
    "caa-05-partial-1234iqbal": Row("250000003", "admitted", source="qiscus"),
    "caa-06-channel-object": Row("330000001", "admitted", channel_id=130821, source="qiscus"),
    "caa-07-vip-user-properties": Row("330000002", "admitted", source="qiscus"),
    "caa-08-repeat-message": Row("273683234", "admitted", source="qiscus"),
}
"""Allocation webhooks, each the first of its room."""

RESOLVES = {
    "resolved-01-docs2019-min": Row("1961380", "closed", service_id=237788),
    "resolved-02-live2024-admin": Row("274083256", "closed", service_id=115830865),
    "resolved-03-live-agent-notes-null": Row("250000001", "closed", service_id=115830870),
    "resolved-04-new-shape-channel": Row("330000001", "closed", service_id=125830865),
}
"""Mark-as-resolved webhooks, each while a chat of the room waits."""


def body_of(name: str) -> bytes:
    return (PAYLOADS / f"{name}.json").read_bytes()


def test_every_webhook_payload_has_a_row() -> None:
    files = {path.stem for pattern in ("caa-*", "resolved-*") for path in PAYLOADS.glob(pattern)}

    assert files == ARRIVALS.keys() | RESOLVES.keys()


@pytest.mark.parametrize("name", ARRIVALS)
async def test_an_allocation_webhook_is_recorded_as_the_table_says(name: str) -> None:
    row = ARRIVALS[name]
    async with webhook_service(parts_in_memory()) as service:
        answer = await service.post(ARRIVAL, body_of(name))
        again = await service.post(ARRIVAL, body_of(name))

        (chat,) = await service.parts.allocator.room_repo.waiting(10)
    assert (answer.status_code, again.status_code) == (200, 200)
    assert service.parts.counts.of(ARRIVAL, row.outcome) == 1
    assert service.parts.counts.of(ARRIVAL, "repeated") == 1
    assert (chat.room_id, chat.needs.channel_id) == (row.room_id, row.channel_id)
    assert (chat.source, dict(chat.properties)) == (row.source, {})
    base = None if chat.base_service_id is None else (chat.base_service_id, chat.base_resolved)
    assert base == row.base


@pytest.mark.parametrize("name", RESOLVES)
async def test_a_resolve_webhook_closes_the_chat_of_its_room(name: str) -> None:
    row = RESOLVES[name]
    room_id = RoomId(row.room_id)
    async with webhook_service(parts_in_memory()) as service:
        await service.post(ARRIVAL, {"room_id": row.room_id})

        answer = await service.post(RESOLVE, body_of(name))

        rooms = await service.parts.allocator.room_repo.rooms([room_id])
        newest, _ = await service.history(room_id)
    assert answer.status_code == 200
    assert service.parts.counts.of(RESOLVE, row.outcome) == 1
    assert newest.after is ChatState.CLOSED
    assert rooms[room_id].chat is None
    assert rooms[room_id].closed_service_id == ServiceId(row.service_id or 0)


async def test_the_token_of_a_payload_is_never_kept() -> None:
    async with webhook_service(parts_in_memory()) as service:
        for name in ARRIVALS:
            await service.post(ARRIVAL, body_of(name))
        chats = await service.parts.allocator.room_repo.waiting(100)
        rows = await service.parts.allocator.journal.decisions(100)

    kept = repr([*chats, *rows])
    sent = [json.loads(body_of(name)) for name in ARRIVALS]
    private = {str(body[key]) for body in sent for key in ("name", "email") if body.get(key)}
    assert not [word for word in (*private, "FAKE", "avatar") if word in kept]
