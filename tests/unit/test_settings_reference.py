"""The keys described: for the documentation, for editors, and the example file that users copy."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from sebastian_apps.settings import (
    Role,
    Settings,
    all_keys,
    describe_keys,
    describe_sections,
    json_schema,
    load_settings,
)

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
    assert named | {"qiscus.channel_id"} == {key.path for key in all_keys()}
    assert "#channel_id" in EXAMPLE.read_text()


def test_the_example_shows_the_defaults_and_the_documented_examples(complete: Path) -> None:
    settings, defaults = load_settings(complete, {}), load_settings(None, {})
    written = yaml.load(complete.read_text(), yaml.BaseLoader)

    for key in all_keys():
        if key.path == "qiscus.channel_id":
            continue
        if defaults.value_of(key.path) in (None, (), {}):
            example = yaml.load(str(key.example), yaml.BaseLoader)
            assert written[key.section][key.name] == example, key.path
        else:
            assert settings.value_of(key.path) == defaults.value_of(key.path), key.path


def test_every_default_is_told_as_it_would_be_written() -> None:
    defaults = load_settings(None, {})

    for key in all_keys():
        value = defaults.value_of(key.path)
        if value not in (None, (), {}):
            written = load_settings(None, {key.variables[0]: str(key.default)})
            assert written.value_of(key.path) == value, key.path


def test_the_example_says_that_the_rate_limit_is_per_process() -> None:
    before = EXAMPLE.read_text().partition("#rate_limit")[0]

    assert "PER PROCESS" in before.rpartition("qiscus:")[2]


def test_the_example_is_short() -> None:
    lines = EXAMPLE.read_text().splitlines()

    assert len(lines) < 130
    assert max(map(len, lines)) <= 100


def test_every_key_is_described() -> None:
    for key in all_keys():
        assert describe_keys()[key.path].endswith("."), key.path
        assert key.parser.expected, key.path
        assert re.fullmatch(r"QT_[A-Z]+_\w+", key.variables[0]), key.path
        assert bool(key.file_variables) == key.parser.secret, key.path
        assert key.default is not None or key.example or not key.need, key.path


def test_the_description_of_a_key_has_what_a_reader_asks() -> None:
    keys = {key.path: key for key in all_keys()}

    interval = keys["presence.interval"]
    assert (interval.variables, interval.file_variables) == (("QT_PRESENCE_INTERVAL",), ())
    assert interval.default == "10s"
    assert interval.parser.expected.startswith("a duration from 100ms to 1h")
    secret_key = keys["qiscus.secret_key"]
    assert secret_key.file_variables == ("QT_QISCUS_SECRET_KEY_FILE",)
    assert (secret_key.default, secret_key.need) == (None, "qiscus")
    assert keys["queue.broker_url"].default == "the value of redis.url"
    assert keys["qiscus.channel_id"].variables[0] == "QT_QISCUS_ChannelID"
    assert keys["reconcile.max_age"].default == "24h"


def test_variables_are_unique() -> None:
    names = [name for key in all_keys() for name in (*key.variables, *key.file_variables)]

    assert len(names) == len(set(names))


def test_secrets_are_those_that_the_design_names() -> None:
    assert {key.path for key in all_keys() if key.parser.secret} == {
        "db.connection_string",
        "db.migrate_connection_string",
        "redis.url",
        "webhook.token",
        "admin.token",
        "admin.tokens",
        "qiscus.secret_key",
        "qiscus.password",
        "qiscus.proxy",
        "adapters.options",
        "queue.broker_url",
    }


def test_sections_are_described_in_the_order_of_their_keys() -> None:
    sections = describe_sections()

    assert list(sections) == list(dict.fromkeys(key.path.partition(".")[0] for key in all_keys()))
    assert all(text.endswith(".") for text in sections.values())


class TestJsonSchema:
    def test_it_is_json_and_knows_exactly_the_keys(self) -> None:
        schema = json.loads(json.dumps(json_schema()))

        sections = schema["properties"]
        paths = [f"{name}.{key}" for name in sections for key in sections[name]["properties"]]
        assert paths == [key.path for key in all_keys()]
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
