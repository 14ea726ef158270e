"""The webhook service on PostgreSQL: what it answers while the database comes and goes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import psycopg
import pytest

from sebastian_adapters.postgres.migrate import migrate
from sebastian_apps.dev.servers import EmbeddedPostgres
from sebastian_apps.http.parts import WebhookParts
from sebastian_apps.wiring import build_webhook
from sebastian_core.domain.chat import ChatState
from tests.integration.postgres import execute, read_only_for_new_sessions, rows
from tests.integration.transaction_pooler import transaction_pooler
from tests.webhook_service import ARRIVAL, RESOLVE, WebhookService, some_settings, webhook_service

FULL = """
create function public.fail() returns trigger language plpgsql as $$
begin
    raise exception 'could not extend file: No space left on device' using errcode = '53100';
end $$;
create trigger full_disk before insert on sebastian.{table}
for each row execute function public.fail()
"""
"""What an insert meets on a full disk."""

SLOW = """
create function public.wait() returns trigger language plpgsql as $$
begin
    perform pg_sleep(0.6);
    return new;
end $$;
create trigger slow before insert on sebastian.chat for each row execute function public.wait()
"""
"""A webhook takes longer than half a second, and is recorded."""

NO_REDIS = "redis://127.0.0.1:1"
"""Nobody listens there: webhooks need no Redis."""


def parts_of(url: str) -> WebhookParts:
    """The parts of the real service, on this database."""
    environ = {
        "QT_DB_CONNECTION_STRING": url,
        "QT_REDIS_URL": NO_REDIS,
        "QT_QISCUS_SECRET_KEY": "secret-key",
    }
    return build_webhook(some_settings(environ))


@asynccontextmanager
async def service_on(url: str) -> AsyncIterator[WebhookService]:
    """The service on this database, with its tables."""
    await migrate(url)
    async with webhook_service(parts_of(url)) as service:
        yield service


async def answer_once(service: WebhookService, path: str, status: int) -> httpx.Response:
    """Ask until it is answered with this status; a webhook to a room of its own otherwise."""
    async with asyncio.timeout(20):
        while True:
            if path == ARRIVAL:
                answer = await service.post(ARRIVAL, {"room_id": "probe"})
            else:
                answer = await service.http.get(path)
            if answer.status_code == status:
                return answer
            await asyncio.sleep(0.02)


async def test_what_was_answered_outlives_the_death_of_the_database(
    own_postgres: EmbeddedPostgres,
) -> None:
    async with service_on(own_postgres.url) as service:
        answers = await asyncio.gather(
            *(service.post(ARRIVAL, {"room_id": str(number)}) for number in range(40))
        )
        assert {answer.status_code for answer in answers} == {200}

        own_postgres.kill()
        own_postgres.start()

        await answer_once(service, "/readyz", 200)
        assert await service.rows() == 40


async def test_without_the_database_webhooks_are_answered_503_until_it_is_back(
    own_postgres: EmbeddedPostgres,
) -> None:
    async with service_on(own_postgres.url) as service:
        assert (await service.http.get("/readyz")).status_code == 200

        own_postgres.kill()

        async with asyncio.timeout(5):
            answer = await service.post(ARRIVAL, {"room_id": "1"})
            ready = await service.http.get("/readyz")
            healthy = await service.http.get("/healthz")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert (ready.status_code, healthy.status_code) == (503, 200)
        assert ready.json()["checks"].keys() == {"database"}
        assert ready.json()["detail"].startswith("Not ready: database ")

        own_postgres.start()

        await answer_once(service, ARRIVAL, 200)
        await answer_once(service, "/readyz", 200)
        assert not await service.history("1")


async def test_a_database_that_hangs_is_answered_503_as_well(
    own_postgres: EmbeddedPostgres,
) -> None:
    async with service_on(own_postgres.url) as service:
        await answer_once(service, ARRIVAL, 200)

        own_postgres.freeze()
        try:
            async with asyncio.timeout(5):
                answers = await asyncio.gather(
                    *(service.post(ARRIVAL, {"room_id": str(number)}) for number in range(50))
                )
                ready = await service.http.get("/readyz")
        finally:
            own_postgres.thaw()

        assert {answer.status_code for answer in answers} == {503}
        assert ready.json()["detail"].startswith("Not ready: database ")
        await answer_once(service, ARRIVAL, 200)


async def test_webhooks_that_find_no_free_connection_are_answered_503_and_readiness_says_so(
    postgres_url: str,
) -> None:
    async with service_on(postgres_url) as service:
        await answer_once(service, ARRIVAL, 200)
        async with await psycopg.AsyncConnection.connect(postgres_url) as busy:
            await busy.execute("lock table sebastian.room, sebastian.migration")
            async with asyncio.timeout(5):
                answers = await asyncio.gather(
                    *(service.post(ARRIVAL, {"room_id": str(number)}) for number in range(30)),
                    service.http.get("/readyz"),
                )
            ready = answers.pop()
            await busy.rollback()

        assert {(answer.status_code, answer.headers["retry-after"]) for answer in answers} == {
            (503, "1")
        }
        assert ready.json()["detail"].startswith("Not ready: database ")
        await answer_once(service, ARRIVAL, 200)


async def test_readiness_takes_back_what_it_has_tried(postgres_url: str) -> None:
    async with service_on(postgres_url) as service:
        await answer_once(service, "/readyz", 200)

        kept = rows(postgres_url, "select from sebastian.room union all select from sebastian.chat")

        assert kept == []
        assert await service.rows() == 0


async def test_a_service_that_may_not_write_is_not_ready(postgres_url: str) -> None:
    await migrate(postgres_url)
    with read_only_for_new_sessions(postgres_url):
        async with service_on(postgres_url) as service:
            answer = await service.post(ARRIVAL, {"room_id": "1"})
            ready = await service.http.get("/readyz")

            assert (answer.status_code, ready.status_code) == (503, 503)


@pytest.mark.parametrize("table", ["room", "chat", "history"])
async def test_a_service_whose_table_takes_no_rows_is_not_ready(
    postgres_url: str, table: str
) -> None:
    async with service_on(postgres_url) as service:
        await answer_once(service, "/readyz", 200)

        execute(postgres_url, FULL.format(table=table))
        await answer_once(service, "/readyz", 503)
        execute(postgres_url, f"drop trigger full_disk on sebastian.{table}")

        await answer_once(service, "/readyz", 200)


async def test_a_service_is_ready_as_long_as_a_webhook_is_recorded_in_time(
    postgres_url: str,
) -> None:
    async with service_on(postgres_url) as service:
        execute(postgres_url, SLOW)
        for number in range(3):
            answer = await service.post(ARRIVAL, {"room_id": str(number)})
            ready = await service.http.get("/readyz")

            assert (answer.status_code, ready.status_code) == (200, 200)


async def test_a_service_behind_a_pooler_of_transactions_is_not_ready(postgres_url: str) -> None:
    await migrate(postgres_url)
    async with (
        transaction_pooler(postgres_url) as pooled,
        webhook_service(parts_of(pooled)) as service,
    ):
        await answer_once(service, "/readyz", 503)


async def test_a_service_that_starts_before_its_database_works_once_it_is_there(
    own_postgres: EmbeddedPostgres,
) -> None:
    await migrate(own_postgres.url)
    own_postgres.stop()
    async with webhook_service(parts_of(own_postgres.url)) as service:
        assert (await service.post(ARRIVAL, {"room_id": "1"})).status_code == 503

        own_postgres.start()

        await answer_once(service, ARRIVAL, 200)


async def test_repeats_and_a_resolve_at_the_same_moment_leave_one_chat(postgres_url: str) -> None:
    async with service_on(postgres_url) as service:
        await asyncio.gather(*(service.post(ARRIVAL, {"room_id": "1"}) for _ in range(30)))
        await service.post(RESOLVE, {"service": {"room_id": "1", "id": 7}})

        moves = [row.after for row in await service.history("1")]

    assert moves == [ChatState.CLOSED, ChatState.WAITING]


@pytest.mark.parametrize(
    "body",
    [
        b'{"room_id": "1\\u0000"}',
        b'{"room_id": "\\udfff"}',
        b'{"room_id": 99999999999999999999}',
        b'{"service": {"room_id": "\\u0000"}}',
    ],
)
async def test_what_the_database_could_not_keep_never_reaches_it(
    postgres_url: str, body: bytes
) -> None:
    async with service_on(postgres_url) as service:
        for path in (ARRIVAL, RESOLVE):
            assert (await service.post(path, body)).status_code == 422
        assert await service.rows() == 0


async def test_odd_values_beside_the_room_id_are_dropped_before_the_database(
    postgres_url: str,
) -> None:
    body = {
        "room_id": "1",
        "source": "a\u0000b",
        "channel": {"id": 2**63},
        "latest_service": {"id": 2**200, "is_resolved": True},
        "extras": '{"user_properties": [{"key": "a\\u0000", "value": "\\ud800"}]}',
        "name": "\ud800",
    }
    resolve = {"service": {"room_id": "1", "id": 2**63}}
    async with service_on(postgres_url) as service:
        assert (await service.post(ARRIVAL, body)).status_code == 200
        (chat,) = await service.parts.allocator.room_repo.waiting(10)
        assert (await service.post(RESOLVE, resolve)).status_code == 200

    assert (chat.source, chat.needs.channel_id, chat.base_service_id) == (None, None, None)


async def test_what_the_databases_encoding_lacks_is_left_out_and_the_customer_admitted(
    postgres_url: str,
) -> None:
    latin_url = f"{postgres_url}_latin"
    name = latin_url.rpartition("/")[2]
    execute(
        postgres_url,
        f"create database {name} encoding 'LATIN1' lc_collate 'C' lc_ctype 'C' template template0",
    )

    async with service_on(latin_url) as service:
        answer = await service.post(ARRIVAL, {"room_id": "1", "source": "客服"})
        other = await service.post(ARRIVAL, {"room_id": "2", "source": "José"})

        assert (answer.status_code, other.status_code) == (200, 200)
        assert await service.rows() == 2
