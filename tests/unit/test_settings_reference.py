"""The keys described: for the documentation, for editors, and the example file that users copy."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from sebastian_apps.settings import (
    Role,
    Settings,
    describe,
    describe_sections,
    json_schema,
    load_settings,
)
from sebastian_apps.settings.model import all_keys

EXAMPLE = Path(__file__).parents[2] / "config.example.yml"


@pytest.fixture
def complete(tmp_path: Path) -> Path:
    """The example with everything that is commented out switched on."""
    path = tmp_path / "complete.yml"
    path.write_text(re.sub(r"^  #(\w+:)", r"  \1", EXAMPLE.read_text(), flags=re.MULTILINE))
    return path


@pytest.mark.parametrize("role", ["webhook", "worker", "set-webhook", "migrate"])
def test_the_example_is_all_that_each_process_needs(role: Role) -> None:
    load_settings(EXAMPLE, {}, role=role)


def test_the_example_changes_nothing_but_what_must_be_filled_in() -> None:
    settings = load_settings(EXAMPLE, {})

    set_in_it = {path for path in settings.places if "." in path}
    assert set_in_it == {
        "db.connection_string",
        "redis.url",
        "webhook.base_url",
        "qiscus.app_id",
        "qiscus.secret_key",
    }


def test_the_example_names_every_key(complete: Path) -> None:
    settings = load_settings(complete, {})

    named = {path for path in settings.places if "." in path}
    assert named | {"qiscus.channel_id"} == {key.path for key in describe()}
    assert "#channel_id" in EXAMPLE.read_text()


def test_the_example_shows_the_defaults_and_the_documented_examples(complete: Path) -> None:
    settings = load_settings(complete, {})

    for key in all_keys():
        written = key.option.example if key.default in (None, (), {}) else None
        expected = key.option.kind.show(key.default) if written is None else written
        value = settings.value_of(key.path)
        if key.path != "qiscus.channel_id":
            assert _shown(key.option.kind.show(value), value) == expected, key.path


def test_the_example_says_that_the_rate_limit_is_per_process() -> None:
    before = EXAMPLE.read_text().partition("#rate_limit")[0]

    assert "PER PROCESS" in before.rpartition("qiscus:")[2]


def test_the_example_is_short() -> None:
    lines = EXAMPLE.read_text().splitlines()

    assert len(lines) < 130
    assert max(map(len, lines)) <= 100


def test_every_key_is_described() -> None:
    for key in describe():
        assert key.doc.endswith("."), key.path
        assert key.takes, key.path
        assert re.fullmatch(r"QT_[A-Z]+_\w+", key.env), key.path
        assert (key.file_env is not None) == key.secret, key.path
        assert key.default is not None or key.example or not key.need, key.path


def test_the_description_of_a_key_has_what_a_reader_asks() -> None:
    keys = {key.path: key for key in describe()}

    interval = keys["presence.interval"]
    assert (interval.env, interval.file_env) == ("QT_PRESENCE_INTERVAL", None)
    assert interval.default == "10s"
    assert interval.takes.startswith("a duration from 100ms to 1h")
    secret_key = keys["qiscus.secret_key"]
    assert secret_key.file_env == "QT_QISCUS_SECRET_KEY_FILE"
    assert (secret_key.default, secret_key.need) == (None, "qiscus")
    assert keys["queue.broker_url"].default == "the value of redis.url"
    assert keys["qiscus.channel_id"].env == "QT_QISCUS_ChannelID"
    assert keys["reconcile.max_age"].default == "24h"


def test_variables_are_unique() -> None:
    names = [name for key in all_keys() for name in (*key.variables, *key.file_variables)]

    assert len(names) == len(set(names))


def test_secrets_are_those_that_the_design_names() -> None:
    assert {key.path for key in describe() if key.secret} == {
        "db.connection_string",
        "db.migrate_connection_string",
        "redis.url",
        "webhook.token",
        "admin.token",
        "admin.tokens",
        "qiscus.secret_key",
        "qiscus.password",
        "qiscus.proxy",
        "queue.broker_url",
    }


def test_sections_are_described_in_the_order_of_their_keys() -> None:
    sections = describe_sections()

    assert list(sections) == list(dict.fromkeys(key.path.partition(".")[0] for key in describe()))
    assert all(text.endswith(".") for text in sections.values())


class TestJsonSchema:
    def test_it_is_json_and_knows_exactly_the_keys(self) -> None:
        schema = json.loads(json.dumps(json_schema()))

        sections = schema["properties"]
        paths = [f"{name}.{key}" for name in sections for key in sections[name]["properties"]]
        assert paths == [key.path for key in describe()]
        assert schema["additionalProperties"] is False
        assert all(section["additionalProperties"] is False for section in sections.values())

    def test_it_takes_the_values_of_the_example(self, complete: Path) -> None:
        schema = json.loads(json.dumps(json_schema()))
        written = yaml.safe_load(complete.read_text())

        for name, keys in written.items():
            for key, value in keys.items():
                declared = schema["properties"][name]["properties"][key]
                assert _fits(value, declared), f"{name}.{key}"

    def test_it_refuses_what_the_loader_refuses(self) -> None:
        port = json.loads(json.dumps(json_schema()))["properties"]["listen"]["properties"]["port"]

        assert _fits(3000, port)
        assert _fits(None, port)
        assert not _fits("http", port)
        assert not _fits(70000, port)

    def test_it_shows_no_example_of_a_secret(self) -> None:
        assert "0123456789abcdef" not in json.dumps(json_schema())


def test_settings_are_equal_wherever_they_come_from(tmp_path: Path) -> None:
    path = tmp_path / "config.yml"
    path.write_text("listen: {port: 81}")

    assert load_settings(path, {}) == load_settings(None, {"QT_LISTEN_PORT": "81"}) != Settings()


def _shown(text: str, value: object) -> str:
    """The text of a value, with its secrets revealed."""
    reveal = getattr(value, "reveal", None)
    if reveal is not None:
        return str(reveal())
    if isinstance(value, Mapping) and "***" in text:
        return "{" + ", ".join(f"{name}: {each.reveal()}" for name, each in value.items()) + "}"
    return str(value[0].reveal()) if isinstance(value, tuple) else text


def _fits(value: object, schema: dict[str, object]) -> bool:
    """As much of JSON Schema as our schema uses."""
    checks: dict[str, Callable[[Any], object]] = {
        "anyOf": lambda wanted: any(_fits(value, one) for one in wanted),
        "type": lambda wanted: _is_of_type(value, wanted),
        "enum": lambda wanted: value in wanted,
        "pattern": lambda wanted: not isinstance(value, str) or re.search(wanted, value),
        "minimum": lambda wanted: not isinstance(value, int | float) or value >= wanted,
        "maximum": lambda wanted: not isinstance(value, int | float) or value <= wanted,
    }
    return all(checks[name](wanted) for name, wanted in schema.items() if name in checks)


def _is_of_type(value: object, wanted: str | list[str]) -> bool:
    types: dict[str, type | tuple[type, ...]] = {
        "string": str,
        "integer": int,
        "number": (int, float),
        "boolean": bool,
        "object": dict,
        "array": list,
        "null": type(None),
    }
    names = [wanted] if isinstance(wanted, str) else wanted
    return any(
        isinstance(value, types[name]) and (name == "boolean" or not isinstance(value, bool))
        for name in names
    )
