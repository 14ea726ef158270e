"""The webhook service over real HTTP: what it takes, what it refuses, and how it says so."""

from __future__ import annotations

import asyncio
import gzip
import itertools
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from sebastian_adapters.memory.clock import InMemoryClock
from sebastian_adapters.memory.record import Record
from sebastian_adapters.memory.room_repo import InMemoryRoomRepo
from sebastian_adapters.testing.waiting import until
from sebastian_apps.http.body import BODY_LIMIT
from sebastian_apps.http.parts import WebhookParts
from sebastian_apps.http.routes.admin import DASHBOARD_NOTE
from sebastian_apps.http.routes.health import KNOWN_SECONDS
from sebastian_core.domain.agent_loads import AgentSetting
from sebastian_core.domain.chat import ChatState
from sebastian_core.domain.errors import (
    Fault,
    InvalidInput,
    PlatformRefused,
    PlatformUnavailable,
    SchemaMismatch,
    StoreUnavailable,
)
from sebastian_core.domain.ids import AgentId, ChannelId
from sebastian_core.domain.platform import Registration
from sebastian_core.domain.room import Decided, Decision
from sebastian_core.domain.roster import Presence
from tests.webhook_service import (
    APP_ID,
    ARRIVAL,
    RESOLVE,
    WebhookService,
    parts_in_memory,
    webhook_service,
)

NOW = datetime(2030, 1, 2, tzinfo=UTC)
ADMIN = {"QT_ADMIN_TOKEN": "canary-admin-token"}
BEARER = {"authorization": "Bearer canary-admin-token"}
TWO_TOKENS = {"QT_WEBHOOK_TOKEN": "first-token,second-token"}


@pytest.fixture
async def service() -> AsyncIterator[WebhookService]:
    async with webhook_service(parts_in_memory()) as running:
        yield running


def assert_problem(answer: httpx.Response, status: int, slug: str) -> dict[str, Any]:
    """The answer is a complete problem document of this kind."""
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = answer.json()
    assert document["type"] == f"urn:sebastian:problem:{slug}"
    assert document["status"] == status
    assert document["title"]
    assert document["detail"].endswith(".")
    return document


class FailingRoomRepo(InMemoryRoomRepo):
    """A room repo that raises on every decision, or never comes back."""

    def __init__(self, record: Record, error: Exception | None) -> None:
        super().__init__(record)
        self._error = error

    async def decide(
        self, room_id: Any, decision: Decision[Any], *, alters_line: bool = False
    ) -> Decided[Any]:
        if self._error is None:
            await asyncio.Event().wait()
            raise AssertionError
        raise self._error


def parts_failing(error: Exception | None) -> WebhookParts:
    from tests.webhook_service import parts_on

    record = Record(InMemoryClock())
    return parts_on(record, room_repo=FailingRoomRepo(record, error))


async def test_an_arrival_is_recorded_before_it_is_answered(service: WebhookService) -> None:
    answer = await service.post(ARRIVAL, {"room_id": "1", "channel": {"id": 7}})

    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    (row,) = await service.history("1")
    assert row.after is ChatState.WAITING
    assert service.parts.counts.of(ARRIVAL, "admitted") == 1


async def test_an_arrival_that_repeats_is_answered_alike_and_adds_no_row(
    service: WebhookService,
) -> None:
    answers = [await service.post(ARRIVAL, {"room_id": "1"}) for _ in range(3)]

    assert {answer.status_code for answer in answers} == {200}
    assert await service.rows() == 1
    assert service.parts.counts.of(ARRIVAL, "repeated") == 2


async def test_a_resolve_closes_the_chat(service: WebhookService) -> None:
    await service.post(ARRIVAL, {"room_id": "1"})

    answer = await service.post(RESOLVE, {"service": {"room_id": "1", "id": 5}})

    assert answer.status_code == 200
    assert [row.after for row in await service.history("1")] == [
        ChatState.CLOSED,
        ChatState.WAITING,
    ]


async def test_a_resolve_of_an_unknown_room_is_taken(service: WebhookService) -> None:
    answer = await service.post(RESOLVE, {"service": {"room_id": "never-heard-of"}})

    assert answer.status_code == 200
    assert await service.rows() == 0


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "application/json; x=y", ""]
)
async def test_the_content_type_does_not_matter(service: WebhookService, content_type: str) -> None:
    answer = await service.http.post(
        ARRIVAL, content=b'{"room_id": 5}', headers={"content-type": content_type}
    )

    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("body", "status", "slug"),
    [
        (b"", 400, "not-json"),
        (b"hello", 400, "not-json"),
        (gzip.compress(b'{"room_id": "1"}'), 415, "unsupported"),
        (b'{"room_id": "\xff\xfe"}', 422, "unusable"),
        (b"[" * 60_000, 400, "not-json"),
        (b'{"room_id": "1" "n": "\xff"}', 400, "not-utf-8"),
        (b"[]", 422, "unusable"),
        (b"{}", 422, "unusable"),
        (b'{"room_id": true}', 422, "unusable"),
        (b'{"room_id": "\\ud800"}', 422, "unusable"),
        (b'{"room_id": "\\u0000"}', 422, "unusable"),
        (b'{"room_id": "1", "app_id": "another"}', 403, "foreign-app"),
        (b'{"room_id": "' + b"1" * 300_000 + b'"}', 413, "too-large"),
        (b'{"room_id": "1", "x": "' + b"1" * 1_000_000 + b'"}', 413, "too-large"),
    ],
    ids=range(14),
)
async def test_a_useless_body_is_refused_and_counted_and_leaves_no_row(
    service: WebhookService, body: bytes, status: int, slug: str
) -> None:
    for path in (ARRIVAL, RESOLVE):
        answer = await service.post(path, body.replace(b'{"room_id"', b'{"x": 0, "room_id"'))

        if path == ARRIVAL or status != 422:
            assert_problem(answer, status, slug)
        assert 400 <= answer.status_code < 500
    assert service.parts.counts.of(ARRIVAL, slug) == 1
    assert await service.rows() == 0


async def test_a_body_just_within_the_limit_is_taken(service: WebhookService) -> None:
    body = b'{"room_id": "1", "x": "' + b"1" * (BODY_LIMIT - 25) + b'"}'
    assert len(body) == BODY_LIMIT

    assert (await service.post(ARRIVAL, body)).status_code == 200
    assert_problem(await service.post(ARRIVAL, body + b" "), 413, "too-large")


async def test_the_body_of_our_own_account_is_taken(service: WebhookService) -> None:
    body = {"room_id": "1", "app_id": APP_ID, "app_code": APP_ID}

    assert (await service.post(ARRIVAL, body)).status_code == 200


@pytest.mark.parametrize("path", [ARRIVAL, RESOLVE])
async def test_any_of_the_tokens_opens_the_webhooks_and_nothing_else_does(path: str) -> None:
    body = {"room_id": "1", "service": {"room_id": "1"}}
    async with webhook_service(parts_in_memory(TWO_TOKENS)) as service:
        for right in ("/first-token", "/second-token", "/second-token/", "/first%2Dtoken"):
            assert (await service.post(path + right, body)).status_code == 200
        for wrong in ("", "/", "/first", "/first-token,second-token", "/FIRST-TOKEN", "/%FF", "/é"):
            assert_problem(await service.post(path + wrong, body), 404, "not-found")


async def test_without_a_token_only_the_bare_paths_are_there(service: WebhookService) -> None:
    assert_problem(await service.post(f"{ARRIVAL}/token", {"room_id": "1"}), 404, "not-found")


async def test_what_is_not_there_and_what_does_not_fit_is_a_problem_too(
    service: WebhookService,
) -> None:
    assert_problem(await service.http.get("/nowhere"), 404, "not-found")
    assert_problem(await service.http.get("/agents"), 404, "not-found")
    assert_problem(await service.http.post("/set-webhook"), 404, "not-found")


async def test_a_look_at_the_address_of_a_webhook_is_told_what_it_is_for(
    service: WebhookService,
) -> None:
    refused = await service.http.get(ARRIVAL)
    probed = await service.http.head(RESOLVE)

    told = assert_problem(refused, 405, "method-not-allowed")
    assert "Qiscus sends its webhooks here" in told["detail"]
    assert (probed.status_code, probed.content) == (405, b"")
    assert "POST" in refused.headers["allow"]


@pytest.mark.parametrize(
    "path", ["/healthz", "/readyz", "/metrics", "/schema/openapi.json", "/floor", "/floor/floor.js"]
)
async def test_head_is_answered_as_get_without_the_body(path: str) -> None:
    async with webhook_service(parts_in_memory(floor_is_open=True)) as service:
        shown = await service.http.get(path)
        probed = await service.http.head(path)

    assert (shown.status_code, probed.status_code) == (200, 200)
    assert probed.content == b""
    assert probed.headers["content-type"] == shown.headers["content-type"]


@pytest.mark.parametrize(
    "error", [StoreUnavailable("PostgreSQL", "canary"), SchemaMismatch("canary"), None]
)
async def test_a_webhook_that_cannot_be_recorded_is_answered_503_to_be_sent_again(
    error: Exception | None,
) -> None:
    async with webhook_service(parts_failing(error)) as service:
        answer = await service.post(ARRIVAL, {"room_id": "1"})

        document = assert_problem(answer, 503, "store-unavailable")
        assert "canary" not in document["detail"]
        assert answer.headers["retry-after"] == "1"
        assert service.parts.counts.of(ARRIVAL, "store-unavailable") == 1


async def test_what_the_store_cannot_keep_is_the_senders_problem() -> None:
    async with webhook_service(parts_failing(InvalidInput("a field", "canary"))) as service:
        assert_problem(await service.post(ARRIVAL, {"room_id": "1"}), 422, "unusable")


async def test_a_bug_of_ours_is_counted_and_tells_nothing() -> None:
    async with webhook_service(parts_failing(RuntimeError("canary"))) as service:
        answer = await service.post(ARRIVAL, {"room_id": "1"})

        assert "canary" not in answer.text
        assert_problem(answer, 500, "failed")
        assert service.parts.counts.of(ARRIVAL, "failed") == 1


async def test_the_process_is_healthy_as_long_as_it_answers() -> None:
    async with webhook_service(parts_failing(StoreUnavailable("x", "y"))) as service:
        assert (await service.http.get("/healthz")).json() == {"status": "ok"}


async def test_it_is_ready_when_every_check_is_fine(service: WebhookService) -> None:
    assert (await service.http.get("/readyz")).status_code == 200


async def test_readiness_names_the_checks_that_fail_or_hang() -> None:
    async def fine() -> None: ...

    async def failing() -> None:
        raise StoreUnavailable("canary", "canary")

    async def hanging() -> None:
        await asyncio.Event().wait()

    checks = {"a": fine, "b": failing, "c": hanging}
    async with webhook_service(parts_in_memory(checks=checks)) as service:
        answer = await service.http.get("/readyz")

    document = assert_problem(answer, 503, "not-ready")
    assert document["detail"] == "Not ready: b is unavailable; c did not answer within 1 s."
    assert document["checks"]["a"] == "ok"
    assert "canary" not in answer.text


async def test_however_many_ask_for_readiness_the_checks_are_asked_now_and_then() -> None:
    asked: list[float] = []

    async def slow() -> None:
        asked.append(asyncio.get_running_loop().time())
        await asyncio.sleep(0)

    async with webhook_service(parts_in_memory(checks={"a": slow})) as service:
        for _ in range(5):
            answers = await asyncio.gather(*(service.http.get("/readyz") for _ in range(20)))
            assert {answer.status_code for answer in answers} == {200}
        await until(lambda: asyncio.get_running_loop().time() - asked[-1] > KNOWN_SECONDS)
        before = len(asked)
        await service.http.get("/readyz")

    pauses = [later - sooner for sooner, later in itertools.pairwise(asked)]
    assert all(pause >= KNOWN_SECONDS for pause in pauses)
    assert len(asked) == before + 1


@pytest.mark.parametrize(
    "authorization",
    [
        {},
        {"authorization": "Bearer wrong"},
        {"authorization": "Bearer"},
        {"authorization": "Bearer canary-admin-tokenx"},
        {"authorization": "Basic canary-admin-token"},
        {"authorization": "canary-admin-token"},
    ],
)
async def test_the_administrators_routes_want_the_admin_token(
    authorization: dict[str, str],
) -> None:
    async with webhook_service(parts_in_memory(ADMIN)) as service:
        for ask in (service.http.get("/agents", headers=authorization),):
            answer = await ask
            assert_problem(answer, 401, "unauthorized")
            assert answer.headers["www-authenticate"] == "Bearer"
        answer = await service.http.post("/set-webhook", headers=authorization)
        assert_problem(answer, 401, "unauthorized")


async def test_the_floor_shows_every_agent_with_presence_capacity_and_load() -> None:
    parts = parts_in_memory(
        ADMIN | {"QT_AGENTS_CAPACITY": "3=5", "QT_WEBHOOK_MAX_CURRENT_CUSTOMER": "2"}
    )
    roster = parts.allocator.roster
    channels = frozenset({ChannelId(9), ChannelId(7)})
    present = Presence(AgentId(2), True, NOW, channels, count=4, name="Ayu")
    absent = Presence(AgentId(3), False, NOW, name="Budi")
    await roster.replace([absent, present], NOW)
    await parts.allocator.agent_settings.set_agent(
        AgentId(2), lambda _: AgentSetting(paused=True), actor="test"
    )

    async with webhook_service(parts) as service:
        answer = await service.http.get("/agents", headers=BEARER)

    moment = NOW.isoformat()
    assert answer.json() == {
        "read_at": moment,
        "agents": [
            {
                "id": 2,
                "name": "Ayu",
                "online": True,
                "channels": [7, 9],
                "capacity": 2,
                "load": 0,
                "paused": True,
                "read_at": moment,
            },
            {
                "id": 3,
                "name": "Budi",
                "online": False,
                "channels": [],
                "capacity": 5,
                "load": 0,
                "paused": False,
                "read_at": moment,
            },
        ],
    }


async def test_a_floor_that_nobody_has_read_yet_is_empty() -> None:
    async with webhook_service(parts_in_memory(ADMIN)) as service:
        answer = await service.http.get("/agents", headers=BEARER)

    assert answer.json() == {"read_at": None, "agents": []}


async def test_set_webhook_registers_the_configured_address_and_no_other() -> None:
    asked: list[tuple[str, str]] = []

    async def register(arrival_url: str, resolve_url: str) -> list[Registration]:
        asked.append((arrival_url, resolve_url))
        return [
            Registration(webhook="allocation", url=arrival_url, confirmed=False, detail="404"),
            Registration(webhook="resolved", url=resolve_url, confirmed=True, detail=resolve_url),
        ]

    environ = ADMIN | TWO_TOKENS | {"QT_WEBHOOK_BASE_URL": "https://our.example/base/"}
    parts = parts_in_memory(environ, register_webhooks=register)
    async with webhook_service(parts) as service:
        answer = await service.http.post(
            "/set-webhook?webhook_url=http://evil.example",
            headers=BEARER | {"host": "evil.example", "x-forwarded-host": "evil.example"},
            json={"webhook_url": "http://evil.example", "base_url": "http://evil.example"},
        )

    base = "https://our.example/base"
    assert asked == [(f"{base}{ARRIVAL}/first-token", f"{base}{RESOLVE}/first-token")]
    shown = f"{base}{RESOLVE}/***"
    assert answer.status_code == 200
    assert answer.json() == {
        "registrations": [
            {
                "webhook": "allocation",
                "url": f"{base}{ARRIVAL}/***",
                "confirmed": False,
                "detail": "404",
            },
            {"webhook": "resolved", "url": shown, "confirmed": True, "detail": shown},
        ],
        "note": DASHBOARD_NOTE,
    }


@pytest.mark.parametrize(
    ("error", "slug"),
    [
        (PlatformRefused(401, "canary"), "platform-refused"),
        (PlatformUnavailable(Fault.TIMEOUT, "canary"), "platform-unavailable"),
    ],
)
async def test_set_webhook_tells_when_qiscus_does_not_take_it(error: Exception, slug: str) -> None:
    async def register(_: str, __: str) -> list[Registration]:
        raise error

    environ = ADMIN | {"QT_WEBHOOK_BASE_URL": "https://our.example"}
    async with webhook_service(parts_in_memory(environ, register_webhooks=register)) as service:
        answer = await service.http.post("/set-webhook", headers=BEARER)

    assert_problem(answer, 502, slug)
    assert "canary" not in answer.text


async def test_set_webhook_says_what_is_not_configured() -> None:
    async def register(_: str, __: str) -> list[Registration]:
        raise AssertionError

    async with webhook_service(parts_in_memory(ADMIN)) as service:
        answer = await service.http.post("/set-webhook", headers=BEARER)
        assert "qiscus.app_id" in assert_problem(answer, 409, "not-configured")["detail"]
    async with webhook_service(parts_in_memory(ADMIN, register_webhooks=register)) as service:
        answer = await service.http.post("/set-webhook", headers=BEARER)
        assert "webhook.base_url" in assert_problem(answer, 409, "not-configured")["detail"]


async def test_the_parts_are_opened_before_the_first_request_and_closed_at_the_end() -> None:
    told: list[str] = []

    async def opened() -> None:
        told.append("opened")

    async def closed() -> None:
        told.append("closed")

    async with webhook_service(parts_in_memory(open=opened, close=closed)) as service:
        await service.post(ARRIVAL, {"room_id": "1"})
        assert told == ["opened"]

    assert told == ["opened", "closed"]


async def test_the_description_is_served_and_names_no_secret() -> None:
    async with webhook_service(parts_in_memory(ADMIN | TWO_TOKENS)) as service:
        answer = await service.http.get("/schema/openapi.json")

    assert answer.json()["openapi"] == "3.1.0"
    assert not [secret for secret in ("first-token", "canary") if secret in answer.text]


@pytest.mark.parametrize("environ", [{}, ADMIN, TWO_TOKENS, ADMIN | TWO_TOKENS])
async def test_the_description_has_the_routes_that_are_there_and_no_other(
    environ: dict[str, str],
) -> None:
    token = "/{token}" if "QT_WEBHOOK_TOKEN" in environ else ""
    guarded = {
        *(("/agents", "get"), ("/set-webhook", "post")),
        *(("/floor/why", "get"), ("/floor/actions/{name}", "post")),
    }

    async with webhook_service(parts_in_memory(environ)) as service:
        paths = (await service.http.get("/schema/openapi.json")).json()["paths"]
        there = {(path, method) for path, item in paths.items() for method in item}

        assert there == {
            (ARRIVAL + token, "post"),
            (RESOLVE + token, "post"),
            ("/healthz", "get"),
            ("/readyz", "get"),
            *(guarded if "QT_ADMIN_TOKEN" in environ else ()),
        }
        assert_problem(await service.http.get("/schema"), 404, "not-found")


async def test_the_description_says_what_the_page_asks_for_and_what_each_route_may_answer() -> None:
    async with webhook_service(parts_in_memory(ADMIN)) as service:
        answer = await service.http.get("/schema/openapi.json")

    paths = answer.json()["paths"]
    why, action = paths["/floor/why"]["get"], paths["/floor/actions/{name}"]["post"]
    arrival = paths[ARRIVAL]["post"]
    assert [each["name"] for each in why["parameters"]] == ["room", "zone"]
    assert why["responses"].keys() == {"200", "401", "422", "429", "503"}
    assert why["security"] == action["security"] == [{"admin": []}]
    assert action["requestBody"]["required"]
    assert arrival["responses"]["200"]["links"].keys() == {"again", "end"}
    assert "Retry-After" in arrival["responses"]["503"]["headers"]
    assert answer.headers["content-type"] == "application/json"


async def test_many_webhooks_at_once_are_each_recorded_once(service: WebhookService) -> None:
    bodies = [{"room_id": str(number % 50)} for number in range(200)]

    answers = await asyncio.gather(*(service.post(ARRIVAL, body) for body in bodies))

    assert {answer.status_code for answer in answers} == {200}
    assert await service.rows() == 50


async def test_only_the_wanted_properties_are_kept() -> None:
    extras = json.dumps({"user_properties": [{"key": "tier", "value": "vip"}]})
    async with webhook_service(parts_in_memory(kept_properties=frozenset({"tier"}))) as service:
        await service.post(ARRIVAL, {"room_id": "1", "extras": extras})

        (chat,) = await service.parts.allocator.room_repo.waiting(10)

    assert chat.properties == {"tier": "vip"}
