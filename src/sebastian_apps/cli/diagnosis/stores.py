"""PostgreSQL and Redis: reachable, fit for us, and with our tables."""

from __future__ import annotations

from collections.abc import Iterator

from sebastian_adapters.postgres.inspection import DatabaseReading, read_database
from sebastian_adapters.redis.inspection import RedisReading, read_redis
from sebastian_apps.cli.diagnosis.findings import Finding, fine, problem, warning
from sebastian_apps.cli.diagnosis.workers import look_at_workers
from sebastian_apps.settings import Settings
from sebastian_apps.telling import counted, duration
from sebastian_core.domain.errors import SebastianError


async def look_at_database(settings: Settings, *, running: bool) -> list[Finding]:
    """How PostgreSQL stands; with `running` also how the workers do that write into it."""
    url = settings.db.connection_string
    try:
        reading = await read_database(url.reveal() if url else "", settings.assign.alert_refusals)
    except SebastianError as error:
        remedy = "Start PostgreSQL, or correct db.connection_string; is the database created?"
        return [problem("database-unreachable", f"{url}: {error}", remedy)]
    findings = [*_database(reading), *_pooling(reading, settings), _schema(reading)]
    if running and not reading.migrations_missing:
        findings += [_duties(reading), *_stuck(reading)]
        if reading.has_duty_holder:
            findings += await look_at_workers(settings)
    return findings


async def look_at_redis(settings: Settings) -> list[Finding]:
    """How Redis stands, and the broker where it is another Redis."""
    url, broker = settings.redis.url, settings.broker_url
    findings = [await _redis("redis", "redis.url", url.reveal() if url else "")]
    is_other = broker is not None and broker != url and broker.reveal().startswith("redis")
    if is_other and broker is not None and settings.queue.doorbell == "dramatiq":
        findings.append(await _redis("broker", "queue.broker_url", broker.reveal()))
    return findings


def _database(reading: DatabaseReading) -> Iterator[Finding]:
    major = reading.version // 10000
    if reading.is_too_old:
        text = f"PostgreSQL {major} answers; 13 or newer is needed."
        yield problem("database-too-old", text, "Upgrade PostgreSQL.")
    elif reading.is_standby:
        text = "The database is a standby: nothing can be written."
        yield problem("database-standby", text, "Let db.connection_string name the primary.")
    else:
        yield fine("database", f"PostgreSQL {major} answers and takes writes.")


def _pooling(reading: DatabaseReading, settings: Settings) -> Iterator[Finding]:
    if not reading.pools_transactions:
        return
    text = "A proxy pools transactions (PgBouncer's pool_mode=transaction)."
    if settings.queue.doorbell == "postgres":
        remedy = "Connect to PostgreSQL directly, or set queue.doorbell to dramatiq."
        yield problem("database-pooler", f"{text} LISTEN does not work through it.", remedy)
    else:
        remedy = "Connect to PostgreSQL directly, or use pool_mode=session for Sebastian."
        yield warning("database-pooler", f"{text} Prepared statements may fail.", remedy)


def _schema(reading: DatabaseReading) -> Finding:
    if reading.is_newer:
        text = "The tables were made by a newer version of Sebastian."
        return problem("schema-newer", text, "Upgrade Sebastian on this machine.")
    if reading.migrations_missing:
        number = counted(reading.migrations_missing, "migration")
        text = f"Tables are missing or old: {number} not applied."
        return problem("schema-missing", text, "Run: sebastian migrate")
    return fine("schema", "The tables are this version's.")


def _duties(reading: DatabaseReading) -> Finding:
    over = reading.duty_over_since
    if over is None:
        text = "No worker has ever run: nobody gives chats to agents."
    elif not reading.has_duty_holder:
        text = f"No worker runs: the last, {reading.duty_holder}, was gone {duration(over)} ago."
    else:
        return fine("worker", f"A worker does the duties: {reading.duty_holder}.")
    return problem("no-worker", text, "Start one: sebastian-worker -c config.yml")


def _stuck(reading: DatabaseReading) -> Iterator[Finding]:
    if reading.stuck:
        text = f"{counted(reading.stuck, 'chat')} refused again and again."
        remedy = "See: sebastian queue; then sebastian why ROOM, and drop or assign it."
        yield warning("stuck-chats", text, remedy)


async def _redis(name: str, key: str, url: str) -> Finding:
    try:
        reading = await read_redis(url)
    except SebastianError as error:
        return problem(f"{name}-unreachable", f"{error}", f"Start Redis, or correct {key}.")
    return condition(name, reading)


def condition(name: str, reading: RedisReading) -> Finding:
    """What is wrong with a Redis that answers, if anything is."""
    if reading.is_too_old:
        text = f"Redis {reading.version} answers; 6.0 or newer is needed."
        return problem(f"{name}-too-old", text, "Upgrade Redis.")
    if reading.evicts:
        text = f"Redis throws keys away when it is full ({reading.eviction_policy})."
        remedy = "Set maxmemory-policy to noeviction; Sebastian needs a few megabytes only."
        return warning(f"{name}-evicts", text, remedy)
    return fine(name, f"Redis {reading.version} answers.")
