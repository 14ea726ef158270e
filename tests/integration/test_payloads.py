"""Every example body of the platform, through the real client over real HTTP: file, outcome.

A file without a row fails a test. To add one: a row in `ANSWERS` for what the platform answers to a
call. What the platform posts to us (`caa-*`, `resolved-*`) goes through the real webhook service.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest
from attrs import frozen

from sebastian_adapters.memory.clock import InMemoryClock
from sebastian_adapters.qiscus.client import HttpxQiscusClient
from sebastian_core.domain.errors import Fault, PlatformRefused, PlatformUnavailable
from sebastian_core.domain.ids import AgentId, ChannelId, RoomId
from sebastian_core.domain.in_doubt import RoomState
from sebastian_core.domain.platform import Account, Answer, PlatformRoom, Reading, Registration
from sebastian_core.domain.roster import Presence
from tests.payload_shapes import PAYLOADS
from tests.raw_http import RawRequest, Respond, answer, answering, raw_server

NOON = datetime(2025, 6, 22, 12, tzinfo=UTC)
ROOM, AGENT, NOBODY = RoomId("273683234"), AgentId(160001), AgentId(2**31 - 1)
ALLOCATION_URL = "https://caa.example.test/hooks/FAKE/caa"
RESOLVE_URL = "https://caa.example.test/hooks/FAKE/resolved"
Ask = Callable[[HttpxQiscusClient], Awaitable[object]]


@frozen
class Refused:
    """PlatformRefused, with its status and what it says."""

    status: int
    detail: str


@frozen
class Row:
    """What is asked, and what comes of it when the answer is the file's body."""

    ask: Ask
    outcome: object
    status: int = 200


async def at_once() -> None:
    """The pace of these tests."""


def presence(
    agent_id: int,
    name: str,
    *,
    online: bool = True,
    channels: tuple[int, ...] = (130821,),
    count: int | None = 0,
) -> Presence:
    return Presence(
        AgentId(agent_id), online, NOON, frozenset(map(ChannelId, channels)), count, name
    )


def waiting(room_id: str, minute: int, second: int) -> PlatformRoom:
    return PlatformRoom(
        room_id=RoomId(room_id),
        state=RoomState.WAITING,
        channel_id=ChannelId(130821),
        source="qiscus",
        waits_since=datetime(2025, 6, 22, 6, minute, second, tzinfo=UTC),
    )


def agents(client: HttpxQiscusClient) -> Awaitable[object]:
    return client.agents(at_once)


def eligible(client: HttpxQiscusClient) -> Awaitable[object]:
    return client.eligible_agents(ROOM, NOBODY)


def assign(client: HttpxQiscusClient) -> Awaitable[object]:
    return client.assign(ROOM, AGENT)


def room(client: HttpxQiscusClient) -> Awaitable[object]:
    return client.room(ROOM)


def waiting_rooms(client: HttpxQiscusClient) -> Awaitable[object]:
    return client.waiting_rooms(at_once)


def account(client: HttpxQiscusClient) -> Awaitable[object]:
    return client.account()


def register(client: HttpxQiscusClient) -> Awaitable[object]:
    return client.register_webhooks(ALLOCATION_URL, RESOLVE_URL)


ONE, TWO = presence(160001, "Agent One"), presence(160002, "Agent Two", count=2)
CONFIRMED = [
    Registration(webhook="allocation", url=ALLOCATION_URL, confirmed=True),
    Registration(webhook="resolve", url=RESOLVE_URL, confirmed=True),
]

ANSWERS: dict[str, Row] = {
    "agents-v2-01-meta-top": Row(agents, Reading(NOON, (ONE, TWO))),
    "agents-by-division-01": Row(agents, Reading(NOON, (ONE,))),
    "agents-by-ids-01": Row(
        agents, Reading(NOON, (presence(160001, "Agent One", channels=(), count=1),))
    ),
    "agents-v1-01-paginator": Row(agents, Fault.UNREADABLE),
    "agent-detail-01": Row(agents, Fault.UNREADABLE),
    "divisions-01": Row(agents, Fault.UNREADABLE),
    "available-agents-01-v2": Row(
        eligible,
        Reading(
            NOON,
            (
                presence(160001, "Agent One", count=1),
                TWO,
                presence(160003, "Agent Offline", online=False),
            ),
        ),
    ),
    "available-agents-02-v2-empty": Row(eligible, Reading(NOON, ())),
    "assign-agent-01-docs": Row(assign, Answer(agent_id=AGENT)),
    "allocate-agent-01": Row(assign, Answer(agent_id=None)),
    "allocate-assign-agent-01": Row(assign, Answer(agent_id=None)),
    "mark-as-resolved-01-objdates": Row(assign, Answer(agent_id=AGENT)),
    "error-01-string": Row(assign, Refused(400, "FAKE: human readable message"), status=400),
    "error-02-array": Row(assign, Refused(400, "FAKE: room already assigned"), status=400),
    "customer-room-get-01": Row(room, Reading(NOON, waiting(ROOM, 37, 58))),
    "customer-rooms-list-01-unserved": Row(
        waiting_rooms, Reading(NOON, (waiting(ROOM, 37, 58), waiting("273683235", 30, 0)))
    ),
    "room-tags-01": Row(waiting_rooms, Fault.UNREADABLE),
    "webhook-config-01": Row(waiting_rooms, Fault.UNREADABLE),
    "auth-01": Row(account, Account(app_code="demo-by-token")),
    "office-hours-01": Row(account, Account()),
    "user-info-01": Row(account, Account()),
    "set-webhook-01": Row(register, CONFIRMED),
}
"""What the platform answers."""

POSTED_BY_THE_PLATFORM = ("caa-", "resolved-")
"""What the platform posts; these bodies are no answers to anything that the client asks."""


@pytest.mark.parametrize("name", ANSWERS)
async def test_the_answer_is_read_as_the_table_says(name: str) -> None:
    row = ANSWERS[name]
    clock = InMemoryClock(NOON, seconds=lambda: 0.0)
    async with (
        raw_server(answering_with(name, row)) as server,
        HttpxQiscusClient(
            base_url=server.url,
            app_id="demoapp-x1y2z3a4b5c6d7e",
            secret_key="FAKE_SECRET",
            email="admin@example.test",
            password="FAKE_PASSWORD",
            clock=clock,
            timeout=timedelta(seconds=10),
        ) as client,
    ):
        assert await outcome(row.ask(client)) == row.outcome


def test_every_example_has_a_row_and_every_row_an_example() -> None:
    examples = {path.stem for path in PAYLOADS.glob("*.json")}

    answers = {name for name in examples if not name.startswith(POSTED_BY_THE_PLATFORM)}

    assert answers == set(ANSWERS)


async def outcome(asked: Awaitable[object]) -> object:
    try:
        return await asked
    except PlatformUnavailable as error:
        return error.fault
    except PlatformRefused as error:
        return Refused(error.status, error.detail)


def answering_with(name: str, row: Row) -> Respond:
    """The file's body for every call; a login's body answers the login alone."""
    body = (PAYLOADS / f"{name}.json").read_bytes()
    return logging_in(body) if name.startswith("auth-") else answering(body, row.status)


def logging_in(login: bytes) -> Respond:
    """Refuses the secret key, and takes the token that the login's body holds."""

    async def respond(request: RawRequest, writer: asyncio.StreamWriter) -> None:
        if request.line.startswith("POST /api/v1/auth "):
            writer.write(answer(login))
        elif request.headers.get("authorization") == "FAKE_ADMIN_TOKEN":
            writer.write(answer({"data": {"app_code": "demo-by-token"}}))
        else:
            writer.write(answer({"errors": "FAKE: unauthorized"}, 401))

    return respond
