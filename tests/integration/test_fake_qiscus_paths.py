"""The stand-in's paths that other allocators, routing and agents need, and its filters."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from attrs import evolve

from sebastian_adapters.memory.platform import Channel
from sebastian_apps.fake_qiscus import FakeConfig, FakeQiscus, serve
from sebastian_apps.fake_qiscus.routes import OPERATIONS
from tests.payload_shapes import a_payload, differences

CREDENTIAL = {
    "Qiscus-App-Id": "demoapp-x1y2z3a4b5c6d7e",
    "Qiscus-Secret-Key": "FAKE_SECRET",
}
ADMIN_ID = 11111
WHATSAPP = Channel(id=7, name="WhatsApp", source="wa")
AGENTS = "/api/v2/admin/agents"
BY_DIVISION = "/api/v2/admin/agents/by_division"
OTHERS = "/api/v2/admin/service/other_agents"
AVAILABLE = "/api/v2/admin/service/available_agents"
ALLOCATE = "/api/v1/admin/service/allocate_agent"
ALLOCATE_ASSIGN = "/api/v1/admin/service/allocate_assign_agent"
ROOMS = "/api/v2/customer_rooms"
USER_INFO = "/api/v1/qiscus/room/1/user_info"
BOT = "/demoapp-x1y2z3a4b5c6d7e/bot"
AGENTS_OWN = "/api/v1/agent/service"
TAKE_OVER = "/api/v2/agent/service/takeover_unserved"


@pytest.fixture
async def fake() -> AsyncIterator[FakeQiscus]:
    async with serve(FakeConfig(agents=3)) as running:
        yield running


@pytest.fixture
async def client(fake: FakeQiscus) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=fake.url, headers=CREDENTIAL, timeout=5) as opened:
        yield opened


async def control(client: httpx.AsyncClient, path: str, **wishes: Any) -> Any:
    answer = await client.post(f"/_fake/{path}", json=wishes)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def ids(client: httpx.AsyncClient, path: str, **query: Any) -> list[int]:
    """The ids of the agents that a list of agents answers."""
    answer = await client.get(path, params=query)
    assert answer.status_code == 200, answer.text
    data = answer.json()["data"]
    return [each["id"] for each in (data if isinstance(data, list) else data["agents"])]


async def rooms(client: httpx.AsyncClient, **request: Any) -> list[str]:
    """The rooms that a search answers; `json` or `content` is its body."""
    answer = await client.post(ROOMS, **request)
    assert answer.status_code == 200, answer.text
    return [each["room_id"] for each in answer.json()["data"]["customer_rooms"]]


def form(text: str) -> dict[str, Any]:
    """A form as a client's bytes."""
    return {
        "content": text.encode(),
        "headers": {"Content-Type": "application/x-www-form-urlencoded"},
    }


def assigned(fake: FakeQiscus, room_id: str, agent_id: int) -> str:
    """A room that the agent serves."""
    fake.customer_message(room_id)
    fake.platform.assign_by_hand(room_id, agent_id)
    return room_id


async def an_agents_token(client: httpx.AsyncClient, agent_id: int) -> dict[str, str]:
    """What an agent's own program sends after its login."""
    login = {"email": f"agent.{agent_id}@example.test", "password": "FAKE_AGENT_PASSWORD"}
    answer = await client.post("/api/v1/auth", data=login)
    return {"Authorization": answer.json()["data"]["user"]["authentication_token"]}


class TestLists:
    @pytest.mark.parametrize(
        ("path", "payload"),
        [
            (f"{OTHERS}?room_id=1", "agents-v2-01-meta-top"),
            (f"{BY_DIVISION}?division_ids[]=125015", "agents-by-division-01"),
            ("/api/v2/divisions", "divisions-01"),
            ("/api/v1/admin/agents", "agents-v1-01-paginator"),
            ("/api/v1/admin/office_hours", "office-hours-01"),
            (USER_INFO, "user-info-01"),
            ("/api/v1/room_tag/1", "room-tags-01"),
            ("/api/v2/room_tags/1", "room-tags-01"),
        ],
    )
    async def test_answer_with_the_keys_and_types_of_the_example(
        self, fake: FakeQiscus, client: httpx.AsyncClient, path: str, payload: str
    ) -> None:
        fake.customer_message("1", properties=(("tier", "vip"),))
        fake.platform.customers.add_tag("1", "vip")

        answer = await client.get(path)

        assert answer.status_code == 200
        assert differences(answer.json(), a_payload(payload)) == []

    async def test_of_all_agents_hold_the_admin_from_the_start(
        self, client: httpx.AsyncClient
    ) -> None:
        agents = (await client.get(AGENTS)).json()["data"]["agents"]

        kinds = {agent["id"]: (agent["type"], agent["type_as_string"]) for agent in agents}
        assert kinds[ADMIN_ID] == (1, "admin")
        assert kinds[160001] == (2, "agent")

    async def test_of_other_agents_hold_everybody_who_is_not_in_the_room(
        self, fake: FakeQiscus, client: httpx.AsyncClient
    ) -> None:
        elsewhere = fake.platform.add_agent(channels=(WHATSAPP,))
        assigned(fake, "1", 160002)

        others = await ids(client, OTHERS, room_id="1")

        assert others == [ADMIN_ID, 160001, 160003, elsewhere]
        assert await ids(client, OTHERS, room_id="1", search="agent 160003") == [160003]
        assert (await client.get(OTHERS, params={"room_id": "404"})).status_code == 400

    async def test_of_the_agents_in_a_room_hold_nobody_else(
        self, fake: FakeQiscus, client: httpx.AsyncClient
    ) -> None:
        assigned(fake, "1", 160002)

        inside = await ids(client, AVAILABLE, room_id="1", is_available_in_room="true")
        eligible = await ids(client, AVAILABLE, room_id="1", is_available_in_room="false")

        assert inside == [160002]
        assert eligible == [160001, 160002, 160003]

    async def test_by_division_are_filtered_and_sorted_by_customers(
        self, fake: FakeQiscus, client: httpx.AsyncClient
    ) -> None:
        vip = (fake.platform.division("VIP"),)
        anne, ben = (fake.platform.add_agent(roles=vip) for _ in range(2))
        away = fake.platform.add_agent(roles=vip, online=False)
        assigned(fake, "1", anne)
        query = {"division_ids[]": str(vip[0].id)}

        assert await ids(client, BY_DIVISION, **query) == [ben, away, anne]
        assert await ids(client, BY_DIVISION, **query, sort="desc") == [anne, ben, away]
        assert await ids(client, BY_DIVISION, **query, is_available="true") == [ben, anne]
        assert await ids(client, BY_DIVISION, **query, page=2, limit=2) == [anne]
        named = [each["name"] for each in (await client.get("/api/v2/divisions")).json()["data"]]
        assert named == ["General", "VIP"]

    async def test_of_version_1_say_where_their_other_pages_are(
        self, client: httpx.AsyncClient
    ) -> None:
        answer = await client.get("/api/v1/admin/agents", params={"page": 2, "limit": 3})

        page = answer.json()["data"]["agents"]
        assert (page["total"], page["last_page"], page["from"], page["to"]) == (4, 2, 4, 4)
        assert page["next_page_url"] is None
        assert page["prev_page_url"].endswith("?page=1")

    async def test_of_channels_are_grouped_by_their_source(
        self, fake: FakeQiscus, client: httpx.AsyncClient
    ) -> None:
        fake.platform.add_agent(channels=(WHATSAPP, Channel(8, "Fax", "fax")))

        data = (await client.get("/api/v2/channels")).json()["data"]

        assert [each["name"] for each in data["wa_channels"]] == ["WhatsApp"]
        assert [each["id"] for each in data["qiscus_channels"]] == [130821]
        assert [each["name"] for each in data["custom_channels"]] == ["Fax"]
        assert data["line_channels"] == []


class TestFilters:
    @pytest.mark.parametrize(
        ("query", "found"),
        [
            ({"search": "Agent 160001", "scope": "name"}, [160001]),
            ({"search": "no such division", "scope": "division"}, []),
            ({"search": "general", "scope": "division"}, [160001, 160002, 160003]),
            ({"search": "agent.160002@", "scope": "email"}, [160002]),
            ({"search": "160003"}, [160003]),
            ({"user_type_scope": "agent"}, [160001, 160002, 160003]),
            ({"user_type_scope": "admin"}, [ADMIN_ID]),
            ({"search": "", "scope": ""}, [ADMIN_ID, 160001, 160002, 160003]),
        ],
    )
    @pytest.mark.parametrize("paging", ["page", "cursor"])
    async def test_of_agents_are_honoured(
        self,
        fake: FakeQiscus,
        client: httpx.AsyncClient,
        query: dict[str, str],
        found: list[int],
        paging: Any,
    ) -> None:
        fake.platform.switches = evolve(fake.platform.switches, agents_paging=paging)

        assert await ids(client, AGENTS, **query) == found

    @pytest.mark.parametrize(
        "query", [{"scope": "shoe size"}, {"user_type_scope": "robot"}, {"cursor_before": "c1z"}]
    )
    async def test_of_agents_that_are_not_known_are_refused(
        self, client: httpx.AsyncClient, query: dict[str, str]
    ) -> None:
        assert (await client.get(AGENTS, params=query)).status_code == 400

    async def test_of_rooms_are_honoured(self, fake: FakeQiscus, client: httpx.AsyncClient) -> None:
        assigned(fake, "1", 160001)
        fake.customer_message("2")
        tag = await client.post("/api/v1/room_tag/create", json={"room_id": "2", "tag": "vip"})

        served = {"status": "unresolved", "serve_status": "served"}

        assert await rooms(client, json=served) == ["1"]
        assert await rooms(client, json=served | {"is_handled_by_bot": True}) == []
        assert await rooms(client, json=served | {"is_handled_by_bot": False}) == ["1"]
        assert await rooms(client, json={"tag_ids": [tag.json()["data"]["id"]]}) == ["2"]
        assert await rooms(client, json={"tag_ids": [404]}) == []
        assert await rooms(client, json={"status": "all", "tag_ids": None}) == ["2", "1"]

    @pytest.mark.parametrize(
        "text",
        [
            "user_ids=160001",
            "user_ids[]=160001",
            "user_ids%5B%5D=160001&user_ids%5B%5D=404",
            "user_ids[0]=404&user_ids[1]=160001",
            "user_ids=404&user_ids=160001",
        ],
    )
    async def test_of_rooms_by_agent_are_read_in_a_form(
        self, fake: FakeQiscus, client: httpx.AsyncClient, text: str
    ) -> None:
        assigned(fake, "1", 160001)
        assigned(fake, "2", 160002)

        assert await rooms(client, **form(text)) == ["1"]

    @pytest.mark.parametrize(
        "request_",
        [
            {"json": {"cursor_before": "c1z"}},
            {"json": {"serve_status": "resolved"}},
            {"json": {"status": "unserved"}},
            {"json": {"user_ids": ["Anne"]}},
            {"json": {"channels": "wa"}},
            {"json": {"channels": [7]}},
            form("channels[0][channel_id]=7"),
        ],
    )
    async def test_of_rooms_that_are_not_understood_are_refused(
        self, client: httpx.AsyncClient, request_: dict[str, Any]
    ) -> None:
        answer = await client.post(ROOMS, **request_)

        assert answer.status_code == 400
        assert answer.json()["errors"].startswith("FAKE: ")


class TestAllocating:
    async def test_names_the_agent_with_the_fewest_customers_and_assigns_nothing(
        self, fake: FakeQiscus, client: httpx.AsyncClient
    ) -> None:
        assigned(fake, "1", 160001)
        fake.customer_message("2")

        answer = await client.post(ALLOCATE, data={"source": "qiscus"})

        assert differences(answer.json(), a_payload("allocate-agent-01")) == []
        assert answer.json()["data"]["agent"]["id"] == 160002
        assert fake.platform.waiting_rooms() == ["2"]

    async def test_knows_channels_and_who_is_there(
        self, fake: FakeQiscus, client: httpx.AsyncClient
    ) -> None:
        away = fake.platform.add_agent(channels=(WHATSAPP,), online=False)
        wanted = {"source": "wa", "channel_id": "7"}

        nobody = await client.post(ALLOCATE, data=wanted)
        anybody = await client.post(ALLOCATE, data=wanted | {"ignore_availability": "true"})

        assert nobody.status_code == 400
        assert anybody.json()["data"]["agent"]["id"] == away
        assert (await client.post(ALLOCATE, data={})).status_code == 400

    async def test_can_assign_at_once(self, fake: FakeQiscus, client: httpx.AsyncClient) -> None:
        assigned(fake, "1", 160001)
        fake.customer_message("2")

        answer = await client.post(ALLOCATE_ASSIGN, data={"room_id": "2"})
        again = await client.post(ALLOCATE_ASSIGN, data={"room_id": "2"})

        assert differences(answer.json(), a_payload("allocate-assign-agent-01")) == []
        assert answer.json()["data"]["agent"]["count"] == 1
        assert fake.platform.agents_in("2") == (160002,)
        assert again.status_code == 400
        assert (await client.post(ALLOCATE_ASSIGN, data={"room_id": "404"})).status_code == 400


class TestCustomers:
    async def test_have_properties_that_a_post_replaces(
        self, fake: FakeQiscus, client: httpx.AsyncClient
    ) -> None:
        fake.customer_message("1", properties=(("tier", "vip"),))
        language = [{"key": "language", "value": "id"}]

        before = (await client.get(USER_INFO)).json()["data"]["extras"]["user_properties"]
        answer = await client.post(USER_INFO, json={"user_properties": language})
        after = (await client.get(USER_INFO)).json()["data"]["extras"]["user_properties"]

        assert before == [{"key": "tier", "value": "vip"}]
        assert answer.status_code == 200
        assert after == language

    @pytest.mark.parametrize("properties", [None, "tier", [7], [{"value": "vip"}]])
    async def test_refuse_properties_that_are_no_keys_and_values(
        self, fake: FakeQiscus, client: httpx.AsyncClient, properties: Any
    ) -> None:
        fake.customer_message("1")

        answer = await client.post(USER_INFO, json={"user_properties": properties})

        assert answer.status_code == 400

    async def test_are_tagged_once_by_the_same_word(
        self, fake: FakeQiscus, client: httpx.AsyncClient
    ) -> None:
        fake.customer_message("1")
        made = await client.post("/api/v1/room_tag/create", json={"room_id": "1", "tag": "vip"})
        again = await client.post("/api/v2/room_tags/1", data={"tag": "vip"})

        tags = (await client.get("/api/v1/room_tag/1")).json()["data"]

        assert tags == [made.json()["data"]] == [again.json()["data"]]
        assert tags[0]["name"] == "vip"

    async def test_read_what_a_program_writes_and_go_on_waiting(
        self, fake: FakeQiscus, client: httpx.AsyncClient
    ) -> None:
        fake.customer_message("1")
        message = {"sender_email": "bot", "message": "wait", "type": "text", "room_id": "1"}

        answer = await client.post(BOT, json=message)
        async with httpx.AsyncClient(base_url=fake.url) as chat:
            by_sdk = await chat.post(
                BOT, json=message, headers={"QISCUS_SDK_SECRET": "FAKE_SECRET"}
            )
            stranger = await chat.post(BOT, json=message, headers={"QISCUS_SDK_SECRET": "guess"})

        assert (answer.status_code, by_sdk.status_code, stranger.status_code) == (200, 200, 401)
        assert [event.kind for event in fake.platform.log][-2:] == ["bot_message"] * 2
        assert fake.platform.waiting_rooms() == ["1"]

    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("GET", "/api/v1/qiscus/room/404/user_info"),
            ("POST", "/api/v1/qiscus/room/404/user_info"),
            ("GET", "/api/v1/room_tag/404"),
            ("POST", "/api/v2/room_tags/404"),
            ("POST", BOT),
        ],
    )
    async def test_of_an_unknown_room_are_refused(
        self, client: httpx.AsyncClient, method: str, path: str
    ) -> None:
        body = {"user_properties": [], "tag": "vip", "room_id": "404", "message": "hello"}

        answer = await client.request(method, path, json=body)

        assert answer.status_code in {400, 404}
        assert answer.json()["errors"].startswith("FAKE: ")


class TestAnAgentsOwnCalls:
    async def test_take_the_room_that_waits_longest_in_their_channels(
        self, fake: FakeQiscus, client: httpx.AsyncClient
    ) -> None:
        fake.customer_message("1", channel=WHATSAPP)
        for room_id in ("2", "3"):
            fake.customer_message(room_id)
        own = await an_agents_token(client, 160001)

        async with httpx.AsyncClient(base_url=fake.url, headers=own) as agent:
            unserved = (await agent.get("/api/v2/agent/service/total_unserved")).json()["data"]
            taken = await agent.post(TAKE_OVER)
            await agent.post(TAKE_OVER)
            nothing = await agent.post(TAKE_OVER)

        assert unserved["total_unserved"] == 3
        assert taken.json()["data"]["customer_room"]["room_id"] == "2"
        assert nothing.status_code == 400
        assert fake.platform.rooms_of(160001) == ["2", "3"]
        assert {event.by for event in fake.platform.log if event.kind == "assigned"} == {"agent"}

    async def test_give_a_room_to_themselves_or_a_colleague_and_resolve_it(
        self, fake: FakeQiscus, client: httpx.AsyncClient
    ) -> None:
        fake.send_webhooks_to("http://127.0.0.1:9")
        for room_id in ("1", "2"):
            fake.customer_message(room_id)
        own = await an_agents_token(client, 160001)

        async with httpx.AsyncClient(base_url=fake.url, headers=own) as agent:
            available = await ids(agent, "/api/v2/agent/service/available_agents", room_id="1")
            await agent.post(f"{AGENTS_OWN}/assign_agent", data={"room_id": "1"})
            to_another = {"room_id": "2", "agent_id": "160002"}
            await agent.post(f"{AGENTS_OWN}/assign_agent", data=to_another)
            done = await agent.post(f"{AGENTS_OWN}/mark_as_resolved", data={"room_id": "1"})

        assert available == [160001, 160002, 160003]
        assert done.json()["data"]["service"]["user_id"] == 160001
        assert fake.platform.is_resolved("1")
        assert fake.platform.agents_in("2") == (160002,)
        assert [each.kind for each in fake.webhooks.deliveries][-1] == "resolved"

    async def test_need_the_agents_own_token_which_opens_nothing_else(
        self, fake: FakeQiscus, client: httpx.AsyncClient
    ) -> None:
        own = await an_agents_token(client, 160001)

        by_account = await client.post(TAKE_OVER)
        async with httpx.AsyncClient(base_url=fake.url, headers=own) as agent:
            by_agent = await agent.get(AGENTS)
            fake.platform.delete_agent(160001)
            by_nobody = await agent.post(TAKE_OVER)

        assert (by_account.status_code, by_agent.status_code) == (403, 403)
        assert by_nobody.status_code == 401


class TestFromOutside:
    async def test_agents_have_a_kind_divisions_and_channels(
        self, fake: FakeQiscus, client: httpx.AsyncClient
    ) -> None:
        told = await control(
            client,
            "agents",
            name="Sari",
            type="supervisor",
            divisions=["VIP", "General"],
            channels=[{"id": 7, "name": "WhatsApp", "source": "wa"}, 130821],
        )

        (listed,) = (
            await client.get("/api/v1/admin/agents/get_by_ids", params={"ids[]": told["agent_ids"]})
        ).json()["data"]
        shown = (await client.get(f"/api/v2/admin/agent/{told['agent_ids'][0]}")).json()

        assert listed["is_supervisor"] is True
        agent = shown["data"]["agent"]
        assert [each["name"] for each in agent["user_roles"]] == ["VIP", "General"]
        assert [each["id"] for each in agent["user_channels"]] == [7, 130821]
        assert told["agent_ids"][0] not in fake.platform.agent_ids()

    async def test_customers_have_a_channel_a_name_and_properties(
        self, fake: FakeQiscus, client: httpx.AsyncClient
    ) -> None:
        whatsapp = {"id": 7, "name": "WhatsApp", "source": "wa"}
        first = await control(
            client, "message", channel=whatsapp, name="Ani", user_properties={"tier": "vip"}
        )
        second = await control(client, "message", channel=7)

        room = (await client.get(f"{ROOMS}/{first['room_ids'][0]}")).json()["data"]["customer_room"]
        info = await client.get(f"/api/v1/qiscus/room/{first['room_ids'][0]}/user_info")

        assert (room["channel_id"], room["source"], room["name"]) == (7, "wa", "Ani")
        assert info.json()["data"]["extras"]["user_properties"] == [{"key": "tier", "value": "vip"}]
        assert await rooms(client, json={"channels": [{"channel_id": 7}]}) == [
            *second["room_ids"],
            *first["room_ids"],
        ]

    async def test_a_room_can_be_there_before_its_first_message(
        self, client: httpx.AsyncClient
    ) -> None:
        (room_id,) = (await control(client, "rooms", name="Ani"))["room_ids"]

        room = (await client.get(f"{ROOMS}/{room_id}")).json()["data"]["customer_room"]

        assert (room["name"], room["is_waiting"], room["is_resolved"]) == ("Ani", None, False)

    @pytest.mark.parametrize(
        ("path", "wishes", "said"),
        [
            ("agents", {"type": "robot"}, "type is none of admin, agent, supervisor"),
            ("agents", {"channels": [7]}, "no channel 7 yet"),
            ("agents", {"channels": 130821}, "channels is not a list"),
            ("agents", {"divisions": "VIP"}, "divisions is not a list"),
            ("message", {"channel": 7}, "no channel 7 yet"),
            ("message", {"channel": {"name": "WhatsApp"}}, "id"),
            ("message", {"user_properties": ["vip"]}, "user_properties is not a list of keys"),
        ],
    )
    async def test_what_is_not_understood_is_refused_with_a_reason(
        self, client: httpx.AsyncClient, path: str, wishes: Any, said: str
    ) -> None:
        answer = await client.post(f"/_fake/{path}", json=wishes)

        assert answer.status_code == 400
        assert said in answer.json()["error"]

    async def test_a_request_that_does_not_exist_is_told_those_that_do(
        self, client: httpx.AsyncClient
    ) -> None:
        answer = await client.post("/_fake/agent", json={})

        assert answer.status_code == 404
        assert {"POST agents", "GET truth"} <= set(answer.json()["known"])

    async def test_a_fault_for_a_call_that_does_not_exist_is_refused_with_those_that_do(
        self, client: httpx.AsyncClient
    ) -> None:
        answer = await client.post("/_fake/faults", json={"kind": "reset", "operation": "assign"})

        assert answer.status_code == 400
        assert "'assign'" in answer.json()["error"]
        assert all(operation in answer.json()["error"] for operation in OPERATIONS)
