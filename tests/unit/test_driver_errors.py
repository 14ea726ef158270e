"""What drivers say of a connection is told in words of ours: nothing of the URL passes."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import errors as pg
from redis import exceptions as rd

from sebastian_adapters.postgres.errors import translated
from sebastian_adapters.redis.agent_store import RedisAgentStore
from sebastian_adapters.redis.errors import redis_errors
from sebastian_core.domain.errors import SebastianError, StoreRefused, StoreUnavailable

MARK = "SEKRET"
FAILED = 'connection failed: connection to server at "127.0.0.1", port 5432 failed: '


async def what_postgres_says(conninfo: str) -> str:
    with pytest.raises(SebastianError) as caught, translated():
        await psycopg.AsyncConnection.connect(conninfo, connect_timeout=5)
    return str(caught.value)


@pytest.mark.parametrize(
    ("conninfo", "words"),
    [
        (f"postgresql://u:{MARK}@127.0.0.1:1/x", "is unavailable: nothing listens there"),
        (f"postgresql://u:p@{MARK}@127.0.0.1/x", "is unavailable: the name of its host"),
        (f"postgresql://u:p@{MARK}.invalid/x", "is unavailable: the name of its host"),
        (f"postgresql://u:{MARK}@/x?host=/nowhere", "is unavailable: its socket is not there"),
        (f"postgresql://u:{MARK}%RET@127.0.0.1:1/x", "a statement: a % in its connection string"),
        (f"postgresql://u:p@127.0.0.1:1/x?{MARK}=1", "a statement: invalid URI query parameter: …"),
        (f"host=127.0.0.1 port=1 password=p {MARK}", "a statement: missing …"),
        (f"host=127.0.0.1 port=1 sslmode={MARK}", "invalid sslmode value: …"),
        (f"host=127.0.0.1 port={MARK}", "invalid integer value …"),
        (
            f"postgresql://u:{MARK}@127.0.0.1:1,127.0.0.1:2/x?hostaddr=127.0.0.1,127.0.0.1",
            "nothing listens there",
        ),
    ],
)
async def test_of_a_connection_to_postgres_only_the_reason_is_told(
    conninfo: str, words: str
) -> None:
    told = await what_postgres_says(conninfo)

    assert words in told
    assert MARK not in told


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (
            f'{FAILED}FATAL:  password authentication failed for user "{MARK}"',
            "it does not accept this user or password",
        ),
        (f'connection failed: FATAL:  database "{MARK}" does not exist', "database … does not"),
        (
            f"{FAILED}server does not support SSL, but SSL was required",
            "unavailable: server does not support SSL, but SSL was required",
        ),
        (
            f'connection failed: server certificate for "db" does not match host name "{MARK}"',
            "its certificate is not accepted (it is for another name)",
        ),
        ("connection failed: SSL error: certificate verify failed", "its certificate is not"),
        (
            f"{FAILED}Connection refused\n- host: 'a': failed to resolve host '{MARK}': nobody",
            "the name of its host is not found; nothing listens there",
        ),
    ],
)
def test_what_libpq_says_of_a_server_is_told_without_what_it_quotes(said: str, words: str) -> None:
    with pytest.raises(StoreUnavailable) as caught, translated():
        raise psycopg.OperationalError(said)

    assert words in str(caught.value)
    assert MARK not in str(caught.value)


def test_the_driver_s_own_timeout_is_told() -> None:
    with pytest.raises(StoreUnavailable, match="no answer in time"), translated():
        raise pg.ConnectionTimeout("connection timeout expired")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        (f"redis://:{MARK}@127.0.0.1:1", "Redis is unavailable: nothing listens there"),
        (f"redis://:p@{MARK}.invalid", "Redis is unavailable: the name of its host is not found"),
        (f"unix://:{MARK}@/nowhere/{MARK}.sock", "Redis is unavailable: its socket is not there"),
    ],
)
async def test_of_a_connection_to_redis_only_the_reason_is_told(url: str, words: str) -> None:
    async with RedisAgentStore(url) as store:
        with pytest.raises(StoreUnavailable) as caught:
            await store.roster()

    assert words in str(caught.value)
    assert MARK not in str(caught.value)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (rd.AuthenticationError(MARK), "does not accept this user or password"),
        (
            rd.NoPermissionError(f"User {MARK} has no permissions to run the 'info' command"),
            "this user may not run the command INFO",
        ),
        (rd.NoPermissionError(f"No permissions to access the '{MARK}' key"), "may not touch keys"),
        (
            rd.ResponseError(
                f"ACL failure in script: User {MARK} has no permissions to run the 'hset' command"
            ),
            "this user may not run the command HSET",
        ),
        (rd.OutOfMemoryError(MARK), "its memory is full"),
        (rd.ReadOnlyError(MARK), "it is a replica"),
        (rd.ResponseError(f"MISCONF {MARK}"), "it cannot save to its disk"),
        (rd.ResponseError(f"unknown command 'AUTH', with args beginning with: '{MARK}'"), "error"),
        (rd.ResponseError(f"{MARK} is what it is"), "it answers with an error"),
    ],
)
def test_an_answer_of_redis_that_says_no_is_a_refusal_and_not_silence(
    error: Exception, words: str
) -> None:
    with pytest.raises(StoreRefused) as caught, redis_errors():
        raise error

    assert str(caught.value).startswith("Redis refuses us: ")
    assert words in str(caught.value)
    assert MARK not in str(caught.value)


def test_what_redis_answers_while_the_driver_connects_is_found_in_the_causes() -> None:
    with pytest.raises(StoreUnavailable, match="still loading"), redis_errors():
        raise rd.ConnectionError(MARK) from rd.BusyLoadingError("Redis is loading")
    with pytest.raises(StoreRefused, match="does not accept"), redis_errors():
        raise rd.ConnectionError(MARK) from rd.AuthenticationError(MARK)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (rd.BusyLoadingError(MARK), "it is still loading its data"),
        (rd.TimeoutError(MARK), "no answer in time"),
        (rd.ConnectionError(f"Connection closed by {MARK}"), "the connection was cut off"),
        (rd.ConnectionError("max number of clients reached"), "it has as many clients"),
    ],
)
def test_redis_that_may_answer_later_is_unavailable(error: Exception, words: str) -> None:
    with pytest.raises(StoreUnavailable) as caught, redis_errors():
        raise error

    assert str(caught.value).startswith(f"Redis is unavailable: {words}")
    assert MARK not in str(caught.value)
