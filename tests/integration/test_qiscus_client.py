"""The Qiscus client over real HTTP: against the fake platform, and against servers gone mad."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from sebastian_adapters.memory.clock import InMemoryClock
from sebastian_adapters.memory.platform import FakeAccount, Platform, Switches
from sebastian_adapters.qiscus.client import HttpxQiscusClient
from sebastian_adapters.qiscus.lane import ANSWER_LIMIT_BYTES
from sebastian_adapters.testing.contracts.qiscus_client import (
    Delay,
    Pacer,
    QiscusClientContract,
    a_waiting_room,
    an_agent,
)
from sebastian_adapters.testing.waiting import until
from sebastian_apps.fake_qiscus import FakeConfig, FakeQiscus, InjectedFault, serve
from sebastian_core.domain.errors import Fault as Why
from sebastian_core.domain.errors import InvalidInput, PlatformRefused, PlatformUnavailable
from sebastian_core.domain.ids import AgentId, RoomId
from sebastian_core.domain.in_doubt import RoomState
from sebastian_core.domain.platform import Answer
from tests.raw_http import (
    RawRequest,
    RawServer,
    Respond,
    answer,
    answering,
    in_turn,
    raw_server,
    reset,
)

ACCOUNT = FakeAccount()
ROOM, AGENT = RoomId("273683234"), AgentId(160001)
CERTIFICATE = Path(__file__).parents[1] / "certificates" / "localhost.pem"
A_ROOM = {"data": {"customer_room": {"room_id": ROOM, "is_resolved": False, "is_waiting": True}}}
ASSIGNED = {"data": {"added_agent": {"id": AGENT}}}
Heard = list[tuple[str, str]]


@pytest.fixture
def clock() -> InMemoryClock:
    return InMemoryClock(datetime.now(UTC))


@pytest.fixture
async def fake() -> AsyncIterator[FakeQiscus]:
    async with serve(FakeConfig()) as fake:
        yield fake


@pytest.fixture
def platform(fake: FakeQiscus) -> Platform:
    return fake.platform


@pytest.fixture
async def client(fake: FakeQiscus, clock: InMemoryClock) -> AsyncIterator[HttpxQiscusClient]:
    async with a_client(fake.url, clock=clock) as client:
        yield client


@pytest.fixture
def delay(fake: FakeQiscus) -> Delay:
    def delay(seconds: float) -> None:
        fake.add_fault(InjectedFault(kind="latency", seconds=seconds))

    return delay


class TestHttpxQiscusClient(QiscusClientContract):
    """Over HTTP, against the fake platform."""


class TestFaultsOfThePlatform:
    """What the fake platform does when told to misbehave."""

    @pytest.mark.parametrize("as_date", [False, True])
    async def test_too_many_requests_tells_when_to_come_back_and_applied_nothing(
        self, fake: FakeQiscus, client: HttpxQiscusClient, as_date: bool
    ) -> None:
        agent_id, room_id = an_agent(fake.platform), a_waiting_room(fake.platform)
        fake.add_fault(
            InjectedFault(
                kind="status", status=429, retry_after_seconds=30, retry_after_as_date=as_date
            )
        )

        error = await unavailable(client.assign(room_id, agent_id))

        assert (error.fault, error.status) == (Why.THROTTLED, 429)
        assert error.surely_not_applied
        assert error.retry_after_seconds is not None
        assert 25 <= error.retry_after_seconds <= 31

    @pytest.mark.parametrize("is_applied", [False, True])
    async def test_a_server_error_leaves_open_whether_it_was_applied(
        self, fake: FakeQiscus, client: HttpxQiscusClient, is_applied: bool
    ) -> None:
        agent_id, room_id = an_agent(fake.platform), a_waiting_room(fake.platform)
        fake.add_fault(InjectedFault(kind="status", status=503, is_applied=is_applied))

        error = await unavailable(client.assign(room_id, agent_id))

        assert (error.fault, error.status) == (Why.SERVER_ERROR, 503)
        assert not error.surely_not_applied
        assert bool(fake.platform.agents_in(room_id)) is is_applied

    @pytest.mark.parametrize("is_applied", [False, True])
    async def test_a_reset_of_an_assign_is_told_and_never_repeated(
        self, fake: FakeQiscus, client: HttpxQiscusClient, is_applied: bool
    ) -> None:
        agent_id, room_id = an_agent(fake.platform), a_waiting_room(fake.platform)
        fake.add_fault(InjectedFault(kind="reset", is_applied=is_applied))

        error = await unavailable(client.assign(room_id, agent_id))

        assert error.fault is Why.BROKEN
        assert not error.surely_not_applied
        assert fake.calls["assign_agent reset"] == 1

    async def test_answers_that_come_twice_are_told_of_no_other_call(
        self, fake: FakeQiscus, clock: InMemoryClock
    ) -> None:
        agents = [an_agent(fake.platform) for _ in range(50)]
        rooms = [a_waiting_room(fake.platform) for _ in range(50)]
        fake.add_fault(InjectedFault(kind="twice", operation="assign_agent"))
        async with a_client(fake.url, clock=clock, in_flight=2) as client:
            answers = await asyncio.gather(
                *(client.assign(*pair) for pair in zip(rooms, agents, strict=True)),
                return_exceptions=True,
            )

        told = [each.agent_id if isinstance(each, Answer) else None for each in answers]
        assert all(named in (None, sent) for named, sent in zip(told, agents, strict=True))
        assert not any(isinstance(each, PlatformRefused) for each in answers)

    async def test_a_read_survives_one_broken_connection(
        self, fake: FakeQiscus, client: HttpxQiscusClient
    ) -> None:
        room_id = a_waiting_room(fake.platform)
        fake.add_fault(InjectedFault(kind="reset", count=1))

        reading = await client.room(room_id)

        assert reading.seen.state is RoomState.WAITING

    async def test_a_read_does_not_survive_two(
        self, fake: FakeQiscus, client: HttpxQiscusClient
    ) -> None:
        fake.add_fault(InjectedFault(kind="reset", count=2))

        error = await unavailable(client.waiting_rooms(Pacer()))

        assert error.fault is Why.BROKEN

    async def test_silence_ends_with_the_timeout_and_the_next_call_works(
        self, fake: FakeQiscus, clock: InMemoryClock
    ) -> None:
        agent_id, room_id = an_agent(fake.platform), a_waiting_room(fake.platform)
        fake.add_fault(InjectedFault(kind="silence", count=1, is_applied=True))
        async with a_client(fake.url, clock=clock, timeout=0.6, in_flight=1) as client:
            error = await unavailable(client.assign(room_id, agent_id))

            again = await client.assign(room_id, agent_id)

        assert error.fault is Why.TIMEOUT
        assert not error.surely_not_applied
        assert again.agent_id == agent_id

    @pytest.mark.parametrize("rubbish", ["html", "empty", "other_shape", "truncated", "number"])
    async def test_an_answer_of_another_shape_is_unreadable_and_leaves_open_what_was_applied(
        self, fake: FakeQiscus, client: HttpxQiscusClient, rubbish: str
    ) -> None:
        fake.add_fault(InjectedFault(kind="rubbish", rubbish=rubbish))
        asked = (
            client.agents(Pacer()),
            client.eligible_agents(ROOM, AGENT),
            client.assign(ROOM, AGENT),
            client.room(ROOM),
            client.waiting_rooms(Pacer()),
            client.rooms_of(AGENT, Pacer()),
            client.register_webhooks("https://a.example.test", "https://b.example.test"),
        )

        errors = [await unavailable(each) for each in asked]

        assert {error.fault for error in errors} == {Why.UNREADABLE}
        assert not any(error.surely_not_applied for error in errors)

    @pytest.mark.parametrize("shape", ["text", "object", "list"])
    async def test_a_refusal_says_why_whatever_its_shape(
        self, fake: FakeQiscus, client: HttpxQiscusClient, shape: str
    ) -> None:
        fake.platform.switches = Switches(errors_shape=shape)  # type: ignore[arg-type]

        error = await refused(client.assign(ROOM, AGENT))

        assert (error.status, error.detail) == (400, "FAKE: room or agent not found")

    async def test_a_wrong_secret_is_a_refusal_that_may_concern_the_whole_account(
        self, fake: FakeQiscus, clock: InMemoryClock
    ) -> None:
        async with a_client(fake.url, clock=clock, secret_key="WRONG_SECRET") as client:
            error = await refused(client.account())

        assert error.status == 401
        assert error.about_credentials

    async def test_a_page_that_fails_fails_the_listing(
        self, fake: FakeQiscus, clock: InMemoryClock
    ) -> None:
        fake.platform.switches = Switches(page_size_limit=10)
        for _ in range(25):
            an_agent(fake.platform)
        calls: list[str] = []

        async def fail_from_the_third_page_on() -> None:
            calls.append("page")
            if len(calls) == 3:
                fake.add_fault(InjectedFault(kind="status", status=500))

        async with a_client(fake.url, clock=clock) as client:
            error = await unavailable(client.agents(fail_from_the_third_page_on))

        assert error.fault is Why.SERVER_ERROR

    async def test_nobody_at_that_address_means_that_nothing_was_sent(
        self, fake: FakeQiscus, clock: InMemoryClock
    ) -> None:
        url = fake.url
        await fake.stop()
        async with a_client(url, clock=clock) as client:
            error = await unavailable(client.assign(ROOM, AGENT))

        assert error.fault is Why.CONNECT
        assert error.surely_not_applied

    async def test_a_name_that_does_not_exist_means_that_nothing_was_sent(
        self, clock: InMemoryClock
    ) -> None:
        async with a_client("http://nowhere.invalid", clock=clock) as client:
            error = await unavailable(client.assign(ROOM, AGENT))

        assert error.fault is Why.CONNECT


class TestCredentials:
    """The secret key first; a login only where the key is refused."""

    async def test_what_the_secret_may_not_do_is_done_with_a_login(
        self, fake: FakeQiscus, clock: InMemoryClock
    ) -> None:
        fake.platform.switches = Switches(webhook_registration="token")
        async with a_client(fake.url, clock=clock, **LOGIN) as client:
            told = await client.register_webhooks(
                "https://a.example.test", "https://b.example.test"
            )

        assert [each.confirmed for each in told] == [True, True]
        assert fake.calls["auth 200"] == 1
        assert fake.calls["register_allocation 403"] == 1
        assert fake.calls["register_resolved 403"] == 0

    async def test_without_a_login_the_refusal_is_told_for_each_webhook(
        self, fake: FakeQiscus, client: HttpxQiscusClient
    ) -> None:
        fake.platform.switches = Switches(webhook_registration="token")

        told = await client.register_webhooks("https://a.example.test", "https://b.example.test")

        assert [each.confirmed for each in told] == [False, False]
        assert "403" in told[0].detail

    async def test_a_token_that_ran_out_is_renewed(
        self, fake: FakeQiscus, clock: InMemoryClock
    ) -> None:
        fake.platform.switches = Switches(profile_shows_app=True)
        async with a_client(fake.url, clock=clock, secret_key="WRONG", **LOGIN) as client:
            await client.account()
            fake.platform.app.log_out_everybody()
            clock.advance(61)

            account = await client.account()

        assert account.app_code == ACCOUNT.app_code
        assert fake.calls["auth 200"] == 2

    async def test_a_login_in_vain_is_not_repeated_with_every_call(
        self, fake: FakeQiscus, clock: InMemoryClock
    ) -> None:
        wrong: dict[str, Any] = {"email": ACCOUNT.admin_email, "password": "WRONG"}
        async with a_client(fake.url, clock=clock, secret_key="WRONG", **wrong) as client:
            errors = [await refused(client.account()) for _ in range(3)]
            clock.advance(61)
            await refused(client.account())

        assert {error.status for error in errors} == {401}
        assert fake.calls["auth 401"] == 2

    async def test_many_calls_that_need_a_login_share_one(
        self, fake: FakeQiscus, clock: InMemoryClock
    ) -> None:
        async with a_client(fake.url, clock=clock, secret_key="WRONG", **LOGIN) as client:
            await asyncio.gather(*(client.account() for _ in range(10)))

        assert fake.calls["auth 200"] == 1

    @pytest.mark.parametrize("secret", ["", "with space", "line\nbreak", "häßlich"])
    async def test_a_secret_that_fits_into_no_header_is_told_without_being_shown(
        self, clock: InMemoryClock, secret: str
    ) -> None:
        with pytest.raises(InvalidInput) as invalid:
            a_client("http://localhost", clock=clock, secret_key=secret)

        assert invalid.value.field == "qiscus.secret_key"
        assert not secret or secret not in str(invalid.value)

    async def test_secrets_never_show(
        self, fake: FakeQiscus, clock: InMemoryClock, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        fake.platform.switches = Switches(webhook_registration="token")
        async with a_client(fake.url, clock=clock, **LOGIN) as client:
            await client.register_webhooks("https://a.example.test/T1", "https://b.example.test/T2")
            shown = f"{client!r} {vars(client)!r}"

        everything = shown + "".join(record.getMessage() for record in caplog.records)
        for secret in (ACCOUNT.secret_key, ACCOUNT.admin_password, ACCOUNT.admin_email):
            assert secret not in everything


class TestServersGoneMad:
    """Answers that only a raw server gives."""

    async def test_an_answer_cut_off_in_the_middle_is_broken(self, clock: InMemoryClock) -> None:
        async def cut_off(_: RawRequest, writer: asyncio.StreamWriter) -> None:
            writer.write(answer(ASSIGNED)[:-5])
            writer.close()

        async with asking(cut_off, clock) as (client, server):
            error = await unavailable(client.assign(ROOM, AGENT))

        assert error.fault is Why.BROKEN
        assert len(server.requests) == 1

    async def test_no_http_at_all_is_broken(self, clock: InMemoryClock) -> None:
        async def greet(_: RawRequest, writer: asyncio.StreamWriter) -> None:
            writer.write(b"220 mail.example.test ESMTP\r\n\r\n")

        async with asking(greet, clock) as (client, _):
            error = await unavailable(client.assign(ROOM, AGENT))

        assert error.fault is Why.BROKEN

    async def test_a_body_that_drips_ends_with_the_whole_call_s_timeout(
        self, clock: InMemoryClock
    ) -> None:
        async def drip(_: RawRequest, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")
            while not writer.is_closing():
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.01)

        responds = in_turn(drip, answering(ASSIGNED))
        async with asking(responds, clock, timeout=0.6, in_flight=1) as (client, server):
            error = await unavailable(client.assign(ROOM, AGENT))
            again = await client.assign(ROOM, AGENT)

        assert error.fault is Why.TIMEOUT
        assert again.agent_id == AGENT
        assert server.connections == 2

    async def test_an_assign_on_a_kept_connection_that_closes_unanswered_is_not_repeated(
        self, clock: InMemoryClock
    ) -> None:
        responds = in_turn(answering(ASSIGNED), closing, answering(ASSIGNED))
        async with asking(responds, clock) as (client, server):
            await client.assign(ROOM, AGENT)
            error = await unavailable(client.assign(ROOM, AGENT))

        assert error.fault is Why.BROKEN
        assert [request.connection for request in server.requests] == [0, 0]

    async def test_a_read_on_a_kept_connection_that_closes_unanswered_is_repeated_once(
        self, clock: InMemoryClock
    ) -> None:
        responds = in_turn(answering(A_ROOM), closing, answering(A_ROOM))
        async with asking(responds, clock) as (client, server):
            await client.room(ROOM)
            reading = await client.room(ROOM)

        assert reading.seen.state is RoomState.WAITING
        assert [request.connection for request in server.requests] == [0, 0, 1]

    async def test_an_endless_body_is_unreadable(self, clock: InMemoryClock) -> None:
        async def flood(_: RawRequest, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n")
            for _megabyte in range(2 * ANSWER_LIMIT_BYTES // 2**20):
                writer.write(b" " * 2**20)
                await writer.drain()

        async with asking(in_turn(flood, answering(A_ROOM)), clock, in_flight=1) as (client, _):
            error = await unavailable(client.assign(ROOM, AGENT))
            reading = await client.room(ROOM)

        assert error.fault is Why.UNREADABLE
        assert reading.seen.state is RoomState.WAITING

    @pytest.mark.parametrize(
        ("body", "headers"),
        [
            (b"", {}),
            (b"\xff\xfe{", {}),
            (b"[" * 100_000, {}),
            (b"null", {}),
            (b'{"data": null}', {}),
            (b'{"data": []}', {}),
            (b'{"errors": "no"}', {}),
            (b"not gzip", {"content_encoding": "gzip"}),
        ],
    )
    async def test_a_2xx_that_holds_no_assignment_is_unreadable(
        self, clock: InMemoryClock, body: bytes, headers: dict[str, Any]
    ) -> None:
        async with asking(answering(body, **headers), clock) as (client, _):
            error = await unavailable(client.assign(ROOM, AGENT))

        assert error.fault is Why.UNREADABLE

    async def test_a_compressed_answer_was_not_asked_for_and_is_not_read(
        self, clock: InMemoryClock
    ) -> None:
        body = gzip.compress(json.dumps(ASSIGNED).encode())
        async with asking(answering(body, content_encoding="gzip"), clock) as (client, server):
            error = await unavailable(client.assign(ROOM, AGENT))

        assert error.fault is Why.UNREADABLE
        assert server.requests[0].headers["accept-encoding"] == "identity"

    async def test_a_redirect_is_not_followed(self, clock: InMemoryClock) -> None:
        moved = answering(b"", 302, location="https://elsewhere.example.test/")
        async with asking(moved, clock) as (client, server):
            error = await unavailable(client.assign(ROOM, AGENT))

        assert (error.fault, error.status) == (Why.UNREADABLE, 302)
        assert len(server.requests) == 1

    async def test_a_404_that_is_not_the_platform_s_own_word_does_not_make_a_room_gone(
        self, clock: InMemoryClock
    ) -> None:
        async with asking(answering(b"<h1>Not Found</h1>", 404), clock) as (client, _):
            error = await unavailable(client.room(ROOM))

        assert (error.fault, error.status) == (Why.UNREADABLE, 404)

    async def test_an_answer_about_another_room_is_unreadable(self, clock: InMemoryClock) -> None:
        async with asking(answering(A_ROOM), clock) as (client, _):
            error = await unavailable(client.room(RoomId("1")))

        assert error.fault is Why.UNREADABLE

    async def test_a_list_that_never_ends_ends(self, clock: InMemoryClock) -> None:
        page = {"data": [{"id": 1, "is_available": True}], "meta": {"after": "again"}}
        async with asking(answering(page), clock) as (client, server):
            reading = await client.agents(Pacer())

        assert [presence.agent_id for presence in reading.seen] == [1]
        assert len(server.requests) == 2

    async def test_a_refusal_is_told_in_one_short_line_without_secrets(
        self, clock: InMemoryClock
    ) -> None:
        text = f"key {ACCOUNT.secret_key} of\n{ACCOUNT.admin_email} refused " + "x" * 500
        async with asking(answering({"errors": {"message": text}}, 400), clock) as (client, _):
            error = await refused(client.assign(ROOM, AGENT))

        assert error.detail.startswith("key *** of *** refused xxx")
        assert len(error.detail) == 200

    async def test_a_refused_registration_does_not_show_the_url_s_token(
        self, clock: InMemoryClock
    ) -> None:
        def echo(request: RawRequest) -> bytes:
            return answer({"errors": f"cannot take {request.body.decode()}"}, 422)

        async def respond(request: RawRequest, writer: asyncio.StreamWriter) -> None:
            writer.write(echo(request))

        async with asking(respond, clock) as (client, _):
            told = await client.register_webhooks("https://a.test/TOKEN1", "https://b.test/TOKEN2")

        assert [each.confirmed for each in told] == [False, False]
        assert "TOKEN" not in told[0].detail + told[1].detail
        assert "422" in told[0].detail

    async def test_a_registration_that_shows_another_url_is_not_confirmed(
        self, clock: InMemoryClock
    ) -> None:
        app = {"data": {"allocate_agent_webhook_url": "https://a.test/other"}}
        async with asking(answering(app), clock) as (client, _):
            told = await client.register_webhooks("https://a.test/mine", "https://b.test/mine")

        assert [each.confirmed for each in told] == [False, False]
        assert told[0].detail

    async def test_cookies_are_not_kept(self, clock: InMemoryClock) -> None:
        async with asking(answering(A_ROOM, set_cookie="a=b"), clock) as (client, server):
            await client.room(ROOM)
            await client.room(ROOM)

        assert "cookie" not in server.requests[1].headers

    @pytest.mark.parametrize(
        ("room_id", "path"),
        [
            ("..", "%2E%2E"),
            (".", "%2E"),
            ("a/b", "a%2Fb"),
            ("a?b#c", "a%3Fb%23c"),
            ("%2e%2e", "%252e%252e"),
            ("häuser", "h%C3%A4user"),
        ],
    )
    async def test_a_room_is_asked_for_by_its_own_id_whatever_that_is(
        self, clock: InMemoryClock, room_id: str, path: str
    ) -> None:
        async with asking(answering({}, 404), clock) as (client, server):
            await client.room(RoomId(room_id))

        assert server.requests[0].line == f"GET /api/v2/customer_rooms/{path} HTTP/1.1"

    @pytest.mark.parametrize("cursor", ["\ud800", "x" * 100_000])
    async def test_a_cursor_that_cannot_be_sent_back_is_unreadable(
        self, clock: InMemoryClock, cursor: str
    ) -> None:
        page = {"data": [{"id": 1, "is_available": True}], "meta": {"after": cursor}}
        async with asking(answering(page), clock) as (client, _):
            error = await unavailable(client.agents(Pacer()))

        assert error.fault is Why.UNREADABLE

    async def test_an_agent_who_cannot_be_read_hides_no_other(self, clock: InMemoryClock) -> None:
        page = {"data": [{"id": 1, "is_available": "perhaps"}, {"id": 2, "is_available": True}]}
        async with asking(answering(page), clock) as (client, _):
            reading = await client.agents(Pacer())

        assert [presence.agent_id for presence in reading.seen] == [2]
        assert reading.unreadable == 1

    async def test_a_room_that_cannot_be_read_hides_no_other_that_waits(
        self, clock: InMemoryClock
    ) -> None:
        rooms = [{"is_resolved": False}, {"room_id": ROOM, "is_resolved": 0, "is_waiting": 1}]
        async with asking(answering({"data": {"customer_rooms": rooms}}), clock) as (client, _):
            reading = await client.waiting_rooms(Pacer())

        assert [room.room_id for room in reading.seen] == [ROOM]
        assert reading.unreadable == 1

    async def test_a_list_of_somebody_s_rooms_that_cannot_all_be_read_proves_nothing(
        self, clock: InMemoryClock
    ) -> None:
        rooms = [{"is_resolved": False}, {"room_id": ROOM, "is_resolved": 0, "is_waiting": 0}]
        async with asking(answering({"data": {"customer_rooms": rooms}}), clock) as (client, _):
            error = await unavailable(client.rooms_of(AGENT, Pacer()))

        assert error.fault is Why.UNREADABLE

    async def test_an_assign_is_a_form_with_the_account_s_credentials(
        self, clock: InMemoryClock
    ) -> None:
        async with asking(answering(ASSIGNED), clock) as (client, server):
            await client.assign(RoomId("a&b"), AGENT)

        request = server.requests[0]
        assert request.line == "POST /api/v1/admin/service/assign_agent HTTP/1.1"
        assert request.body == b"room_id=a%26b&agent_id=160001&max_agent=1"
        assert request.headers["content-type"] == "application/x-www-form-urlencoded"
        assert request.headers["qiscus-app-id"] == ACCOUNT.app_code
        assert request.headers["qiscus-secret-key"] == ACCOUNT.secret_key


class TestConnections:
    """Lanes: as many as asked for, as few as needed, none lost."""

    async def test_never_more_calls_are_in_flight_than_allowed(self, clock: InMemoryClock) -> None:
        async with asking(slowly(0.02, A_ROOM), clock, in_flight=4) as (client, server):
            await asyncio.gather(*(client.room(ROOM) for _ in range(20)))

        assert server.most_open == 4
        assert server.connections == 4

    async def test_calls_one_after_the_other_share_one_connection(
        self, clock: InMemoryClock
    ) -> None:
        async with asking(slowly(0.01, A_ROOM), clock, in_flight=8) as (client, server):
            await asyncio.gather(*(client.room(ROOM) for _ in range(8)))
            for _ in range(10):
                await client.room(ROOM)

        assert len({request.connection for request in server.requests[8:]}) == 1

    async def test_a_call_that_finds_no_free_connection_in_time_was_not_sent(
        self, clock: InMemoryClock
    ) -> None:
        release = asyncio.Event()

        async def hold(_: RawRequest, writer: asyncio.StreamWriter) -> None:
            await release.wait()
            writer.write(answer(ASSIGNED))

        async with asking(hold, clock, in_flight=1, connect_timeout=0.5) as (client, server):
            first = asyncio.create_task(client.assign(ROOM, AGENT))
            await until(lambda: server.requests)
            error = await unavailable(client.assign(ROOM, AGENT))
            release.set()
            await first

        assert error.fault is Why.CROWDED
        assert len(server.requests) == 1

    async def test_callers_who_go_away_cost_no_connection(self, clock: InMemoryClock) -> None:
        patient = {"in_flight": 2, "timeout": 30, "connect_timeout": 10}
        async with asking(slowly(0.01, A_ROOM), clock, **patient) as (client, server):
            for _ in range(10):
                callers = [asyncio.create_task(client.room(ROOM)) for _ in range(4)]
                await asyncio.sleep(0)
                for caller in callers:
                    caller.cancel()
            await until(lambda: len(server.requests) == 40)
            await client.room(ROOM)

        assert server.connections == 2

    async def test_closing_waits_for_what_is_under_way(self, clock: InMemoryClock) -> None:
        async with asking(slowly(0.05, ASSIGNED), clock) as (client, server):
            call = asyncio.create_task(client.assign(ROOM, AGENT))
            await until(lambda: server.requests)

            await client.aclose()

            assert (await call).agent_id == AGENT
            await until(lambda: not server.open)

    async def test_a_client_that_is_not_open_sends_nothing(self, clock: InMemoryClock) -> None:
        client = a_client("http://localhost:9", clock=clock)

        error = await unavailable(client.assign(ROOM, AGENT))

        assert error.surely_not_applied

    async def test_a_client_can_be_opened_again(self, clock: InMemoryClock) -> None:
        async with asking(answering(A_ROOM), clock) as (client, _):
            await client.aclose()
            await client.open()

            assert (await client.room(ROOM)).seen.state is RoomState.WAITING

    async def test_every_call_is_told_with_its_outcome(self, clock: InMemoryClock) -> None:
        heard: Heard = []

        def hear(operation: str, outcome: str, seconds: float) -> None:
            assert seconds >= 0
            heard.append((operation, outcome))

        responds = in_turn(
            answering(A_ROOM),
            answering({}, 404),
            answering({}, 400),
            answering({}, 429),
            answering({}, 502),
            answering(b"?"),
            closing,
        )
        async with asking(responds, clock, on_call=hear) as (client, _):
            await client.room(ROOM)
            await client.room(ROOM)
            await refused(client.assign(ROOM, AGENT))
            for _ in range(4):
                await unavailable(client.assign(ROOM, AGENT))

        assert heard == [
            ("room", "200"),
            ("room", "404"),
            ("assign", "400"),
            ("assign", "429"),
            ("assign", "502"),
            ("assign", "unreadable"),
            ("assign", "broken"),
        ]


class TestTls:
    """Over an encrypted connection."""

    async def test_calls_go_over_tls_and_keep_the_connection(self, clock: InMemoryClock) -> None:
        trusting = ssl.create_default_context(cafile=str(CERTIFICATE))
        async with (
            raw_server(answering(A_ROOM), a_server_context()) as server,
            a_client(server.url, clock=clock, ssl_context=trusting) as client,
        ):
            await client.room(ROOM)
            reading = await client.room(ROOM)

        assert reading.seen.state is RoomState.WAITING
        assert server.connections == 1

    async def test_a_certificate_that_nobody_signed_means_that_nothing_was_sent(
        self, clock: InMemoryClock
    ) -> None:
        async with (
            raw_server(answering(A_ROOM), a_server_context()) as server,
            a_client(server.url, clock=clock) as client,
        ):
            error = await unavailable(client.assign(ROOM, AGENT))

        assert error.fault is Why.CONNECT
        assert server.requests == []


LOGIN: dict[str, Any] = {"email": ACCOUNT.admin_email, "password": ACCOUNT.admin_password}


def a_client(
    url: str,
    *,
    clock: InMemoryClock,
    timeout: float = 5.0,
    connect_timeout: float = 1.5,
    secret_key: str = ACCOUNT.secret_key,
    **options: Any,
) -> HttpxQiscusClient:
    """A client for the fake account, closed."""
    return HttpxQiscusClient(
        base_url=url,
        app_id=ACCOUNT.app_code,
        secret_key=secret_key,
        clock=clock,
        timeout=timedelta(seconds=timeout),
        connect_timeout=timedelta(seconds=connect_timeout),
        **options,
    )


@asynccontextmanager
async def asking(
    respond: Respond, clock: InMemoryClock, **options: Any
) -> AsyncIterator[tuple[HttpxQiscusClient, RawServer]]:
    """An open client and the raw server that it asks."""
    async with (
        raw_server(respond) as server,
        a_client(server.url, clock=clock, **options) as client,
    ):
        yield client, server


async def closing(_: RawRequest, writer: asyncio.StreamWriter) -> None:
    """Ends the connection without a word."""
    reset(writer)


def slowly(seconds: float, body: object) -> Respond:
    """Answers after a while."""

    async def respond(_: RawRequest, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(seconds)
        writer.write(answer(body))

    return respond


def a_server_context() -> ssl.SSLContext:
    """TLS for a server, with the tests' own certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    return context


async def unavailable(asked: Any) -> PlatformUnavailable:
    """Why the platform could not be asked; fails if it could."""
    with pytest.raises(PlatformUnavailable) as unavailable:
        await asked
    return unavailable.value


async def refused(asked: Any) -> PlatformRefused:
    """Why the platform refused; fails if it did not."""
    with pytest.raises(PlatformRefused) as refused:
        await asked
    return refused.value
