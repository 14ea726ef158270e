"""The floor page over real HTTP: who may see it, what it sends, and how its streams end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from sebastian_adapters.memory.agent_settings import InMemoryAgentSettings
from sebastian_adapters.testing.waiting import until
from sebastian_apps.http.listening import bind
from sebastian_apps.http.serving import make_server
from sebastian_core.domain.agent_loads import AgentLoads
from sebastian_core.domain.errors import StoreUnavailable
from tests.browser.stages import Stage, busy, empty, outage
from tests.webhook_service import WebhookService, parts_in_memory, some_settings, webhook_service

TOKEN = "0123456789abcdef0123456789abcdef"
PAGE_LIMIT = 150_000
STATIC = ("/floor/floor.css", "/floor/floor.js", "/floor/charts.js", "/floor/icon.svg")


def locked(stage: Stage) -> Stage:
    """The same floor behind an admin token."""
    stage.settings = some_settings({"QT_ADMIN_TOKEN": TOKEN})
    return stage


@asynccontextmanager
async def watching(service: WebhookService, **headers: str) -> AsyncIterator[AsyncIterator[str]]:
    """The lines of the event stream."""
    async with service.http.stream("GET", "/floor/events", headers=headers) as answer:
        assert answer.status_code == 200
        yield answer.aiter_lines()


async def next_floor(lines: AsyncIterator[str]) -> dict[str, Any]:
    """The next whole view that comes."""
    async with asyncio.timeout(10):
        async for line in lines:
            if line.startswith("data: {"):
                document: dict[str, Any] = json.loads(line.removeprefix("data: "))
                return document
    raise AssertionError("the stream ended")


async def logged_in(service: WebhookService) -> dict[str, str]:
    """The headers of a browser that logged in."""
    answer = await service.http.post("/floor/login", data={"token": TOKEN})
    assert answer.status_code == 303
    return {"cookie": answer.headers["set-cookie"].partition(";")[0]}


async def proof_of(service: WebhookService, headers: dict[str, str]) -> str:
    """What our page would send along with an action."""
    page = (await service.http.get("/floor", headers=headers)).text
    return page.partition('name="floor-proof" content="')[2].partition('"')[0]


async def test_without_a_token_there_is_no_page() -> None:
    async with webhook_service(parts_in_memory()) as service:
        for path in ("/floor", "/floor/events", "/floor/floor.js"):
            assert (await service.http.get(path)).status_code == 404


async def test_a_stranger_sees_the_login_and_nothing_else() -> None:
    async with webhook_service(locked(await empty()).parts()) as service:
        page = await service.http.get("/floor")
        events = await service.http.get("/floor/events")
        why = await service.http.get("/floor/why?room=1")
        action = await service.http.post("/floor/actions/drop", json={"room": "1"})

        assert page.status_code == 401
        assert "Admin token" in page.text
        assert [each.status_code for each in (events, why, action)] == [401, 401, 401]


async def test_the_login_gives_a_cookie_that_scripts_and_other_sites_never_see() -> None:
    async with webhook_service(locked(await empty()).parts()) as service:
        wrong = await service.http.post("/floor/login", data={"token": "no"})
        right = await service.http.post("/floor/login", data={"token": TOKEN})

        assert wrong.status_code == 401
        assert "set-cookie" not in wrong.headers
        cookie = right.headers["set-cookie"]
        assert TOKEN not in cookie
        assert {"HttpOnly", "SameSite=Strict", "Path=/floor"} <= set(cookie.split("; "))
        assert "Secure" not in cookie
        page = await service.http.get("/floor", headers=await logged_in(service))
        assert page.status_code == 200


async def test_behind_tls_the_cookie_is_for_tls_alone() -> None:
    async with webhook_service(locked(await empty()).parts()) as service:
        answer = await service.http.post(
            "/floor/login", data={"token": TOKEN}, headers={"x-forwarded-proto": "https"}
        )

        assert "Secure" in answer.headers["set-cookie"].split("; ")


@pytest.mark.parametrize("cookie", ["", "x", "99999999999.beef", "1.", "x.y.z"])
async def test_a_cookie_that_we_did_not_make_opens_nothing(cookie: str) -> None:
    async with webhook_service(locked(await empty()).parts()) as service:
        headers = {"cookie": f"sebastian_floor={cookie}"}

        assert (await service.http.get("/floor", headers=headers)).status_code == 401


async def test_the_bearer_token_opens_the_stream_too() -> None:
    stage = locked(await busy())
    bearer = {"authorization": f"Bearer {TOKEN}"}
    async with (
        webhook_service(stage.parts()) as service,
        watching(service, **bearer) as lines,
    ):
        assert (await next_floor(lines))["line"]


async def test_an_open_page_answers_this_machine_and_no_rebound_name() -> None:
    async with webhook_service((await empty()).parts()) as service:
        ours = await service.http.get("/floor")
        theirs = await service.http.get("/floor", headers={"host": "evil.example:80"})
        stream = await service.http.get("/floor/events", headers={"host": "evil.example"})

        assert (ours.status_code, theirs.status_code, stream.status_code) == (200, 404, 401)


async def test_the_page_weighs_less_than_150_kilobytes_and_names_no_other_host() -> None:
    async with webhook_service((await busy()).parts()) as service:
        answers = [await service.http.get(path) for path in ("/floor", *STATIC)]
        async with watching(service) as lines:
            first = json.dumps(await next_floor(lines))

        assert sum(len(answer.content) for answer in answers) + len(first) < PAGE_LIMIT
        policy = answers[0].headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "http" not in policy
        for answer in answers:
            text = answer.text.replace("http://www.w3.org/2000/svg", "")
            assert "http://" not in text
            assert "https://" not in text


async def test_the_busy_floor_is_told_whole() -> None:
    async with webhook_service((await busy()).parts()) as service, watching(service) as lines:
        floor = await next_floor(lines)

    whys = {waiting["waits"] for waiting in floor["line"]}
    assert whys == {"later", "nobody", "doubt"}
    assert [w["place"] for w in floor["line"]] == list(range(1, len(floor["line"]) + 1))
    assert [w["since"] for w in floor["line"]] == sorted(w["since"] for w in floor["line"])
    assert {banner["name"] for banner in floor["banners"]} == {"webhooks-lost", "nobody-free"}
    assert {agent["standing"] for agent in floor["agents"]} == {"full", "paused", "offline"}
    for agent in floor["agents"]:
        assert len(agent["places"]) == agent["load"]
    assert len(floor["minutes"]) == 60
    assert any(decision["why"].startswith("had ") for decision in floor["decisions"])


async def test_in_an_outage_the_page_says_so_and_why_nobody_is_given() -> None:
    async with webhook_service((await outage()).parts()) as service, watching(service) as lines:
        floor = await next_floor(lines)

    assert [banner["name"] for banner in floor["banners"]] == ["worker-platform-down"]
    assert floor["banners"][0]["text"].startswith("Qiscus has not answered ")
    assert {waiting["why"] for waiting in floor["line"]} == {"on hold: Qiscus does not answer"}


async def test_what_changes_comes_by_itself() -> None:
    stage = await empty()
    async with webhook_service(stage.parts()) as service, watching(service) as lines:
        before = await next_floor(lines)
        await stage.arrive("room-new")
        after = await next_floor(lines)

    assert before["numbers"]["waiting"] == 0
    assert [waiting["room"] for waiting in after["line"]] == ["room-new"]


async def test_a_browser_that_comes_back_gets_the_whole_floor_at_once() -> None:
    stage = await empty()
    async with webhook_service(stage.parts()) as service:
        async with watching(service) as lines:
            await next_floor(lines)
        await stage.arrive("while-away")
        headers = {"last-event-id": "whatever"}
        async with watching(service, **headers) as lines:
            floor = await next_floor(lines)

    assert [waiting["room"] for waiting in floor["line"]] == ["while-away"]


class CountedSettings(InMemoryAgentSettings):
    """Counts how often the floor is read."""

    looks = 0

    async def agent_loads(self) -> AgentLoads:
        """See AgentSettings.staffing."""
        self.looks += 1
        return await super().agent_loads()


async def test_fifty_browsers_are_one_reader_and_nobody_looking_is_none() -> None:
    stage = await empty()
    counted = CountedSettings(stage.record)
    async with webhook_service(stage.parts(agent_settings=counted)) as service:
        limits = httpx.Limits(max_connections=60)
        base_url = f"http://127.0.0.1:{service.port}"
        async with httpx.AsyncClient(base_url=base_url, limits=limits) as http:
            answers = [await _open(http) for _ in range(50)]
            for answer in answers:
                await next_floor(answer.aiter_lines())
            looks_of_fifty = counted.looks
            for answer in answers:
                await answer.aclose()
        metrics = "sebastian_floor_watchers 0.0"
        await _until_answered(service, metrics)

    assert looks_of_fifty <= 5


async def test_a_stop_ends_the_streams_at_once() -> None:
    parts = (await empty()).parts()
    (listener,) = bind("127.0.0.1", 0)
    port = listener.getsockname()[1]
    server = make_server(parts)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    await until(lambda: server.started)

    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
        answer = await _open(http)
        lines = answer.aiter_lines()
        await next_floor(lines)
        server.should_exit = True
        async with asyncio.timeout(4):
            rest = [line async for line in lines]
            await serving

    assert rest[-1:] in ([], [""])


class FragileSettings(InMemoryAgentSettings):
    """Can be away."""

    is_away = False

    async def agent_loads(self) -> AgentLoads:
        """See AgentSettings.staffing."""
        if self.is_away:
            raise StoreUnavailable("PostgreSQL", "gone")
        return await super().agent_loads()


async def test_while_the_database_is_away_the_last_floor_stays_under_a_banner() -> None:
    stage = await empty()
    settings = FragileSettings(stage.record)
    await stage.speak()
    parts = stage.parts(agent_settings=settings)
    async with webhook_service(parts) as service, watching(service) as lines:
        before = await next_floor(lines)
        settings.is_away = True
        during = await next_floor(lines)
        settings.is_away = False
        after = await next_floor(lines)

    assert before["banners"] == after["banners"] == []
    assert [banner["name"] for banner in during["banners"]] == ["database-unreachable"]
    assert during["agents"] == before["agents"]


async def test_why_tells_what_the_command_line_tells() -> None:
    stage = await busy()
    waiting = (await stage.room_repo.waiting(1))[0]
    async with webhook_service(stage.parts()) as service:
        told = (await service.http.get(f"/floor/why?room={waiting.room_id}")).json()
        unknown = (await service.http.get("/floor/why?room=nobody-knows")).json()
        unusable = await service.http.get("/floor/why?room=a%20b")

    assert told["waits"]
    assert told["lines"][0].startswith(f"Room {waiting.room_id} waits for an agent: 1st")
    assert unknown["lines"][0] == "Nothing is known of room nobody-knows."
    assert unusable.status_code == 422


@pytest.mark.parametrize("room", ["..", ".", "a/b", "%2e%2e", "a?b#c"])
async def test_why_is_told_of_any_room_whatever_its_id(room: str) -> None:
    stage = await busy()
    async with webhook_service(stage.parts()) as service:
        answer = await service.http.get("/floor/why", params={"room": room})

    assert answer.json()["lines"][0] == f"Nothing is known of room {room}."


async def test_an_action_needs_the_proof_that_only_our_page_can_read() -> None:
    stage = locked(await empty())
    await stage.arrive("room-1")
    async with webhook_service(stage.parts()) as service:
        headers = await logged_in(service)
        proof = await proof_of(service, headers)
        asked = {"room": "room-1"}

        async def drop(**more: str) -> int:
            sent = headers | {name.replace("_", "-"): value for name, value in more.items()}
            answer = await service.http.post("/floor/actions/drop", json=asked, headers=sent)
            return answer.status_code

        assert await drop() == 401
        assert await drop(x_floor_proof="guessed") == 401
        assert await drop(x_floor_proof=proof, origin="https://evil.example") == 401
        host = f"127.0.0.1:{service.port}"
        assert await drop(x_floor_proof=proof, origin=f"ftp://{host}") == 401
        assert await drop(x_floor_proof=proof) == 200
        (row, *_) = await service.history("room-1")
        assert (row.actor, row.reason) == ("page", "taken out by hand")


@pytest.mark.parametrize("body", [b"[" * 60_000, b'{"room":' * 8_000, b"9" * 5_000, b"nothing"])
async def test_what_is_no_json_object_is_told_and_nothing_fails(body: bytes) -> None:
    async with webhook_service((await empty()).parts()) as service:
        headers = {"x-floor-proof": await proof_of(service, {})}

        answer = await service.http.post("/floor/actions/pause", content=body, headers=headers)

        assert answer.status_code in (400, 422)
        assert answer.json()["detail"] == "Send a JSON object."


async def test_an_agent_can_be_paused_and_given_another_capacity() -> None:
    stage = await empty()
    async with webhook_service(stage.parts()) as service:
        headers = {"x-floor-proof": await proof_of(service, {})}

        async def act(name: str, **wanted: object) -> httpx.Response:
            return await service.http.post(f"/floor/actions/{name}", json=wanted, headers=headers)

        assert (await act("pause", agent=1)).json()["done"]
        assert (await act("capacity", agent=1, capacity=7)).json()["done"]
        async with watching(service) as lines:
            agents = {agent["id"]: agent for agent in (await next_floor(lines))["agents"]}
        assert (agents[1]["paused"], agents[1]["capacity"]) == (True, 7)
        assert (await act("resume", agent=1)).json()["done"]
        for refused in (
            await act("capacity", agent=1, capacity=-1),
            await act("capacity", agent=1, capacity="many"),
            await act("pause", agent=True),
            await act("pause", agent=-1),
            await act("pause", agent=0),
            await act("resume", agent=2**63),
            await act("capacity", agent=999, capacity=3),
            await act("explode"),
        ):
            assert refused.status_code == 422


async def test_an_agent_who_is_not_listed_is_refused_with_a_sentence() -> None:
    async with webhook_service((await empty()).parts()) as service:
        headers = {"x-floor-proof": await proof_of(service, {})}

        url, wanted = "/floor/actions/pause", {"agent": 999}
        refused = await service.http.post(url, json=wanted, headers=headers)

        assert refused.status_code == 422
        assert refused.json()["detail"] == "agent 999 is not in the list of Qiscus."


async def test_the_default_capacity_of_all_agents_can_be_changed_and_taken_back() -> None:
    stage = await empty()
    async with webhook_service(stage.parts()) as service:
        headers = {"x-floor-proof": await proof_of(service, {})}

        async def act(capacity: object) -> httpx.Response:
            url, wanted = "/floor/actions/default-capacity", {"capacity": capacity}
            return await service.http.post(url, json=wanted, headers=headers)

        async def seen() -> tuple[int, int]:
            async with watching(service) as lines:
                floor = await next_floor(lines)
            agents = {agent["id"]: agent for agent in floor["agents"]}
            return floor["default_capacity"], agents[1]["capacity"]

        before = await seen()
        assert (await act(7)).json()["done"]
        assert await seen() == (7, 7)
        assert (await act(None)).json()["done"]
        assert await seen() == before
        assert (await act("many")).status_code == 422


async def _open(http: httpx.AsyncClient) -> httpx.Response:
    request = http.build_request("GET", "/floor/events", timeout=20)
    return await http.send(request, stream=True)


async def _until_answered(service: WebhookService, wanted: str) -> None:
    async with asyncio.timeout(10):
        while wanted not in (await service.http.get("/metrics")).text:
            await asyncio.sleep(0.02)
