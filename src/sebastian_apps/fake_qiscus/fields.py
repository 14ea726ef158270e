"""What a request carries: a form, JSON, a multipart body, a query, read as clients send them."""

import re
from collections.abc import Iterable, Mapping
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any, TypeAlias
from urllib.parse import parse_qsl

import msgspec

from sebastian_apps.fake_qiscus.http_server import Request

Fields: TypeAlias = Mapping[str, Any]

#: What clients send in a form for an argument that they leave out.
_NOTHING = (None, "", "null")
_LIST_NAME = re.compile(r"([^\[\]]+)\[\d*\]")


class NotUnderstoodError(ValueError):
    """The request lacks something, or holds something of the wrong type."""


def body_fields(request: Request) -> Fields:
    """The body's fields, whichever of the three encodings it came in."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not request.body:
        return {}
    if kind == "application/json":
        return _json_fields(request.body)
    if kind == "multipart/form-data":
        return _form_fields(_multipart_pairs(request))
    return _form_fields(parse_qsl(request.body.decode(), keep_blank_values=True))


def query_fields(request: Request) -> Fields:
    """The query's fields."""
    return _form_fields((name, value) for name, values in request.query.items() for value in values)


def text(fields: Fields, name: str) -> str:
    """A text or number that has to be there."""
    value = fields.get(name)
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        raise NotUnderstoodError(f"{name} is required")
    return str(value)


def words(fields: Fields, name: str) -> str | None:
    """A text that may be left out."""
    value = fields.get(name)
    return None if value in _NOTHING else str(value)


def whole(fields: Fields, name: str) -> int:
    """A whole number that has to be there."""
    value = number(fields, name)
    if value is None:
        raise NotUnderstoodError(f"{name} is required")
    return value


def number(fields: Fields, name: str) -> int | None:
    """A whole number that may be left out."""
    value = fields.get(name)
    return None if value in _NOTHING else _whole(value)


def numbers(fields: Fields, name: str) -> tuple[int, ...]:
    """Whole numbers: a list in JSON, or `name=1`, `name[]=1&name[]=2`, `name[0]=1` in a form."""
    value = fields.get(name)
    if value in _NOTHING:
        return ()
    return tuple(_whole(each) for each in (value if isinstance(value, list) else [value]))


def flag(fields: Fields, name: str) -> bool | None:
    """A truth value that may be left out."""
    value = fields.get(name)
    return None if value in _NOTHING else str(value).lower() in {"true", "1"}


def one_of(fields: Fields, name: str, known: Iterable[str]) -> str | None:
    """One of those words, or nothing; another one is refused."""
    value = words(fields, name)
    if value is not None and value not in known:
        raise NotUnderstoodError(f"{name} is none of {', '.join(known)}")
    return value


def refuse_cursor_before(fields: Fields) -> None:
    """Lists are paged forwards only; a cursor that leads back is refused, not passed over."""
    if words(fields, "cursor_before") is not None:
        raise NotUnderstoodError("cursor_before is not known here: follow cursor_after")


def _whole(value: object) -> int:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    digits = str(value).removesuffix(".0")
    if isinstance(value, bool) or not digits.removeprefix("-").isdecimal():
        raise NotUnderstoodError(f"{value!r} is not a whole number")
    return int(digits)


def _json_fields(body: bytes) -> Fields:
    fields = msgspec.json.decode(body)
    if not isinstance(fields, dict):
        raise NotUnderstoodError("the body is not an object")
    return fields


def _multipart_pairs(request: Request) -> Iterable[tuple[str, str]]:
    head = f"content-type: {request.headers['content-type']}\r\n\r\n".encode("latin-1")
    message = BytesParser(policy=HTTP).parsebytes(head + request.body)
    for part in message.iter_parts():
        name = part.get_param("name", header="content-disposition")
        yield str(name), part.get_content().strip()


def _form_fields(pairs: Iterable[tuple[str, str]]) -> Fields:
    """The fields of a form; a name with brackets, or one that comes twice, is a list."""
    fields: dict[str, Any] = {}
    for full_name, value in pairs:
        match = _LIST_NAME.fullmatch(full_name)
        name = match[1] if match else full_name
        if "[" in name:
            raise NotUnderstoodError(f"{name} is not understood in a form: send JSON")
        is_list = match is not None or name in fields
        fields[name] = [*_listed(fields.get(name, [])), value] if is_list else value
    return fields


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
