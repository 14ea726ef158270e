"""Compares bodies with the example payloads: by key sets and types, never by values."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PAYLOADS = Path(__file__).parent / "payloads"


def a_payload(name: str) -> Any:
    """The example of that name, decoded."""
    return json.loads((PAYLOADS / f"{name}.json").read_text())


def differences(told: object, example: object) -> list[str]:
    """Where the two differ in keys or types; null goes with everything, lists by first element."""
    return list(_differences(told, example, "$"))


def _differences(told: object, example: object, place: str) -> Iterator[str]:
    if told is None or example is None:
        return
    if type(told) is not type(example):
        yield f"{place}: {type(told).__name__} is not {type(example).__name__}"
    elif isinstance(told, dict) and isinstance(example, dict):
        for key in sorted(set(told) ^ set(example)):
            yield f"{place}.{key}: {'too many' if key in told else 'missing'}"
        for key in sorted(set(told) & set(example)):
            yield from _differences(told[key], example[key], f"{place}.{key}")
    elif isinstance(told, list) and isinstance(example, list) and told and example:
        yield from _differences(told[0], example[0], f"{place}[0]")
