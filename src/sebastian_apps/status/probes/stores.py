"""PostgreSQL and Redis: reachable, fit for us, and with our tables."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator

from sebastian_adapters.postgres.health import DatabaseHealth, read_database, try_webhook
from sebastian_adapters.redis.dramatiq.broker import try_doorbell
from sebastian_adapters.redis.errors import redis_errors
from sebastian_adapters.redis.health import RedisHealth, read_redis, try_store
from sebastian_apps.settings import Secret, Settings
from sebastian_apps.status.checks import (
    CheckResult,
    Level,
    database_refuses,
    fine,
    problem,
    warning,
)
from sebastian_apps.wording import counted
from sebastian_core.domain.errors import SebastianError, StoreRefused, StoreUnavailable


async def probe_database(settings: Settings) -> list[CheckResult]:
    """Whether a webhook can be recorded in PostgreSQL: one is, and rolled back."""
    url = settings.db.connection_string
    try:
        reading = await read_database(url.reveal() if url else "")
    except SebastianError as error:
        remedy = "Start PostgreSQL, or correct db.connection_string; is the database created?"
        return [problem("database-unreachable", f"{url}: {error}", remedy)]
    findings = [
        await _database(reading, settings),
        *_encoding(reading),
        *_pooling(reading, settings),
        _schema(reading),
    ]
    if reading.account not in (None, settings.qiscus.app_id):
        findings.append(_foreign(reading, settings))
    return findings


async def probe_redis(settings: Settings) -> list[CheckResult]:
    """Whether Redis lets us do our work, as the roster's store and as the doorbell's broker."""
    store, broker = settings.redis.url, settings.broker_url
    found = await _redis("redis", "redis.url", store, try_store)
    rings = settings.queue.doorbell == "dramatiq"
    if not rings or (broker == store and found.level is Level.PROBLEM):
        return [found]
    key = "redis.url" if broker == store else "queue.broker_url"
    bell = await _redis("broker", key, broker, try_doorbell)
    is_told = broker != store or bell.level is Level.PROBLEM
    return [found, bell] if is_told else [found]


async def _database(reading: DatabaseHealth, settings: Settings) -> CheckResult:
    major = reading.version // 10000
    if reading.is_too_old:
        text = f"PostgreSQL {major} answers; 13 or newer is needed."
        return problem("database-too-old", text, "Upgrade PostgreSQL.")
    if reading.is_standby:
        text = "The database is a standby: nothing can be written."
        return problem("database-standby", text, "Let db.connection_string name the primary.")
    if not _has_our_tables(reading, settings):
        return fine("database", f"PostgreSQL {major} answers.")
    url = settings.db.connection_string
    try:
        await try_webhook(url.reveal() if url else "")
    except SebastianError as error:
        return database_refuses(str(error))
    return fine("database", f"PostgreSQL {major} answers and takes writes.")


def _has_our_tables(reading: DatabaseHealth, settings: Settings) -> bool:
    is_ours = reading.account in {None, settings.qiscus.app_id}
    return is_ours and not (reading.migrations_missing or reading.is_newer)


def _encoding(reading: DatabaseHealth) -> Iterator[CheckResult]:
    if reading.encoding != "UTF8":
        text = (
            f"The database's encoding is {reading.encoding}: of names and reasons only what it "
            "holds is kept, with question marks for the rest."
        )
        remedy = "Nothing else is harmed. For whole texts move to a database with encoding 'UTF8'."
        yield warning("database-encoding", text, remedy)


def _pooling(reading: DatabaseHealth, settings: Settings) -> Iterator[CheckResult]:
    if not reading.pools_transactions:
        return
    text = "A proxy pools transactions (PgBouncer's pool_mode=transaction)."
    if settings.queue.doorbell == "postgres":
        remedy = "Connect to PostgreSQL directly, or set queue.doorbell to dramatiq."
        yield problem("database-pooler", f"{text} LISTEN does not work through it.", remedy)
    else:
        remedy = "Connect to PostgreSQL directly, or use pool_mode=session for Sebastian."
        yield warning("database-pooler", f"{text} Prepared statements may fail.", remedy)


def _schema(reading: DatabaseHealth) -> CheckResult:
    if reading.is_newer:
        text = "The tables were made by a newer version of Sebastian."
        return problem("schema-newer", text, "Upgrade Sebastian on this machine.")
    if reading.migrations_missing:
        number = counted(reading.migrations_missing, "migration")
        text = f"Tables are missing or old: {number} not applied."
        return problem("schema-missing", text, "Run: sebastian migrate")
    return fine("schema", "The tables are this version's.")


def _foreign(reading: DatabaseHealth, settings: Settings) -> CheckResult:
    text = f"The tables belong to {reading.account}, not to {settings.qiscus.app_id}."
    remedy = (
        "Name this account's own database in db.connection_string, or correct qiscus.app_id. "
        "If the account was renamed: sebastian account rename"
    )
    return problem("database-other-account", text, remedy)


async def _redis(
    name: str, key: str, url: Secret | None, try_work: Callable[[str], Awaitable[None]]
) -> CheckResult:
    text = url.reveal() if url else ""
    try:
        with redis_errors():
            await try_work(text)
    except StoreRefused as error:
        if (reading := await read_redis(text)).is_too_old:
            return condition(name, reading)
        remedy = f"Give {key} what it lacks: docs/deploying.md says which rights we need."
        return problem(f"{name}-refuses", f"{error}.", remedy)
    except StoreUnavailable as error:
        return problem(f"{name}-unreachable", f"{error}.", f"Start Redis, or correct {key}.")
    return condition(name, await read_redis(text))


def condition(name: str, reading: RedisHealth) -> CheckResult:
    """What is wrong with a Redis that does our work, if anything is."""
    if reading.is_too_old:
        text = f"Redis {reading.version} answers; 6.0 or newer is needed."
        return problem(f"{name}-too-old", text, "Upgrade Redis.")
    if reading.evicts:
        text = f"Redis throws keys away when it is full ({reading.eviction_policy})."
        remedy = "Set maxmemory-policy to noeviction; Sebastian needs a few megabytes only."
        return warning(f"{name}-evicts", text, remedy)
    if not reading.is_told:
        return fine(name, "Redis answers and takes writes; this user may not see its version.")
    return fine(name, f"Redis {reading.version} answers and takes writes.")
