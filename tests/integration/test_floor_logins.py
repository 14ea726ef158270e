"""Logins of the floor page over real HTTP: whose they are, and how they end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from sebastian_adapters.memory.clock import InMemoryClock
from sebastian_adapters.memory.ended_logins import InMemoryEndedLogins
from sebastian_adapters.postgres.migrate import migrate
from sebastian_adapters.testing.waiting import until
from sebastian_apps.dev.servers import EmbeddedPostgres
from sebastian_apps.http.auth.logins import ASK_SECONDS, Login, Logins
from sebastian_apps.http.parts import WebhookParts
from sebastian_apps.wiring import build_webhook
from sebastian_core.domain.errors import StoreUnavailable
from tests.browser.stages import empty
from tests.webhook_service import WebhookService, some_settings, webhook_service

TOKEN = "0123456789abcdef0123456789abcdef"
OF_SARI = "fedcba9876543210fedcba9876543210"
EVERYWHERE_SECONDS = 10.0
"""Within about a second a logout holds in every process; the rest is for a slow machine."""

ENVIRON = {"QT_ADMIN_TOKEN": TOKEN, "QT_ADMIN_TOKENS": f"sari={OF_SARI}"}


class EndedLoginsAway(InMemoryEndedLogins):
    """A store that can be away."""

    is_away = False

    async def end(self, login: str, until: datetime) -> None:
        """See EndedLogins.end."""
        self._raise_if_away()
        await super().end(login, until)

    async def among(self, logins: Collection[str]) -> frozenset[str]:
        """See EndedLogins.among."""
        self._raise_if_away()
        return await super().among(logins)

    def _raise_if_away(self) -> None:
        if self.is_away:
            raise StoreUnavailable("PostgreSQL", "gone")


class EndedLoginsThatHang(InMemoryEndedLogins):
    """A store that answers when it is told to."""

    def __init__(self) -> None:
        super().__init__(InMemoryClock(datetime.now(UTC)))
        self.is_asked, self.may_answer = asyncio.Event(), asyncio.Event()

    async def among(self, logins: Collection[str]) -> frozenset[str]:
        """See EndedLogins.among."""
        self.is_asked.set()
        await self.may_answer.wait()
        return await super().among(logins)


def a_store() -> EndedLoginsAway:
    """Ended logins in memory, which several services may share."""
    return EndedLoginsAway(InMemoryClock(datetime.now(UTC)))


async def parts(store: EndedLoginsAway | None = None) -> WebhookParts:
    """A floor behind two tokens, with a room that waits."""
    stage = await empty()
    stage.settings = some_settings(ENVIRON)
    await stage.arrive("room-1")
    return stage.parts(ended_logins=store or a_store())


async def cookie_of(service: WebhookService, token: str = TOKEN) -> dict[str, str]:
    """The headers of a browser that logged in with this token."""
    answer = await service.http.post("/floor/login", data={"token": token})
    assert answer.status_code == 303
    service.http.cookies.clear()
    return {"cookie": answer.headers["set-cookie"].partition(";")[0]}


async def proof_of(service: WebhookService, cookie: dict[str, str]) -> str:
    """What our page sends along with each change."""
    page = (await service.http.get("/floor", headers=cookie)).text
    return page.partition('name="floor-proof" content="')[2].partition('"')[0]


async def log_out(service: WebhookService, cookie: dict[str, str]) -> httpx.Response:
    """Press "Log out" on our page."""
    proof = await proof_of(service, cookie)
    form = {"proof": proof}
    answer = await service.http.post("/floor/logout", data=form, headers=cookie)
    service.http.cookies.clear()
    return answer


async def seen(service: WebhookService, cookie: dict[str, str]) -> int:
    """The status of the page."""
    return (await service.http.get("/floor", headers=cookie)).status_code


async def until_seen(service: WebhookService, cookie: dict[str, str], status: int) -> None:
    """Look at the page until it has this status."""
    async with asyncio.timeout(EVERYWHERE_SECONDS):
        while await seen(service, cookie) != status:
            await asyncio.sleep(0.05)


@asynccontextmanager
async def open_stream(
    service: WebhookService, headers: dict[str, str]
) -> AsyncIterator[AsyncIterator[str]]:
    """The lines of an event stream that has begun."""
    async with service.http.stream("GET", "/floor/events", headers=headers) as answer:
        assert answer.status_code == 200
        lines = answer.aiter_lines()
        await next_floor(lines)
        yield lines


async def next_floor(lines: AsyncIterator[str]) -> None:
    """Read on until a floor has come."""
    async with asyncio.timeout(EVERYWHERE_SECONDS):
        async for line in lines:
            if line.startswith("data: {"):
                return
    raise AssertionError("the stream ended")


async def ends(lines: AsyncIterator[str]) -> None:
    """Read to the end of the stream; fail if it has none."""
    async with asyncio.timeout(EVERYWHERE_SECONDS):
        async for _ in lines:
            pass


@pytest.mark.parametrize(
    ("token", "by_page", "by_api"), [(TOKEN, "page", "page"), (OF_SARI, "page:sari", "api:sari")]
)
async def test_the_history_says_whose_token_it_was(token: str, by_page: str, by_api: str) -> None:
    async with webhook_service(await parts()) as service:
        cookie = await cookie_of(service, token)
        proof = {"x-floor-proof": await proof_of(service, cookie)}
        bearer = {"authorization": f"Bearer {token}"}

        for name, headers in (("pause", cookie | proof), ("resume", bearer)):
            url = f"/floor/actions/{name}"
            done = await service.http.post(url, json={"agent": 1}, headers=headers)
            assert done.json()["done"]

        newest, before = await service.parts.allocator.agent_settings.setting_changes(2)
        assert (before.actor, newest.actor) == (by_page, by_api)


async def test_the_token_of_one_does_not_make_the_cookie_of_another() -> None:
    async with webhook_service(await parts()) as service:
        cookie = await cookie_of(service, OF_SARI)
        as_unnamed = {"cookie": cookie["cookie"].removesuffix("sari")}

        assert cookie["cookie"].endswith(".sari")
        assert await seen(service, cookie) == 200
        assert await seen(service, as_unnamed) == 401


async def test_who_logs_out_is_out_at_once_whatever_copies_of_the_cookie_there_are() -> None:
    async with webhook_service(await parts()) as service:
        cookie, other = await cookie_of(service), await cookie_of(service)

        answer = await log_out(service, cookie)

        assert answer.status_code == 303
        assert "Max-Age=0" in answer.headers["set-cookie"]
        assert await seen(service, cookie) == 401
        assert (await service.http.get("/floor/events", headers=cookie)).status_code == 401
        assert await seen(service, other) == 200


async def test_a_logout_holds_in_the_other_processes_too() -> None:
    store = a_store()
    async with (
        webhook_service(await parts(store)) as one,
        webhook_service(await parts(store)) as another,
    ):
        cookie = await cookie_of(one)
        assert await seen(another, cookie) == 200
        async with open_stream(another, cookie) as lines:
            await log_out(one, cookie)

            await ends(lines)
        await until_seen(another, cookie, 401)


async def test_a_logout_ends_the_streams_of_that_login_and_no_other() -> None:
    async with webhook_service(await parts()) as service:
        cookie, other = await cookie_of(service), await cookie_of(service)
        bearer = {"authorization": f"Bearer {TOKEN}"}
        async with (
            open_stream(service, cookie) as ending,
            open_stream(service, other) as of_other,
            open_stream(service, bearer) as of_bearer,
        ):
            await log_out(service, cookie)

            await ends(ending)
            await service.http.post("/floor/actions/pause", json={"agent": 1}, headers=bearer)
            await next_floor(of_other)
            await next_floor(of_bearer)


async def test_a_stream_ends_with_its_cookie(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sebastian_apps.http.auth.session.LASTS_SECONDS", 2)
    async with webhook_service(await parts()) as service:
        cookie = await cookie_of(service)

        async with open_stream(service, cookie) as lines:
            await ends(lines)

        assert await seen(service, cookie) == 401


@pytest.mark.parametrize("form", [{}, {"proof": ""}, {"proof": "guessed"}])
async def test_a_form_of_another_site_logs_nobody_out(form: dict[str, str]) -> None:
    async with webhook_service(await parts()) as service:
        cookie = await cookie_of(service)
        from_elsewhere = cookie | {"origin": "https://evil.example"}

        with_cookie = await service.http.post("/floor/logout", data=form, headers=from_elsewhere)
        without = await service.http.post("/floor/logout", data=form)

        assert with_cookie.status_code == 401
        assert (without.status_code, without.headers["location"]) == (303, "/floor")
        assert "set-cookie" not in with_cookie.headers.keys() | without.headers.keys()
        assert await seen(service, cookie) == 200


async def test_the_proof_of_one_login_does_not_end_another() -> None:
    async with webhook_service(await parts()) as service:
        mine, theirs = await cookie_of(service), await cookie_of(service, OF_SARI)
        form = {"proof": await proof_of(service, mine)}

        answer = await service.http.post("/floor/logout", data=form, headers=theirs)

        assert answer.status_code == 401
        assert await seen(service, theirs) == 200


async def test_while_the_database_is_away_people_stay_and_a_logout_says_that_it_failed() -> None:
    store = a_store()
    async with webhook_service(await parts(store)) as service:
        cookie = await cookie_of(service)
        gone = await cookie_of(service)
        await log_out(service, gone)
        proof = await proof_of(service, cookie)
        store.is_away = True

        answer = await service.http.post("/floor/logout", data={"proof": proof}, headers=cookie)

        assert answer.status_code == 503
        assert "set-cookie" not in answer.headers
        assert await seen(service, cookie) == 200
        assert await seen(service, gone) == 401
        store.is_away = False
        assert (await log_out(service, cookie)).status_code == 303
        assert await seen(service, cookie) == 401


class CountedStore(EndedLoginsAway):
    """Counts how often it is asked."""

    questions = 0

    async def among(self, logins: Collection[str]) -> frozenset[str]:
        """See EndedLogins.among."""
        self.questions += 1
        return await super().among(logins)


async def test_twenty_open_pages_are_one_question_a_second() -> None:
    store = CountedStore(InMemoryClock(datetime.now(UTC)))
    async with webhook_service(await parts(store)) as service:
        cookies = [await cookie_of(service) for _ in range(20)]
        base_url = f"http://127.0.0.1:{service.port}"
        async with httpx.AsyncClient(base_url=base_url, timeout=20) as http:
            requests = [http.build_request("GET", "/floor/events", headers=c) for c in cookies]
            answers = [await http.send(each, stream=True) for each in requests]
            loop = asyncio.get_running_loop()
            before, began = store.questions, loop.time()
            await until(lambda: store.questions >= before + 3)
            took = loop.time() - began
            for answer in answers:
                await answer.aclose()

    assert took > 1.9 * ASK_SECONDS


async def test_two_real_services_share_what_was_ended(own_postgres: EmbeddedPostgres) -> None:
    url = own_postgres.url
    await migrate(url)
    database = {"QT_DB_CONNECTION_STRING": url, "QT_REDIS_URL": "redis://127.0.0.1:1"}
    settings = some_settings({**ENVIRON, **database, "QT_QISCUS_SECRET_KEY": "secret-key"})
    async with (
        webhook_service(build_webhook(settings)) as one,
        webhook_service(build_webhook(settings)) as another,
    ):
        cookie = await cookie_of(one, OF_SARI)
        assert await seen(another, cookie) == 200

        assert (await log_out(one, cookie)).status_code == 303

        assert await seen(one, cookie) == 401
        await until_seen(another, cookie, 401)
    async with webhook_service(build_webhook(settings)) as started_later:
        assert await seen(started_later, cookie) == 401
        own_postgres.stop()
        assert await seen(started_later, cookie) == 401


async def test_a_question_that_was_given_up_is_asked_again() -> None:
    store = EndedLoginsThatHang()
    over_at = datetime.now(UTC) + timedelta(hours=1)
    login = Login("0" * 24, int(over_at.timestamp()))
    await store.end(login.id, over_at)
    logins = Logins(store)

    gone = asyncio.create_task(logins.is_over(login))
    await store.is_asked.wait()
    gone.cancel()
    store.may_answer.set()

    assert await logins.is_over(login)
