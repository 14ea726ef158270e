"""Qiscus's JSON, read tolerantly: only what is needed is required, unknown keys are ignored.

Where sources disagree about a shape, all of them are read (contract, section 11). What lacks
something needed raises PlatformUnavailable with the fault `unreadable`: a listing of which one row
cannot be understood is not complete. A row whose id no record of ours could hold is skipped: it
can be none of ours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Generic, TypeVar

from attrs import evolve, frozen

from sebastian_adapters.qiscus.answers import Answer, unreadable
from sebastian_core.domain import readings
from sebastian_core.domain.agent import Presence
from sebastian_core.domain.errors import InvalidInput
from sebastian_core.domain.ids import AgentId, ChannelId, RoomId, parse_room_id
from sebastian_core.domain.readings import PlatformRoom
from sebastian_core.domain.settling import RoomState

LARGEST_ID = 2**63 - 1
NAME_LIMIT = 200
SOURCE_LIMIT = 64

_AGENT_TYPE = 2
_FALSE_TEXTS = {"false", "0", ""}
_TRUE_TEXTS = {"true", "1"}

T = TypeVar("T")


@frozen(kw_only=True)
class Page(Generic[T]):
    """One page of a list: what was wanted of it, and what tells whether there is another.

    `items` goes by the ids of all rows, those that are not wanted included (None).
    """

    items: dict[str, T | None]
    rows: int
    cursor: str | None = None
    size: int | None = None
    total: int | None = None


def agents_page(answer: Answer, read_at: datetime) -> Page[Presence]:
    """A page of any list of agents: `data.agents[]` or `data[]`; only of those who serve."""
    return _page(answer, "agents", _id_text, lambda row: _presence(row, read_at))


def rooms_page(answer: Answer) -> Page[PlatformRoom]:
    """A page of `customer_rooms`."""
    return _page(answer, "customer_rooms", _room_id_text, _listed_room)


def single_room(answer: Answer, asked: RoomId) -> PlatformRoom:
    """The room that was asked for; raises where the answer is about another one.

    Before the first message `is_waiting` is null: a customer of whom we know waits nevertheless.
    """
    row = _object(_data_object(answer).get("customer_room"), "data.customer_room")
    if row.get("room_id") is not None and _room_id_text(row) != asked:
        raise unreadable("the answer is about another room")
    room = _room(row, asked)
    is_silent = room.state is RoomState.SERVED and row.get("is_waiting") is None
    return evolve(room, state=RoomState.WAITING) if is_silent else room


def assign_answer(answer: Answer) -> readings.Answer:
    """Whom the platform names as the one who serves the room now, if it names somebody."""
    data = _data_object(answer)
    named = _id(_part(data, "service").get("user_id")) or _id(_part(data, "added_agent").get("id"))
    return readings.Answer(agent_id=None if named is None else AgentId(named))


def account(answer: Answer) -> readings.Account:
    """Whose credentials we use, where the profile tells."""
    data = _part(answer, "data")
    user = _part(data, "user")
    for place in (data, _part(data, "app"), user, _part(user, "app")):
        app_code = _text(place.get("app_code"), NAME_LIMIT)
        if app_code:
            return readings.Account(app_code=app_code)
    return readings.Account()


def webhook_confirmed(answer: Answer, url_key: str, enabled_key: str, url: str) -> bool:
    """Whether the app object in the answer shows the URL as set and switched on."""
    app = _data_object(answer)
    return app.get(url_key) == url and _flag(app, enabled_key, default=False)


def login_token(answer: Answer) -> str | None:
    """The token of an admin's login, if there is one that fits into a header."""
    token = _part(_part(answer, "data"), "user").get("authentication_token")
    if isinstance(token, str) and token.isascii() and token.isprintable() and " " not in token:
        return token or None
    return None


def _page(
    answer: Answer,
    name: str,
    key_of: Callable[[Answer], str],
    item_of: Callable[[Answer], T | None],
) -> Page[T]:
    rows = _rows(answer, name)
    metas = _metas(answer)
    return Page(
        items={key_of(row): item_of(row) for row in rows},
        rows=len(rows),
        cursor=_first(metas, ("after", "cursor_after"), _cursor),
        size=_first(metas, ("per_page", "limit"), _count),
        total=_first(metas, ("total_count", "total"), _count),
    )


def _rows(answer: Answer, name: str) -> list[Answer]:
    data = answer.get("data")
    rows = data.get(name) if isinstance(data, dict) else data
    if not isinstance(rows, list):
        raise unreadable(f"neither data nor data.{name} is a list")
    return [_object(row, f"an entry of {name}") for row in rows]


def _metas(answer: Answer) -> list[Answer]:
    data = _part(answer, "data")
    return [_part(answer, "meta"), _part(data, "meta"), data]


def _first(
    metas: Iterable[Answer], keys: Iterable[str], read: Callable[[object], T | None]
) -> T | None:
    found = (read(meta.get(key)) for meta in metas for key in keys)
    return next((value for value in found if value is not None), None)


def _presence(row: Answer, read_at: datetime) -> Presence | None:
    agent_id = _id(row["id"])
    if agent_id is None or not _is_agent(row):
        return None
    return Presence(
        agent_id=AgentId(agent_id),
        online=_flag(row, "is_available") and not _flag(row, "force_offline", default=False),
        read_at=read_at,
        channels=_channels(row.get("user_channels")),
        count=_count(row.get("current_customer_count")),
        name=_text(row.get("name"), NAME_LIMIT) or "",
    )


def _is_agent(row: Answer) -> bool:
    kind, kind_text = row.get("type"), row.get("type_as_string")
    if kind is None and kind_text is None:
        return True
    return _count(kind) == _AGENT_TYPE or kind_text == "agent"


def _channels(listed: object) -> frozenset[ChannelId]:
    """The channels' ids; empty, which means unknown, where one of them cannot be read."""
    if not isinstance(listed, list):
        return frozenset()
    ids = [_id(each.get("id") if isinstance(each, dict) else each) for each in listed]
    known = [ChannelId(each) for each in ids if each is not None]
    return frozenset(known) if len(known) == len(ids) else frozenset()


def _listed_room(row: Answer) -> PlatformRoom | None:
    try:
        room_id = parse_room_id(row.get("room_id"))
    except InvalidInput:
        return None
    return _room(row, room_id)


def _room(row: Answer, room_id: RoomId) -> PlatformRoom:
    channel_id = _id(row.get("channel_id"))
    return PlatformRoom(
        room_id=room_id,
        state=_room_state(row),
        channel_id=None if channel_id is None else ChannelId(channel_id),
        source=_text(row.get("source"), SOURCE_LIMIT) or None,
        waits_since=_zoned(row.get("last_customer_timestamp")),
    )


def _room_state(row: Answer) -> RoomState:
    if _flag(row, "is_resolved"):
        return RoomState.RESOLVED
    return RoomState.WAITING if _flag(row, "is_waiting") else RoomState.SERVED


def _room_id_text(row: Answer) -> str:
    return _required_text(row, "room_id")


def _id_text(row: Answer) -> str:
    return _required_text(row, "id")


def _required_text(row: Answer, key: str) -> str:
    value = row.get(key)
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise unreadable(f"an entry has no {key}")
    return str(value)


def _flag(row: Answer, key: str, *, default: bool | None = None) -> bool:
    """A truth value, also as the text or number that some variants send; null is false."""
    value = row.get(key, default)
    if isinstance(value, bool):
        return value
    if value is None and key in row:
        return False
    text = str(value).lower() if isinstance(value, str | int) else None
    if text in _TRUE_TEXTS:
        return True
    if text in _FALSE_TEXTS:
        return False
    raise unreadable(f"{key} is neither true nor false")


def _id(value: object) -> int | None:
    return _count(value) or None


def _count(value: object) -> int | None:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= LARGEST_ID:
        return value
    return None


def _cursor(value: object) -> str | None:
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    return str(value) or None


def _text(value: object, limit: int) -> str | None:
    """The text without what no store could keep: control characters, NUL, lone surrogates."""
    if not isinstance(value, str):
        return None
    if value.isprintable():
        return value[:limit]
    return "".join(c for c in value if c.isprintable())[:limit]


def _zoned(value: object) -> datetime | None:
    """The moment, only where the text says which zone it is in."""
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
        return moment.astimezone(UTC) if moment.tzinfo else None
    except (ValueError, OverflowError):
        return None


def _part(answer: Answer, key: str) -> Answer:
    part = answer.get(key)
    return part if isinstance(part, dict) else {}


def _data_object(answer: Answer) -> Answer:
    return _object(answer.get("data"), "data")


def _object(value: object, what: str) -> Answer:
    if not isinstance(value, dict):
        raise unreadable(f"{what} is not an object")
    return value
