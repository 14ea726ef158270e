"""The keys described: for the configuration reference, for editors, for `config init`."""

from __future__ import annotations

from attrs import frozen

from sebastian_apps.settings.kinds import Schema
from sebastian_apps.settings.model import Settings, all_keys
from sebastian_apps.settings.options import Key, sections_of


@frozen
class KeyDoc:
    """What a reader wants to know of one key.

    `takes` is what may be written, `default` and `example` are as they would be written (None where
    there is none), `env` and `file_env` are variables (`file_env` names a file, for secrets).
    `need` names what makes the key required; see `ROLES` for who needs what.
    """

    path: str
    doc: str
    takes: str
    default: str | None
    example: str | None
    env: str
    file_env: str | None
    secret: bool
    need: str | None


def describe() -> list[KeyDoc]:
    """Every key, in the order in which people read them."""
    return [_describe(key) for key in all_keys()]


def describe_sections() -> dict[str, str]:
    """Every section with a sentence of what it is about, in the same order."""
    return {name: _first_line(type_) for name, type_ in sections_of(Settings)}


def json_schema() -> Schema:
    """A JSON Schema (2020-12) of the file, for editors."""
    sections: Schema = {name: _section_schema(name, type_) for name, type_ in sections_of(Settings)}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Sebastian's configuration",
        "type": ["object", "null"],
        "additionalProperties": False,
        "properties": sections,
    }


def _section_schema(name: str, type_: type) -> Schema:
    keys: Schema = {key.name: _key_schema(key) for key in all_keys() if key.section == name}
    return {
        "description": _first_line(type_),
        "type": ["object", "null"],
        "additionalProperties": False,
        "properties": keys,
    }


def _key_schema(key: Key) -> Schema:
    described = _describe(key)
    schema: Schema = {"description": f"{key.option.doc} Variable: {described.env}."}
    if described.default is not None:
        schema["description"] = f"{schema['description']} Default: {described.default}."
    if described.example is not None and not key.secret:
        schema["examples"] = [described.example]
    value = key.option.kind.schema()
    return {**schema, "anyOf": [value, {"type": "null"}]} if value else schema


def _describe(key: Key) -> KeyDoc:
    return KeyDoc(
        path=key.path,
        doc=key.option.doc,
        takes=key.option.kind.expected,
        default=_default(key),
        example=key.option.example,
        env=key.variables[0],
        file_env=next(iter(key.file_variables), None),
        secret=key.secret,
        need=key.option.need,
    )


def _default(key: Key) -> str | None:
    if key.default is None or key.default == ():
        return key.option.effective_default
    return key.option.kind.show(key.default)


def _first_line(type_: type) -> str:
    return (type_.__doc__ or "").partition("\n")[0]
