"""The fake platform over real sockets: its API, its webhooks, its misbehaviour, its floor."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from attrs import evolve

from sebastian_adapters.memory.platform import Event, Platform, Truth
from sebastian_apps.fake_qiscus import (
    FakeConfig,
    FakeQiscus,
    FloorConfig,
    FloorProgress,
    InjectedFault,
    WebhookFaults,
    serve,
)
from sebastian_apps.fake_qiscus.control import Control
from sebastian_apps.fake_qiscus.floor import Customer
from sebastian_apps.fake_qiscus.http_server import Exchange, HttpServer, Request, Response
from tests.payload_shapes import a_payload, differences

DEADLINE_SECONDS = 20
CREDENTIAL = {
    "Qiscus-App-Id": "demoapp-x1y2z3a4b5c6d7e",
    "Qiscus-Secret-Key": "FAKE_SECRET",
}
APP_ID_ONLY = {"Qiscus-App-Id": "demoapp-x1y2z3a4b5c6d7e"}
ADMIN = {"email": "admin@example.test", "password": "FAKE_PASSWORD"}
ASSIGN = "/api/v1/admin/service/assign_agent"
AVAILABLE = "/api/v2/admin/service/available_agents"
PROFILE = "/api/v1/admin/get_profile"
REGISTER = "/api/v1/app/webhook/mark_as_resolved"
RESOLVE = "/api/v1/admin/service/mark_as_resolved"
ROOMS = "/api/v2/customer_rooms"


class Receiver:
    """Where webhooks arrive; answers each with `status`."""

    def __init__(self) -> None:
        self.got: list[tuple[str, dict[str, Any]]] = []
        self.status = 200
        self.url = ""
        self._server = HttpServer(self._receive)

    async def start(self) -> None:
        self.url = f"http://127.0.0.1:{await self._server.start('127.0.0.1', 0)}"

    async def stop(self) -> None:
        await self._server.stop()

    def room_ids(self) -> list[str]:
        return [body["room_id"] for _, body in self.got]

    def _receive(self, exchange: Exchange) -> None:
        self.got.append((exchange.request.path, json.loads(exchange.request.body)))
        exchange.send(Response(self.status, b"{}"))


@pytest.fixture
async def fake() -> AsyncIterator[FakeQiscus]:
    async with serve(FakeConfig(agents=3)) as running:
        yield running


@pytest.fixture
async def client(fake: FakeQiscus) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=fake.url, headers=CREDENTIAL, timeout=5) as opened:
        yield opened


@pytest.fixture
async def receiver(fake: FakeQiscus) -> AsyncIterator[Receiver]:
    running = Receiver()
    await running.start()
    fake.send_webhooks_to(running.url)
    yield running
    await running.stop()


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not is_so():
            await asyncio.sleep(0.005)


def switch(fake: FakeQiscus, **switches: Any) -> None:
    fake.platform.switches = evolve(fake.platform.switches, **switches)


def encoded(encoding: str, fields: dict[str, str]) -> dict[str, Any]:
    """The arguments that make httpx send the fields so: `data`, `json` or `files` (multipart)."""
    if encoding == "files":
        return {"files": {name: (None, value) for name, value in fields.items()}}
    return {encoding: fields}


async def assign(client: httpx.AsyncClient, room_id: str, agent_id: int = 160001) -> httpx.Response:
    form = {"room_id": room_id, "agent_id": str(agent_id), "max_agent": "1"}
    return await client.post(ASSIGN, data=form)


async def control(client: httpx.AsyncClient, path: str, **wishes: Any) -> Any:
    answer = await client.post(f"/_fake/{path}", json=wishes)
    assert answer.status_code == 200, answer.text
    return answer.json()


class TestCredentials:
    @pytest.mark.parametrize(
        "headers",
        [
            {},
            APP_ID_ONLY,
            CREDENTIAL | {"Qiscus-Secret-Key": "wrong"},
            CREDENTIAL | {"Qiscus-App-Id": "somebody-else"},
            APP_ID_ONLY | {"Authorization": "stale"},
        ],
    )
    async def test_are_wanted_for_every_call(
        self, fake: FakeQiscus, headers: dict[str, str]
    ) -> None:
        async with httpx.AsyncClient(base_url=fake.url, headers=headers) as stranger:
            answer = await stranger.get(PROFILE)

        assert answer.status_code == 401
        assert "errors" in answer.json()

    @pytest.mark.parametrize("encoding", ["data", "json", "files"])
    async def test_can_be_a_token_from_a_login_in_any_encoding(
        self, fake: FakeQiscus, encoding: str
    ) -> None:
        async with httpx.AsyncClient(base_url=fake.url, headers=APP_ID_ONLY) as admin:
            login = await admin.post("/api/v1/auth", **encoded(encoding, ADMIN))
            token = login.json()["data"]["user"]["authentication_token"]

            answer = await admin.get(PROFILE, headers={"Authorization": token})

        assert differences(login.json(), a_payload("auth-01")) == []
        assert answer.status_code == 200

    async def test_can_be_a_token_alone_but_not_with_another_app_id(
        self, fake: FakeQiscus, client: httpx.AsyncClient
    ) -> None:
        login = await client.post("/api/v1/auth", data=ADMIN)
        token = {"Authorization": login.json()["data"]["long_lived_token"]}

        async with httpx.AsyncClient(base_url=fake.url, headers=token) as admin:
            alone = await admin.get(PROFILE)
            elsewhere = await admin.get(PROFILE, headers={"Qiscus-App-Id": "somebody-else"})

        assert (alone.status_code, elsewhere.status_code) == (200, 401)

    @pytest.mark.parametrize("shows_app", [False, True])
    async def test_belong_to_a_profile_that_names_the_app_where_it_is_so_switched(
        self, fake: FakeQiscus, client: httpx.AsyncClient, shows_app: bool
    ) -> None:
        switch(fake, profile_shows_app=shows_app)

        profile = (await client.get(PROFILE)).json()["data"]

        assert ("app" in profile) is shows_app
        assert ("email_address" in profile) is not shows_app
        assert (profile["id"], profile["type"]) == (11111, 1)

    async def test_are_not_given_for_a_wrong_password(self, client: httpx.AsyncClient) -> None:
        answer = await client.post("/api/v1/auth", data={**ADMIN, "password": "wrong"})

        assert answer.status_code == 401

    async def test_from_before_everybody_was_logged_out_are_void(
        self, fake: FakeQiscus, client: httpx.AsyncClient
    ) -> None:
        login = await client.post("/api/v1/auth", data=ADMIN)
        token = login.json()["data"]["long_lived_token"]
        await control(client, "logout")

        headers = APP_ID_ONLY | {"Authorization": token}
        async with httpx.AsyncClient(base_url=fake.url, headers=headers) as admin:
            assert (await admin.get(PROFILE)).status_code == 401


class TestReading:
    @pytest.mark.parametrize(
        ("path", "payload"),
        [
            ("/api/v2/admin/agents", "agents-v2-01-meta-top"),
            ("/api/v1/admin/agents/get_by_ids?ids[]=160001", "agents-by-ids-01"),
            ("/api/v2/admin/agent/160001", "agent-detail-01"),
            (f"{AVAILABLE}?room_id=1", "available-agents-01-v2"),
            (f"{ROOMS}/1", "customer-room-get-01"),
            ("/api/v2/admin/webhook_config", "webhook-config-01"),
        ],
    )
    async def test_answers_with_the_keys_and_types_of_the_example(
        self, fake: FakeQiscus, client: httpx.AsyncClient, path: str, payload: str
    ) -> None:
        fake.customer_message("1")

        answer = await client.get(path)

        assert answer.status_code == 200
        assert differences(answer.json(), a_payload(payload)) == []

    async def test_lists_rooms_with_the_keys_and_types_of_the_example(
        self, fake: FakeQiscus, client: httpx.AsyncClient
    ) -> None:
        fake.customer_message("1")

        answer = await client.post(ROOMS, json={"serve_status": "unserved", "limit": 50})

        assert differences(answer.json(), a_payload("customer-rooms-list-01-unserved")) == []

    async def test_can_put_meta_inside_data_and_agents_into_an_array(
        self, fake: FakeQiscus, client: httpx.AsyncClient
    ) -> None:
        fake.customer_message("1")
        switch(fake, meta_place="data", available_agents_shape="array")

        agents = (await client.get("/api/v2/admin/agents")).json()
        available = (await client.get(AVAILABLE, params={"room_id": "1"})).json()

        assert set(agents["data"]) == {"agents", "meta"}
        assert [agent["id"] for agent in available["data"]] == [160001, 160002, 160003]

    async def test_pages_agents_by_number_or_by_cursor(
        self, fake: FakeQiscus, client: httpx.AsyncClient
    ) -> None:
        by_number = await client.get("/api/v2/admin/agents", params={"page": 2, "limit": 3})
        switch(fake, agents_paging="cursor")
        first = await client.get("/api/v2/admin/agents", params={"limit": 3})
        after = first.json()["meta"]["after"]
        second = await client.get(
            "/api/v2/admin/agents", params={"limit": 3, "cursor_after": after}
        )

        assert [agent["id"] for agent in by_number.json()["data"]["agents"]] == [160003]
        assert [agent["id"] for agent in second.json()["data"]["agents"]] == [160003]
        assert second.json()["meta"]["after"] is None

    async def test_shows_a_change_of_an_agent_at_once(
        self, fake: FakeQiscus, client: httpx.AsyncClient
    ) -> None:
        await client.get("/api/v2/admin/agents")
        fake.platform.set_online(160001, online=False)
        fake.customer_message("1")
        await assign(client, "1", 160002)

        agents = (await client.get("/api/v2/admin/agents")).json()["data"]["agents"]

        agents = [agent for agent in agents if agent["type_as_string"] == "agent"]
        assert [agent["is_available"] for agent in agents] == [False, True, True]
        assert [agent["current_customer_count"] for agent in agents] == [0, 1, 0]

    @pytest.mark.parametrize(
        ("method", "path", "status"),
        [
            ("GET", f"{ROOMS}/404", 404),
            ("GET", "/api/v2/admin/agent/404", 404),
            ("GET", "/api/v2/admin/agent/not-a-number", 400),
            ("GET", "/api/v2/nothing", 404),
            ("DELETE", ASSIGN, 404),
            ("GET", f"{AVAILABLE}?room_id=404", 400),
            ("GET", f"{AVAILABLE}?room_id=1&cursor_after=banana", 400),
        ],
    )
    async def test_refuses_what_is_not_there_in_words_that_are_marked(
        self, fake: FakeQiscus, client: httpx.AsyncClient, method: str, path: str, status: int
    ) -> None:
        fake.customer_message("1")

        answer = await client.request(method, path)

        assert answer.status_code == status
        assert answer.json()["errors"].startswith("FAKE: ")

    async def test_answers_at_a_base_url_that_ends_in_a_slash(
        self, fake: FakeQiscus, client: httpx.AsyncClient
    ) -> None:
        answer = await client.get(f"{fake.url}/{PROFILE}")

        assert answer.status_code == 200


class TestAssigning:
    @pytest.mark.parametrize(
        "body",
        [
            {"data": {"room_id": "1", "agent_id": "160001", "max_agent": "1"}},
            {"json": {"room_id": "1", "agent_id": 160001, "max_agent": None}},
            {"json": {"room_id": 1, "agent_id": "160001", "replace_latest_agent": False}},
            {"json": {"room_id": 1, "agent_id": 160001.0}},
            {"data": {"room_id": "1", "agent_id": "160001", "max_agent": "null"}},
            {"data": {"room_id": "1", "agent_id": "160001", "max_agent": ""}},
        ],
    )
    async def test_takes_a_form_or_json(
        self, fake: FakeQiscus, client: httpx.AsyncClient, body: dict[str, Any]
    ) -> None:
        fake.customer_message("1")

        answer = await client.post(ASSIGN, **body)

        assert answer.status_code == 200
        assert fake.platform.agents_in("1") == (160001,)

    @pytest.mark.parametrize("with_service", [True, False])
    async def test_answers_with_or_without_the_service(
        self, fake: FakeQiscus, client: httpx.AsyncClient, with_service: bool
    ) -> None:
        switch(fake, assign_answers_service=with_service)
        fake.customer_message("1")

        data = (await assign(client, "1")).json()["data"]

        assert ("service" in data) is with_service

    @pytest.mark.parametrize(("shape", "kind"), [("text", str), ("object", dict), ("list", list)])
    async def test_refuses_with_errors_in_the_shape_of_the_account(
        self, fake: FakeQiscus, client: httpx.AsyncClient, shape: str, kind: type
    ) -> None:
        switch(fake, errors_shape=shape)

        answer = await assign(client, "404")

        assert answer.status_code == 400
        assert isinstance(answer.json()["errors"], kind)

    @pytest.mark.parametrize("body", [b"", b"room_id=1", b"room_id=1&agent_id=x"])
    async def test_cannot_be_done_without_a_room_and_an_agent(
        self, client: httpx.AsyncClient, body: bytes
    ) -> None:
        headers = {"Content-Type": "application/x-www-form-urlencoded"}

        assert (await client.post(ASSIGN, content=body, headers=headers)).status_code == 400

    async def test_can_be_undone(self, fake: FakeQiscus, client: httpx.AsyncClient) -> None:
        fake.customer_message("1")
        await assign(client, "1")

        form = {"room_id": "1", "agent_id": "160001"}
        answer = await client.post("/api/v1/admin/service/remove_agent", data=form)

        assert answer.status_code == 200
        assert fake.platform.waiting_rooms() == ["1"]


class TestWebhooks:
    @pytest.mark.parametrize("encoding", ["data", "json", "files"])
    async def test_are_registered_in_any_encoding(
        self, fake: FakeQiscus, client: httpx.AsyncClient, encoding: str
    ) -> None:
        url = "https://caa.example.test/hooks/FAKE/resolved"
        fields = {"webhook_url": url, "is_webhook_enabled": "true"}

        answer = await client.post(REGISTER, **encoded(encoding, fields))

        assert differences(answer.json(), a_payload("set-webhook-01")) == []
        assert fake.platform.app.webhook_url("resolved") == url

    @pytest.mark.parametrize(
        ("wanted", "status_by_secret", "status_by_token"),
        [("both", 200, 200), ("secret", 200, 403), ("token", 403, 200)],
    )
    async def test_are_registered_with_the_credential_that_the_account_wants(
        self,
        fake: FakeQiscus,
        client: httpx.AsyncClient,
        wanted: str,
        status_by_secret: int,
        status_by_token: int,
    ) -> None:
        switch(fake, webhook_registration=wanted)
        login = await client.post("/api/v1/auth", data=ADMIN)
        by_token = APP_ID_ONLY | {"Authorization": login.json()["data"]["long_lived_token"]}
        form = {"webhook_url": "http://127.0.0.1:9/x", "is_webhook_enabled": "true"}

        with_secret = await client.post(REGISTER, data=form)
        async with httpx.AsyncClient(base_url=fake.url, headers=by_token) as admin:
            with_token = await admin.post(REGISTER, data=form)

        assert with_secret.status_code == status_by_secret
        assert with_token.status_code == status_by_token

    async def test_go_out_on_each_message_until_the_room_has_an_agent(
        self, fake: FakeQiscus, client: httpx.AsyncClient, receiver: Receiver
    ) -> None:
        fake.customer_message("1")
        fake.customer_message("1")
        await assign(client, "1")
        fake.customer_message("1")
        await fake.webhooks.settled()

        assert [path for path, _ in receiver.got] == ["/webhook-incoming-message"] * 2
        assert [delivery.status for delivery in fake.webhooks.deliveries] == [200, 200]

    async def test_go_out_for_a_resolve_by_api(
        self, fake: FakeQiscus, client: httpx.AsyncClient, receiver: Receiver
    ) -> None:
        fake.customer_message("1")
        await assign(client, "1")

        answer = await client.post(RESOLVE, data={"room_id": "1", "notes": "done"})
        await fake.webhooks.settled()

        assert differences(answer.json(), a_payload("mark-as-resolved-01-objdates")) == []
        path, body = receiver.got[-1]
        assert path == "/webhook-mark-as-resolved"
        assert differences(body, a_payload("resolved-04-new-shape-channel")) == []

    async def test_carry_the_token_in_their_path(
        self, fake: FakeQiscus, receiver: Receiver
    ) -> None:
        fake.send_webhooks_to(receiver.url, "a-long-secret")

        fake.customer_message()
        await fake.webhooks.settled()

        assert receiver.got[0][0] == "/webhook-incoming-message/a-long-secret"

    async def test_can_be_lost(self, fake: FakeQiscus, receiver: Receiver) -> None:
        fake.webhooks.faults["allocation"] = WebhookFaults(lost=1.0)

        fake.customer_message()
        await fake.webhooks.settled()

        assert receiver.got == []
        assert [delivery.is_lost for delivery in fake.webhooks.deliveries] == [True]

    async def test_can_be_doubled(self, fake: FakeQiscus, receiver: Receiver) -> None:
        fake.webhooks.faults["allocation"] = WebhookFaults(doubled=1.0)

        fake.customer_message("1")
        await fake.webhooks.settled()

        assert receiver.room_ids() == ["1", "1"]
        assert [delivery.copy for delivery in fake.webhooks.deliveries] == [0, 1]

    async def test_can_be_late(self, fake: FakeQiscus, receiver: Receiver) -> None:
        fake.webhooks.faults["allocation"] = WebhookFaults(late=1.0, late_seconds=0.1)
        fake.customer_message("late")
        fake.webhooks.faults["allocation"] = WebhookFaults()
        fake.customer_message("prompt")

        await fake.webhooks.settled()

        assert receiver.room_ids() == ["prompt", "late"]

    async def test_can_be_held_back_until_the_next_one_has_left(
        self, fake: FakeQiscus, receiver: Receiver
    ) -> None:
        fake.webhooks.faults["allocation"] = WebhookFaults(swapped=1.0, swap_seconds=3600)
        fake.customer_message("first")
        fake.webhooks.faults["allocation"] = WebhookFaults()
        fake.customer_message("second")

        await fake.webhooks.settled()

        assert sorted(receiver.room_ids()) == ["first", "second"]
        sent = {d.room_id: d.sent_at or 0.0 for d in fake.webhooks.deliveries}
        assert sent["second"] < sent["first"]

    async def test_are_not_sent_again_after_a_bad_answer_or_none(
        self, fake: FakeQiscus, receiver: Receiver
    ) -> None:
        receiver.status = 503
        fake.customer_message("1")
        await fake.webhooks.settled()
        await receiver.stop()
        fake.customer_message("2")
        await fake.webhooks.settled()

        refused, unreachable = fake.webhooks.deliveries
        assert refused.status == 503
        assert unreachable.status is None
        assert unreachable.error

    async def test_go_nowhere_while_no_url_is_registered(self, fake: FakeQiscus) -> None:
        fake.customer_message()
        await fake.webhooks.settled()

        assert list(fake.webhooks.deliveries) == []


class TestMisbehaviour:
    @pytest.mark.parametrize("is_applied", [True, False])
    async def test_can_be_an_error_before_or_after_the_call_took_effect(
        self, fake: FakeQiscus, client: httpx.AsyncClient, is_applied: bool
    ) -> None:
        fake.customer_message("1")
        fake.add_fault(InjectedFault(kind="status", status=502, is_applied=is_applied))

        answer = await assign(client, "1")

        assert answer.status_code == 502
        assert bool(fake.platform.agents_in("1")) is is_applied

    @pytest.mark.parametrize("is_applied", [True, False])
    async def test_can_be_a_reset_before_or_after_the_call_took_effect(
        self, fake: FakeQiscus, client: httpx.AsyncClient, is_applied: bool
    ) -> None:
        fake.customer_message("1")
        fake.add_fault(InjectedFault(kind="reset", is_applied=is_applied))

        with pytest.raises(httpx.NetworkError):
            await assign(client, "1")

        assert bool(fake.platform.agents_in("1")) is is_applied

    async def test_can_be_silence(self, fake: FakeQiscus, client: httpx.AsyncClient) -> None:
        fake.customer_message("1")
        fake.add_fault(InjectedFault(kind="silence", is_applied=True))

        with pytest.raises(httpx.ReadTimeout):
            await client.post(ASSIGN, data={"room_id": "1", "agent_id": "160001"}, timeout=0.1)

        assert fake.platform.agents_in("1") == (160001,)

    async def test_can_come_twice(self, fake: FakeQiscus) -> None:
        fake.add_fault(InjectedFault(kind="twice"))
        reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(fake.url).port)
        writer.write(b"GET /api/v1/admin/get_profile HTTP/1.1\r\nhost: x\r\n\r\n")

        async with asyncio.timeout(5):
            heard = await reader.readuntil(b"HTTP/1.1 ") + await reader.readuntil(b"HTTP/1.1 ")
        writer.close()

        assert heard.startswith(b"HTTP/1.1 401")

    @pytest.mark.parametrize("rubbish", ["html", "empty", "other_shape", "truncated", "number"])
    async def test_can_be_rubbish_with_a_good_status(
        self, fake: FakeQiscus, client: httpx.AsyncClient, rubbish: str
    ) -> None:
        fake.add_fault(InjectedFault(kind="rubbish", rubbish=rubbish))

        answer = await client.get(PROFILE)

        assert answer.status_code == 200
        assert b"admin@example.test" not in answer.content

    async def test_can_ask_to_come_back_after_seconds_or_at_a_date(
        self, fake: FakeQiscus, client: httpx.AsyncClient
    ) -> None:
        too_many = InjectedFault(kind="status", status=429, retry_after_seconds=7, count=1)
        fake.add_fault(too_many)
        fake.add_fault(evolve(too_many, retry_after_as_date=True))

        in_seconds = await client.get(PROFILE)
        at_date = await client.get(PROFILE)

        assert (in_seconds.status_code, in_seconds.headers["retry-after"]) == (429, "7")
        assert parsedate_to_datetime(at_date.headers["retry-after"]) > datetime.now(UTC)

    async def test_hits_the_named_call_only_and_as_often_as_told(
        self, fake: FakeQiscus, client: httpx.AsyncClient
    ) -> None:
        fake.add_fault(InjectedFault(kind="status", operation="agents", count=2))

        statuses = [(await client.get("/api/v2/admin/agents")).status_code for _ in range(3)]

        assert statuses == [500, 500, 200]
        assert (await client.get(PROFILE)).status_code == 200
        assert fake.faults.hits == {"agents status": 2}
        assert fake.calls["agents status"] == 2

    async def test_ends_when_its_time_is_over(
        self, fake: FakeQiscus, client: httpx.AsyncClient
    ) -> None:
        fake.add_fault(InjectedFault(kind="status", for_seconds=0.0))

        assert (await client.get(PROFILE)).status_code == 200
        assert fake.faults.in_force() == {}

    async def test_happens_with_the_probability_it_was_given(
        self, fake: FakeQiscus, client: httpx.AsyncClient
    ) -> None:
        fake.add_fault(InjectedFault(kind="status", probability=0.5))

        statuses = {(await client.get(PROFILE)).status_code for _ in range(50)}

        assert statuses == {200, 500}

    async def test_latency_delays_the_effect_and_the_answer(
        self, fake: FakeQiscus, client: httpx.AsyncClient
    ) -> None:
        fake.customer_message("1")
        asked_at = fake.platform.clock()
        fake.add_fault(InjectedFault(kind="latency", seconds=0.1, jitter_seconds=0.01))

        await assign(client, "1")

        assigned_at = Truth.of(fake.platform.log).services[fake_service(fake)].assigned_at
        assert assigned_at is not None
        assert assigned_at - asked_at >= 0.05
        assert fake.platform.clock() - asked_at >= 0.1


def fake_service(fake: FakeQiscus) -> int:
    service_id = fake.platform.open_service_id("1")
    assert service_id is not None
    return service_id


class TestTheControlApi:
    async def test_makes_people_and_customers_do_things(
        self, fake: FakeQiscus, client: httpx.AsyncClient
    ) -> None:
        added = await control(
            client, "agents", count=2, channels=[{"id": 7, "name": "Night"}], online=False
        )
        rooms = await control(client, "message", count=2)
        room_id = rooms["room_ids"][0]
        await control(client, "agents/presence", agent_id=added["agent_ids"][0], online=True)
        await control(client, "assign", room_id=room_id, agent_id=160001)
        await control(client, "move", room_id=room_id, from_agent=160001, to_agent=160002)

        truth = (await client.get("/_fake/truth")).json()

        assert truth["loads"]["160002"] == 1
        assert truth["online"] == [160001, 160002, 160003, added["agent_ids"][0]]
        assert truth["waiting"] == rooms["room_ids"][1:]
        await control(client, "remove", room_id=room_id, agent_id=160002)
        await control(client, "resolve", room_id=room_id)
        await control(client, "agents/delete", agent_id=160003)
        assert fake.platform.is_resolved(room_id)
        assert fake.platform.agent(160003) is None

    async def test_says_when_a_person_could_not_do_it(self, client: httpx.AsyncClient) -> None:
        answer = await control(client, "assign", room_id="404", agent_id=160001)

        assert answer["is_done"] is False

    async def test_changes_switches_and_faults_and_shows_them(
        self, fake: FakeQiscus, client: httpx.AsyncClient
    ) -> None:
        await control(client, "switches", counts_absent=True, rooms_lag_seconds=0.5)
        await control(client, "webhook-faults", resolved={"lost": 0.05})
        number = (await control(client, "faults", kind="reset", operation="auth"))["number"]

        switches = (await client.get("/_fake/switches")).json()
        webhook_faults = (await client.get("/_fake/webhook-faults")).json()
        faults = (await client.get("/_fake/faults")).json()

        assert (switches["counts_absent"], switches["rooms_lag_seconds"]) == (True, 0.5)
        assert webhook_faults["resolved"]["lost"] == 0.05
        assert faults[str(number)]["kind"] == "reset"
        await client.delete("/_fake/faults", params={"number": number})
        await client.delete("/_fake/faults")
        assert fake.faults.in_force() == {}

    @pytest.mark.parametrize(
        ("path", "wishes"),
        [
            ("switches", {"counts_lagg": 1}),
            ("switches", {"same_agent_twice": 201}),
            ("switches", {"counts_lag_seconds": -1}),
            ("faults", {"kind": "mischief"}),
            ("faults", {"kind": "status", "probability": 2}),
            ("floor", {"rate_per_second": 0}),
            ("webhook-faults", {"allocation": {"lost": "often"}}),
            ("agents/presence", {"agent_id": 404, "online": True}),
            ("assign", {}),
            ("message", []),
        ],
    )
    async def test_refuses_what_it_does_not_understand(
        self, client: httpx.AsyncClient, path: str, wishes: Any
    ) -> None:
        answer = await client.post(f"/_fake/{path}", json=wishes)

        assert answer.status_code == 400
        assert answer.json()["error"]

    async def test_hands_out_the_log_and_the_deliveries_from_a_number_on(
        self, fake: FakeQiscus, client: httpx.AsyncClient, receiver: Receiver
    ) -> None:
        before = (await client.get("/_fake/log")).json()
        fake.customer_message("1")
        await fake.webhooks.settled()

        after = (await client.get("/_fake/log", params={"after": before["next"]})).json()
        deliveries = (await client.get("/_fake/deliveries")).json()["deliveries"]
        calls = (await client.get("/_fake/calls")).json()

        assert [event["kind"] for event in after["events"]] == ["opened", "message"]
        assert Event(**{k: v for k, v in after["events"][0].items() if k != "number"}) in list(
            fake.platform.log
        )
        assert [delivery["status"] for delivery in deliveries] == [200]
        assert len(receiver.got) == 1
        assert calls["faults"] == {}

    async def test_is_not_there_for_strangers(self, fake: FakeQiscus) -> None:
        request = Request("GET", "/_fake/truth", {}, {}, b"", is_local=False)

        assert Control(fake).answer(request).status == 404

    @pytest.mark.parametrize(
        "headers",
        [
            {"Host": "rebound.example"},
            {"Origin": "http://evil.example"},
            {"Origin": "null"},
            {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "same-site"},
        ],
    )
    async def test_is_not_there_for_another_site_in_the_browser_of_this_machine(
        self, fake: FakeQiscus, client: httpx.AsyncClient, headers: dict[str, str]
    ) -> None:
        content = b'{"base_url": "http://127.0.0.1:9/internal"}'
        plain = {"Content-Type": "text/plain", **headers}

        sent = await client.post("/_fake/webhooks", content=content, headers=plain)
        read = await client.get("/_fake/truth", headers=headers)

        assert (sent.status_code, read.status_code) == (404, 404)

    async def test_says_that_the_fake_is_ready_without_a_credential(self, fake: FakeQiscus) -> None:
        async with httpx.AsyncClient(base_url=fake.url) as stranger:
            answer = await stranger.get("/_fake/ready")

        assert answer.json() == {"is_ready": True, "url": fake.url}


class GreedyAllocator:
    """Gives each chat to the least loaded agent below capacity, without any delay."""

    def __init__(self, platform: Platform, capacity: int) -> None:
        self._platform = platform
        self._capacity = capacity
        self._stop = platform.log.observe(self._on_event)

    def _on_event(self, event: Event) -> None:
        if event.kind in {"opened", "resolved", "online"}:
            asyncio.get_running_loop().call_soon(self._place_all)

    def _place_all(self) -> None:
        loads = {agent: self._platform.load(agent) for agent in self._platform.online_agents()}
        for room_id in self._platform.waiting_rooms():
            agent = min(loads, key=lambda each: loads[each], default=None)
            if agent is None or loads[agent] >= self._capacity:
                return
            self._platform.assign(room_id, agent, max_agent=1)
            loads[agent] += 1


A_SHORT_DAY = FloorConfig(
    agents=4,
    capacity=2,
    chats=60,
    rate_per_second=400,
    service_seconds=0.02,
    message_every_seconds=0.05,
    by_hand_share=0.2,
    quick_return_share=0.3,
    quick_return_seconds=0.03,
    online_seconds=0.2,
    offline_seconds=0.02,
    seed=7,
)


class TestTheFloor:
    @pytest.mark.parametrize("arrivals", ["poisson", "uniform", "day"])
    @pytest.mark.parametrize("spread", ["fixed", "exponential"])
    async def test_lets_every_customer_come_and_be_resolved(
        self, fake: FakeQiscus, arrivals: Any, spread: Any
    ) -> None:
        GreedyAllocator(fake.platform, capacity=2)
        day = evolve(A_SHORT_DAY, arrivals=arrivals, service_spread=spread)

        floor = fake.start_floor(day)
        await asyncio.wait_for(fake.floor_done(), DEADLINE_SECONDS)

        services = Truth.of(fake.platform.log).services.values()
        assert floor.progress == FloorProgress(60, 0, 0, 60, floor.progress.by_hand, is_done=True)
        assert len(services) == 60
        assert all(service.resolved_at for service in services)
        assert len({service.room_id for service in services}) < 60
        assert {serving.by for service in services for serving in service.servings} == {
            "api",
            "person",
        }

    def test_makes_the_same_customers_from_the_same_seed(self) -> None:
        day = evolve(A_SHORT_DAY, service_spread="exponential")

        customers = [[Customer.draw(day, number) for number in range(60)] for _ in range(2)]

        assert customers[0] == customers[1]
        assert customers[0] != [Customer.draw(evolve(day, seed=8), n) for n in range(60)]

    async def test_can_be_started_watched_and_stopped_from_outside(
        self, fake: FakeQiscus, client: httpx.AsyncClient
    ) -> None:
        nothing = (await client.get("/_fake/floor")).json()
        started = await control(client, "floor", chats=0, agents=5, rate_per_second=200)
        twice = await client.post("/_fake/floor", json={})
        await until(lambda: fake.floor is not None and fake.floor.progress.arrived > 3)
        stopped = (await client.request("DELETE", "/_fake/floor")).json()

        assert nothing is None
        assert started["is_done"] is False
        assert twice.status_code == 400
        assert stopped["arrived"] > 3
        assert len(fake.platform.agent_ids()) == 5

    async def test_sends_webhooks_for_arrivals_repeats_and_resolves(
        self, fake: FakeQiscus, receiver: Receiver
    ) -> None:
        GreedyAllocator(fake.platform, capacity=2)

        fake.start_floor(evolve(A_SHORT_DAY, chats=20))
        await asyncio.wait_for(fake.floor_done(), DEADLINE_SECONDS)
        await fake.webhooks.settled()

        paths = [path for path, _ in receiver.got]
        assert paths.count("/webhook-mark-as-resolved") == 20
        assert paths.count("/webhook-incoming-message") >= 20


class TestTheServer:
    async def test_answers_pipelined_requests_in_order(self, fake: FakeQiscus) -> None:
        fake.add_fault(InjectedFault(kind="latency", operation="profile", seconds=0.05))
        head = "".join(f"{name}: {value}\r\n" for name, value in CREDENTIAL.items())
        requests = f"GET {PROFILE} HTTP/1.1\r\n{head}\r\nGET /nothing HTTP/1.1\r\n\r\n"

        reader, writer = await asyncio.open_connection("127.0.0.1", port_of(fake))
        writer.write(requests.encode())
        first = await reader.readuntil(b"\r\n")
        second = await reader.readuntil(b"Not Found\r\n")
        writer.close()
        await writer.wait_closed()

        assert first == b"HTTP/1.1 200 OK\r\n"
        assert second.endswith(b"HTTP/1.1 404 Not Found\r\n")

    async def test_closes_on_what_is_not_http_and_on_a_huge_body(self, fake: FakeQiscus) -> None:
        for rubbish in (b"hello?\r\n\r\n", b"POST / HTTP/1.1\r\ncontent-length: 2000000\r\n\r\n"):
            reader, writer = await asyncio.open_connection("127.0.0.1", port_of(fake))
            writer.write(rubbish + b"x" * 1_500_000)
            with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                await reader.readexactly(1_000_000)
            writer.close()

    async def test_runs_as_a_process_of_its_own_until_it_is_told_to_stop(self) -> None:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "sebastian_apps.fake_qiscus", "--port", "0", "--agents", "2"),
            *("--webhook-base", "http://127.0.0.1:9", "--floor", "--chats", "1"),
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None
        line = await asyncio.wait_for(process.stdout.readline(), DEADLINE_SECONDS)
        url = line.decode().split()[-1]
        async with httpx.AsyncClient(base_url=url) as client:
            ready = await client.get("/_fake/ready")

        process.send_signal(signal.SIGTERM)
        status = await asyncio.wait_for(process.wait(), DEADLINE_SECONDS)

        assert ready.json()["is_ready"] is True
        assert status == 0


def port_of(fake: FakeQiscus) -> int:
    return int(fake.url.rpartition(":")[2])
