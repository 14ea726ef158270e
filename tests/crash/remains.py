"""What a crash leaves behind: rows, keys in Redis, the platform; and whether two left the same.

Ids that PostgreSQL deals out, moments and process ids differ from one trial to the next. In a
fingerprint an id is the number of its first appearance, so that who points to whom still counts,
and a moment is past or still to come.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, cast

import psycopg
import redis
from attrs import define, field, frozen

from sebastian_adapters.redis.keys import roster_key
from tests.canaries import SUITE
from tests.crash.stage import Stage

_TABLES = """
select tablename from pg_tables where schemaname = 'sebastian' and tablename <> 'migration'
order by tablename
"""
_SEEN = """
(select count(*) from sebastian.history h where pg_visible_in_snapshot(h.xid, t.snapshot))
"""
"""Of a snapshot only what it shows: which changes a pass saw of the line."""
_IDS = {
    "id": "",
    "chat_id": "chat",
    "reservation_id": "reservation",
    "reservation": "reservation",
    "pass": "pass",
    "xid": "transaction",
}
"""Keys that hold ids, and of what; `id` is the table's own."""
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:")
_OFFICE = re.compile(r"office \d+")
_TOKEN = re.compile(rb"[0-9a-f]{32}")
_MICROSECONDS = 10**14


@frozen
class Rows:
    """All rows of ours, by table, as one statement saw them, and when."""

    at: datetime
    tables: Mapping[str, list[Mapping[str, Any]]]


@define
class Keeper:
    """One connection to a trial's database, beside those of the process of the moment."""

    connection: psycopg.Connection[tuple[Any, ...]]
    _tables: list[str] = field(init=False)

    @classmethod
    def of(cls, url: str) -> Keeper:
        """Connected, until it is closed."""
        return cls(psycopg.connect(url, autocommit=True))

    @_tables.default
    def _of_ours(self) -> list[str]:
        return [name for (name,) in self.connection.execute(_TABLES).fetchall()]

    def close(self) -> None:
        """Let go of the connection."""
        self.connection.close()

    def wait_until_alone(self) -> None:
        """Until the database has noticed that everybody else is dead, and rolled back."""
        others = "select count(*) from pg_stat_activity where datname = current_database()"
        while self.connection.execute(others).fetchone() != (1,):
            self.connection.execute("select pg_sleep(0.005)")

    def empty(self) -> None:
        """Delete all rows: sixty times quicker than to truncate, and ids may go on."""
        self.connection.execute(
            "; ".join(f"delete from sebastian.{table}" for table in self._tables).encode()
        )

    def rows(self) -> Rows:
        """All rows; the canaries are looked for in them, too."""
        selects = [
            f"select '{table}', to_jsonb(t) {_without_snapshot(table)} from sebastian.{table} t"
            for table in self._tables
        ]
        statement = "select '', to_jsonb(clock_timestamp()) union all " + " union all ".join(
            selects
        )
        (_, now), *found = self.connection.execute(statement.encode()).fetchall()
        tables: dict[str, list[Mapping[str, Any]]] = {}
        for table, row in found:
            SUITE.look("row", table, json.dumps(row))
            tables.setdefault(table, []).append(row)
        return Rows(datetime.fromisoformat(now), tables)


def fingerprint(rows: Rows, redis_url: str, stage: Stage) -> str:
    """The same text for two crashes that left the same behind."""
    told = {
        "rows": told_rows(rows),
        "redis": _told_redis(redis_url),
        "platform": list(_told_platform(stage)),
        "acknowledged": [
            (each.kind, each.room_id, each.service_id, each.status) for each in stage.deliveries
        ],
    }
    return hashlib.sha256(json.dumps(told, default=str).encode()).hexdigest()[:16]


def told_rows(rows: Rows) -> list[tuple[str, Any]]:
    """Each row with its table, without what differs from one trial to the next."""
    canon = _Canon(rows.at)
    return [
        (table, canon.told(table, "", row))
        for table, found in sorted(rows.tables.items())
        for row in sorted(found, key=_place)
    ]


def _without_snapshot(table: str) -> str:
    return f"|| jsonb_build_object('snapshot', {_SEEN})" if table == "pass" else ""


@define
class _Canon:
    """Numbers ids by their first appearance, and knows what is past."""

    now: datetime
    _numbers: dict[tuple[str, Any], int] = field(factory=dict)

    def told(self, table: str, key: str, value: Any) -> Any:
        if value is None:
            return None
        if key in _IDS:
            return self._number(_IDS[key] or table, value)
        if isinstance(value, Mapping):
            return {name: self.told(table, name, each) for name, each in sorted(value.items())}
        if isinstance(value, list):
            return [self.told(table, key, each) for each in value]
        return self._text(value) if isinstance(value, str) else value

    def _number(self, of: str, value: Any) -> int:
        return self._numbers.setdefault((of, str(value)), len(self._numbers))

    def _text(self, text: str) -> str:
        if _MOMENT.match(text):
            return "past" if datetime.fromisoformat(text) <= self.now else "to come"
        return _OFFICE.sub("office", text)


def _place(row: Mapping[str, Any]) -> tuple[int, str]:
    return row.get("id") or 0, str(next(iter(row.values())))


def _told_redis(url: str) -> list[tuple[str, Any]]:
    """The roster; bells lie elsewhere, nobody here hears them, and they hold nothing."""
    SUITE.look_at_redis(url)
    with redis.Redis.from_url(url) as client:
        keys = cast("list[bytes]", client.keys(roster_key("sebastian:*:")))
        found = cast("dict[bytes, bytes]", client.hgetall(keys[0]) if keys else {})
    return [(name.decode(), _told_value(value)) for name, value in sorted(found.items())]


def _told_value(value: bytes) -> Any:
    return "token" if _TOKEN.fullmatch(value) else _without_moments(json.loads(value))


def _without_moments(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _without_moments(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_without_moments(each) for each in value]
    is_moment = isinstance(value, int) and abs(value) > _MICROSECONDS
    return "moment" if is_moment else value


def _told_platform(stage: Stage) -> Iterable[Any]:
    """Its log holds every change; its faults and their hits tell what is under way or to come."""
    fake = stage.fake
    for event in fake.platform.log:
        yield event.kind, event.room_id, event.agent_id, event.service_id, event.by
    yield [repr(fault) for fault in fake.faults.in_force().values()]
    yield sorted(fake.faults.hits.items())
    yield fake.platform.clock() < stage.wrong_until
