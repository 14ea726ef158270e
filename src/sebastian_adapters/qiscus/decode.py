"""Qiscus's JSON, read tolerantly: only what is needed is required, unknown keys are ignored.

Where sources disagree about a shape, all of them are read (contract, section 11). If something is
missing that is needed, PlatformUnavailable is raised with the fault `unreadable`. A row of a list
that cannot be understood is left out and counted, and all other rows are read. A row whose id does
not fit into our record is skipped: no chat of ours can have that id.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Generic, TypeVar

import msgspec
from attrs import evolve, frozen

from sebastian_adapters.qiscus.api import ApiResponse
from sebastian_adapters.qiscus.response import Answer, parse_object, unreadable
from sebastian_core.domain import platform
from sebastian_core.domain.errors import InvalidInput, PlatformUnavailable
from sebastian_core.domain.ids import AgentId, ChannelId, RoomId, parse_room_id
from sebastian_core.domain.in_doubt import RoomState
from sebastian_core.domain.platform import PlatformRoom
from sebastian_core.domain.roster import Presence

LARGEST_ID = 2**63 - 1

#: More rows than a page that was asked for a hundred could ever have.
ROWS_LIMIT = 10_000

CURSOR_LIMIT = 4096
NAME_LIMIT = 200
SOURCE_LIMIT = 64

_OF_AN_ASSIGNMENT = ("service", "added_agent")

#: What `data` holds in answers to what we ask besides.
_OF_OTHER_CALLS = ("agents", "customer_rooms", "customer_room", "user", "app", "app_code")

_AGENT_TYPE = 2
_INDEX = re.compile("[0-9]{1,9}")
_FALSE_TEXTS = {"false", "0", ""}
_TRUE_TEXTS = {"true", "1"}

T = TypeVar("T")
R = TypeVar("R")


@frozen(kw_only=True)
class DecodedPage(Generic[T]):
    """One page of a list: the rows that were wanted, and what tells whether there is another page.

    `items` has an entry for the id of each row, None for a row that is not wanted. `unreadable` has
    a mark for each row that could not be read.
    """

    items: dict[str, T | None]
    rows: int
    unreadable: frozenset[str] = frozenset()
    cursor: str | None = None
    size: int | None = None
    total: int | None = None


def agents_page(answered: ApiResponse, read_at: datetime) -> DecodedPage[Presence]:
    """A page of any list of agents: `data.agents[]` or `data[]`; only of those who serve.

    The usual shape is read quickly (0.3 ms of processor time for 100 agents), any other tolerantly.
    """
    try:
        usual = _usual_agents.decode(answered.body)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return _page(
            parse_object(answered), "agents", _id_text, lambda row: _presence(row, read_at)
        )
    rows = usual.data if isinstance(usual.data, list) else usual.data.agents
    places = [each for each in (usual.meta, usual.data) if isinstance(each, _Paging)]
    if isinstance(usual.data, _UsualAgents) and usual.data.meta is not None:
        places.insert(1, usual.data.meta)
    metas: list[Answer] = [msgspec.structs.asdict(each) for each in places]
    return _paged(
        metas, {str(row.id): _usual_presence(row, read_at) for row in _limited(rows)}, len(rows)
    )


def rooms_page(answered: ApiResponse) -> DecodedPage[PlatformRoom]:
    """A page of `customer_rooms`."""
    return _page(parse_object(answered), "customer_rooms", _room_id_text, _listed_room)


def single_room(answer: Answer, asked: RoomId) -> PlatformRoom:
    """The room that was asked for; raises where the answer is about another one.

    Before the first message `is_waiting` is null: a customer of whom we know waits nevertheless.
    """
    row = _object(_data_object(answer).get("customer_room"), "data.customer_room")
    if _is_of_another(row.get("room_id"), asked):
        raise unreadable("the answer is about another room")
    room = _room(row, asked)
    is_silent = room.state is RoomState.SERVED and row.get("is_waiting") is None
    return evolve(room, state=RoomState.WAITING) if is_silent else room


def assign_answer(answer: Answer, asked: RoomId) -> platform.Answer:
    """Whom the platform names as the one who serves the room now, if it names somebody.

    A 2xx alone says that it was carried out (contract 11, row 18). Raises only where the answer is
    recognisably another call's: about another room, or of another kind.
    """
    data = _data_object(answer)
    if data.keys().isdisjoint(_OF_AN_ASSIGNMENT) and not data.keys().isdisjoint(_OF_OTHER_CALLS):
        raise unreadable("the answer is not about an assignment")
    if _is_of_another(_part(data, "service").get("room_id"), asked):
        raise unreadable("the answer is about another room")
    named = _id(_part(data, "service").get("user_id")) or _id(_part(data, "added_agent").get("id"))
    return platform.Answer(agent_id=None if named is None else AgentId(named))


def account(answer: Answer) -> platform.Account:
    """Whose credentials we use, where the profile tells."""
    data = _part(answer, "data")
    user = _part(data, "user")
    for place in (data, _part(data, "app"), user, _part(user, "app")):
        app_code = _text(place.get("app_code"), NAME_LIMIT)
        if app_code:
            return platform.Account(app_code=app_code)
    return platform.Account()


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
) -> DecodedPage[T]:
    rows = _limited(_rows(answer, name))
    items: dict[str, T | None] = {}
    unreadable_rows = set()
    for row in rows:
        try:
            seen = _object(row, f"an entry of {name}")
            key = key_of(seen)
            items[key] = item_of(seen)
        except PlatformUnavailable:
            unreadable_rows.add(f"{hash(repr(row)):x}")
    return _paged(_metas(answer), items, len(rows), frozenset(unreadable_rows))


def _paged(
    metas: Sequence[Answer],
    items: dict[str, T | None],
    rows: int,
    unreadable_rows: frozenset[str] = frozenset(),
) -> DecodedPage[T]:
    return DecodedPage(
        items=items,
        rows=rows,
        unreadable=unreadable_rows,
        cursor=_first(metas, ("after", "cursor_after"), _cursor),
        size=_first(metas, ("per_page", "limit"), _count),
        total=_first(metas, ("total_count", "total"), _count),
    )


def _rows(answer: Answer, name: str) -> list[object]:
    """The rows of a page. An empty list may come as null, or be missing beside the paging keys."""
    data = answer.get("data")
    rows = data.get(name) if isinstance(data, dict) and name in data else data
    if isinstance(rows, list):
        return rows
    if isinstance(rows, dict) and rows and all(map(_INDEX.fullmatch, rows)):
        return [row for _, row in sorted(rows.items(), key=lambda item: int(item[0]))]
    if _is_left_empty(answer, name):
        return []
    raise unreadable(f"neither data nor data.{name} is a list")


def _is_left_empty(answer: Answer, name: str) -> bool:
    data = answer.get("data")
    if isinstance(data, dict) and name in data:
        return data[name] is None or data[name] == {}
    tells_pages = isinstance(answer.get("meta"), dict) or bool(_part(answer, "data"))
    return tells_pages and (data is None or (isinstance(data, dict) and data.keys() <= _PAGING))


def _limited(rows: list[R]) -> list[R]:
    if len(rows) > ROWS_LIMIT:
        raise unreadable(f"a page has more than {ROWS_LIMIT} rows")
    return rows


def _metas(answer: Answer) -> list[Answer]:
    data = _part(answer, "data")
    return [_part(answer, "meta"), _part(data, "meta"), data]


def _first(
    metas: Iterable[Answer], keys: Iterable[str], read: Callable[[object], T | None]
) -> T | None:
    found = (read(meta.get(key)) for meta in metas for key in keys)
    return next((value for value in found if value is not None), None)


class _Paging(msgspec.Struct, gc=False):
    """What tells about pages, wherever it stands."""

    after: str | int | None = None
    cursor_after: str | int | None = None
    per_page: int | None = None
    limit: int | None = None
    total_count: int | None = None
    total: int | None = None


_PAGING = {"meta", *_Paging.__struct_fields__}


class _UsualChannel(msgspec.Struct, gc=False):
    id: int


class _UsualAgent(msgspec.Struct, gc=False):
    """An agent as all samples show one (contract, section 5)."""

    id: int
    is_available: bool
    force_offline: bool | None = None
    user_channels: list[_UsualChannel] | None = None
    current_customer_count: int | None = None
    name: str | None = None
    type: int | None = None
    type_as_string: str | None = None


class _UsualAgents(_Paging, gc=False, kw_only=True):
    agents: list[_UsualAgent]
    meta: _Paging | None = None


class _UsualPage(msgspec.Struct, gc=False):
    data: _UsualAgents | list[_UsualAgent]
    meta: _Paging | None = None


_usual_agents = msgspec.json.Decoder(_UsualPage)


def _usual_presence(row: _UsualAgent, read_at: datetime) -> Presence | None:
    agent_id = _id(row.id)
    if agent_id is None or not _serves(row.type, row.type_as_string):
        return None
    channels = [_id(each.id) for each in row.user_channels or ()]
    return Presence(
        AgentId(agent_id),
        row.is_available and not row.force_offline,
        read_at,
        _known_channels(channels),
        _count(row.current_customer_count),
        _text(row.name, NAME_LIMIT) or "",
    )


def _presence(row: Answer, read_at: datetime) -> Presence | None:
    agent_id = _id(row["id"])
    if agent_id is None or not _serves(row.get("type"), row.get("type_as_string")):
        return None
    return Presence(
        agent_id=AgentId(agent_id),
        online=_flag(row, "is_available") and not _flag(row, "force_offline", default=False),
        read_at=read_at,
        channels=_channels(row.get("user_channels")),
        count=_count(row.get("current_customer_count")),
        name=_text(row.get("name"), NAME_LIMIT) or "",
    )


def _serves(kind: object, kind_text: object) -> bool:
    """Whether somebody is an agent: by either mark, or where both are missing."""
    if kind is None and kind_text is None:
        return True
    named = isinstance(kind_text, str) and kind_text.casefold() == "agent"
    return named or _count(kind) == _AGENT_TYPE


def _channels(listed: object) -> frozenset[ChannelId]:
    """The channels' ids; empty, which means unknown, where one of them cannot be read."""
    if not isinstance(listed, list):
        return frozenset()
    return _known_channels(
        [_id(each.get("id") if isinstance(each, dict) else each) for each in listed]
    )


def _known_channels(ids: list[int | None]) -> frozenset[ChannelId]:
    known = [ChannelId(each) for each in ids if each is not None]
    return frozenset(known) if len(known) == len(ids) else frozenset()


def _listed_room(row: Answer) -> PlatformRoom | None:
    try:
        room_id = parse_room_id(_whole(row.get("room_id")))
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
        customer_wrote=_customer_wrote(row),
    )


def _customer_wrote(row: Answer) -> bool:
    """False only where the platform shows that there is no message of the customer."""
    shown = ("last_customer_timestamp", "last_customer_comment_text")
    return shown[0] not in row or any(row.get(each) for each in shown)


def _room_state(row: Answer) -> RoomState:
    if _flag(row, "is_resolved"):
        return RoomState.RESOLVED
    return RoomState.WAITING if _flag(row, "is_waiting") else RoomState.SERVED


def _room_id_text(row: Answer) -> str:
    return _required_text(row.get("room_id"), "room_id")


def _is_of_another(named: object, asked: RoomId) -> bool:
    """Whether an answer names another room. Zero, and what cannot be a room's id, name none."""
    try:
        room_id = parse_room_id(named.strip() if isinstance(named, str) else _whole(named))
    except InvalidInput:
        return False
    return room_id.lstrip("0") != asked.lstrip("0")


def _id_text(row: Answer) -> str:
    return _required_text(row.get("id"), "id")


def _required_text(value: object, key: str) -> str:
    value = _whole(value)
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise unreadable(f"an entry has no {key}")
    return str(value)


def _whole(value: object) -> object:
    """JSON knows one kind of number: 7.0 is 7."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


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
    value = _whole(value)
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= LARGEST_ID:
        return value
    return None


def _cursor(value: object) -> str | None:
    """The cursor; raises for one that fits into no address: without it the list ends too early."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    cursor = str(value)
    if len(cursor) > CURSOR_LIMIT or not cursor.isprintable():
        raise unreadable("a cursor cannot be sent back")
    return cursor or None


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
