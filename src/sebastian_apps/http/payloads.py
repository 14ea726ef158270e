"""From a webhook's bytes to an arrival or a resolution, or to the problem that it has.

Tolerant (contract sections 1, 2 and 11): only the room id is required, whatever else cannot be
used counts as absent, and what is not wanted is dropped here, tokens and names included.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any, NoReturn

from sebastian_apps.http.problems import (
    FOREIGN_APP,
    NOT_JSON,
    NOT_UTF8,
    UNSUPPORTED,
    UNUSABLE,
    HttpProblem,
)
from sebastian_apps.settings.webhook_urls import ARRIVAL_PATH, RESOLVE_PATH
from sebastian_core.domain.errors import InvalidInput
from sebastian_core.domain.ids import ChannelId, RoomId, ServiceId, parse_room_id
from sebastian_core.domain.webhooks import Arrival, Resolution, Service

ID_LIMIT = 2**63 - 1
"""The greatest id that the database can keep; a greater one counts as absent."""

SOURCE_LIMIT = 64
PROPERTY_LIMIT = 256
_BYTE_ORDER_MARK = "\ufeff"
_GZIP = b"\x1f\x8b"
_FORM = re.compile(r"[\w.%+\[\]-]{1,64}=")
_ACCOUNT = ("app_id", "app_code")
_EXACT_DIGITS = 100
_ID_DIGITS = 19


def decode_arrival(
    body: bytes, *, app_id: str | None = None, kept_properties: Collection[str] = ()
) -> Arrival:
    """Read an allocation webhook; raises HttpProblem with what is wrong and what would be right."""
    sent = _read_object(body)
    _check_app(sent, app_id)
    _check_kind(sent)
    return Arrival(
        room_id=_room_id(sent, "room_id"),
        channel_id=_channel_id(sent.get("channel")),
        source=_text(sent.get("source"), SOURCE_LIMIT),
        base=_base(sent.get("latest_service")),
        properties=_properties(sent.get("extras"), kept_properties),
    )


def decode_resolution(body: bytes, *, app_id: str | None = None) -> Resolution:
    """Read a mark-as-resolved webhook; raises HttpProblem like `decode_arrival`."""
    sent = _read_object(body)
    _check_app(sent, app_id)
    service = sent.get("service")
    if not isinstance(service, dict):
        detail = f"service must be an object with a room_id, not {_named(service)}."
        if "room_id" in sent:
            detail += f" Send the webhook of a waiting customer to {ARRIVAL_PATH}."
        raise HttpProblem(UNUSABLE, detail)
    return Resolution(
        room_id=_room_id(service, "service.room_id"),
        service_id=_service_id(service.get("id")),
    )


def _read_object(body: bytes) -> Mapping[str, Any]:
    """What the body says, read strictly; if that fails, whatever of it can be read.

    A customer is not turned away for a name that was cut in the middle of a letter: what decides is
    the room id, and a room id is not believed if it has signs that do not belong there.
    """
    try:
        sent = _strictly(body)
    except HttpProblem:
        sent = _leniently(body)
        if not isinstance(sent, dict):
            raise
    if not isinstance(sent, dict):
        detail = f"The body must be a JSON object, not {_named(sent)}."
        if isinstance(sent, str):
            detail += " If the text holds the object, send the object itself."
        raise HttpProblem(UNUSABLE, detail)
    return sent


def _strictly(body: bytes) -> object:
    """The JSON value; raises HttpProblem."""
    try:
        text = body.decode().removeprefix(_BYTE_ORDER_MARK)
    except UnicodeDecodeError as error:
        if body.startswith(_GZIP):
            detail = "The body is compressed with gzip; send it as it is."
            raise HttpProblem(UNSUPPORTED, detail) from error
        detail = f"Byte {error.start} is not UTF-8; send a JSON object in UTF-8."
        raise HttpProblem(NOT_UTF8, detail) from error
    try:
        return _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise _no_json(text, error) from error
    except RecursionError as error:
        raise HttpProblem(NOT_JSON, "The body is nested too deeply; send a flat object.") from error
    except ValueError as error:
        detail = "A number is not finite or has too many digits; send numbers that JSON knows."
        raise HttpProblem(NOT_JSON, detail) from error


def _no_json(text: str, error: json.JSONDecodeError) -> HttpProblem:
    if not text.strip():
        return HttpProblem(NOT_JSON, "The body is empty; send a JSON object.")
    if _FORM.match(text):
        detail = "The body is a form (name=value); send the JSON object alone, as it is."
        return HttpProblem(UNSUPPORTED, detail)
    detail = f"{error.msg} at character {error.pos}; send one JSON object."
    return HttpProblem(NOT_JSON, detail)


def _leniently(body: bytes) -> object:
    """With a sign in place of each byte that is not UTF-8, raw control characters, and any number.

    None if it cannot be read so either. Takes one pass, as the strict reader does.
    """
    try:
        return _LENIENT.decode(body.decode(errors="replace").removeprefix(_BYTE_ORDER_MARK))
    except (ValueError, RecursionError):
        return None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _finite_float(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise ValueError("the number is out of range")
    return number


def _short_int(digits: str) -> int | float:
    """Numbers that no id can have need not be exact; very long ones take long to read."""
    return int(digits) if len(digits) <= _EXACT_DIGITS else math.inf


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_finite_float)
_LENIENT = json.JSONDecoder(strict=False, parse_int=_short_int)


def _check_kind(sent: Mapping[str, Any]) -> None:
    """Refuse two other bodies of Qiscus that are sent here by mistake."""
    if "room_id" not in sent and isinstance(sent.get("service"), dict):
        detail = f"room_id is missing; send the webhook of a resolved room to {RESOLVE_PATH}."
        raise HttpProblem(UNUSABLE, detail)
    is_about_an_agent = isinstance(sent.get("agent"), dict)
    if is_about_an_agent and all(sent.get(key) is None for key in _ACCOUNT):
        detail = "This is the body of a custom button (an agent, no app_id): no customer waits."
        raise HttpProblem(UNUSABLE, detail)


def _check_app(sent: Mapping[str, Any], app_id: str | None) -> None:
    """Whoever names an account must name ours; older bodies name none (contract section 10)."""
    if app_id is None:
        return
    for key in _ACCOUNT:
        named = sent.get(key)
        if named is not None and named != app_id:
            detail = f"{key} is not the app id of the account that is served here."
            raise HttpProblem(FOREIGN_APP, detail)


def _room_id(within: Mapping[str, Any], path: str) -> RoomId:
    raw = _whole(within.get("room_id"))
    if raw is None:
        raise HttpProblem(UNUSABLE, f"{path} is missing; it must be text or a whole number.")
    try:
        room_id = parse_room_id(raw)
    except InvalidInput as error:
        found = "" if isinstance(raw, str) else f", not {_named(raw)}"
        raise HttpProblem(UNUSABLE, f"{path} {error.problem}{found}.") from error
    if isinstance(raw, int) and not 0 <= raw <= ID_LIMIT:
        raise HttpProblem(
            UNUSABLE, f"{path} must lie between 0 and {ID_LIMIT} where it is a number."
        )
    return room_id


def _channel_id(channel: object) -> ChannelId | None:
    number = _id(channel.get("id")) if isinstance(channel, dict) else None
    return None if number is None else ChannelId(number)


def _service_id(raw: object) -> ServiceId | None:
    number = _id(raw)
    return None if number is None else ServiceId(number)


def _base(latest_service: object) -> Service | None:
    """The evidence of `latest_service`, where both its id and its state are to be relied on."""
    if not isinstance(latest_service, dict):
        return None
    service_id = _service_id(latest_service.get("id"))
    is_resolved = latest_service.get("is_resolved")
    if service_id is None or not isinstance(is_resolved, bool):
        return None
    return Service(service_id, is_resolved)


def _id(raw: object) -> int | None:
    if isinstance(raw, str) and len(raw) <= _ID_DIGITS and raw.isascii() and raw.isdigit():
        raw = int(raw)
    raw = _whole(raw)
    if isinstance(raw, bool) or not isinstance(raw, int):
        return None
    return raw if 0 < raw <= ID_LIMIT else None


def _whole(raw: object) -> object:
    """JSON knows one kind of number: 7.0 is 7."""
    return int(raw) if isinstance(raw, float) and raw.is_integer() else raw


def _text(raw: object, limit: int) -> str | None:
    """Text that a store can keep: no control characters, no lone surrogates."""
    if not isinstance(raw, str) or not 0 < len(raw) <= limit:
        return None
    return raw if raw.isprintable() else None


def _properties(extras: object, kept: Collection[str]) -> Mapping[str, str]:
    """The allow-listed user properties; `extras` is a string that holds JSON, or null."""
    if not kept or not isinstance(extras, str):
        return {}
    try:
        read = _DECODER.decode(extras)
    except (ValueError, RecursionError):
        return {}
    rows = read.get("user_properties") if isinstance(read, dict) else None
    return dict(_kept(rows, kept)) if isinstance(rows, list) else {}


def _kept(rows: list[Any], kept: Collection[str]) -> Iterator[tuple[str, str]]:
    for row in rows:
        if not isinstance(row, dict) or not isinstance(row.get("key"), str):
            continue
        value = _text(row.get("value"), PROPERTY_LIMIT)
        if value is not None and row["key"] in kept:
            yield row["key"], value


def _named(value: object) -> str:
    """What kind of JSON value it is, without repeating it."""
    kinds = {bool: "a boolean", str: "text", int: "a number", float: "a number", list: "an array"}
    return "null" if value is None else kinds.get(type(value), "an object")
