"""The file described for people and for editors: sections, keys, and its JSON Schema."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from functools import cache
from itertools import pairwise

from sebastian_apps.settings import model
from sebastian_apps.settings.keys import Key, sections_of
from sebastian_apps.settings.values import Schema


def describe_sections() -> dict[str, str]:
    """Every section with a sentence of what it is about, in the order of the keys."""
    return {
        name: (type_.__doc__ or "").partition("\n")[0]
        for name, type_ in sections_of(model.Settings)
    }


@cache
def describe_keys() -> dict[str, str]:
    """Every key by its path, with what it is for: the text below it in the model."""
    below = dict(_texts_below(ast.parse(inspect.getsource(model))))
    types = dict(sections_of(model.Settings))
    return {key.path: below[types[key.section].__name__, key.name] for key in model.all_keys()}


def json_schema() -> Schema:
    """A JSON Schema (2020-12) of the file, for editors."""
    sections: Schema = {}
    for name, doc in describe_sections().items():
        keys = {key.name: _key_schema(key) for key in model.all_keys() if key.section == name}
        sections[name] = {"description": doc, **_object(keys)}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Sebastian's configuration",
        **_object(sections),
    }


def _object(properties: Schema) -> Schema:
    return {"type": ["object", "null"], "additionalProperties": False, "properties": properties}


def _key_schema(key: Key) -> Schema:
    default = "" if key.default is None else f" Default: {key.default}."
    doc = f"{describe_keys()[key.path]} Variable: {key.variables[0]}.{default}"
    schema: Schema = {"description": doc}
    if key.example is not None and not key.parser.secret:
        schema["examples"] = [key.example]
    value = key.parser.schema
    return {**schema, "anyOf": [value, {"type": "null"}]} if value else schema


def _texts_below(module: ast.Module) -> Iterator[tuple[tuple[str, str], str]]:
    """Of every class and its fields the texts that stand below these, each as one line."""
    for class_ in module.body:
        if isinstance(class_, ast.ClassDef):
            for declared, text in pairwise(class_.body):
                match declared, text:
                    case ast.AnnAssign(ast.Name(name)), ast.Expr(ast.Constant(str(words))):
                        yield (class_.name, name), " ".join(words.split())
