"""What ends up in the settings: defaults, the file, the environment, and who beats whom."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sebastian_apps.settings import (
    ROLES,
    ConfigPlace,
    ConnectionUrl,
    Key,
    Need,
    Secret,
    Settings,
    SettingsError,
    all_keys,
    file_for_all_eyes,
    load_settings,
    require,
)
from sebastian_apps.settings.model import ListenSettings
from sebastian_apps.settings.values import format_duration, parse_duration

LONG = "0123456789abcdef01234567"
AS_VARIABLE = {
    "agents.capacity": "12345=5, 12346=1",
    "admin.tokens": "sari=first,budi=second",
    "adapters.options": "path=first,size=second",
}
"""What a variable or its file holds for keys whose example is YAML."""

Load: TypeAlias = Callable[..., Settings]


def said(**variables: str) -> Settings:
    """The settings of an environment with these variables, without their `QT_`."""
    return load_settings(None, {f"QT_{name}": value for name, value in variables.items()})


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Loads a text as config.yml, with an environment."""

    def load_text(text: str = "", environ: Mapping[str, str] | None = None) -> Settings:
        path = tmp_path / "config.yml"
        path.write_text(text, encoding="utf-8")
        return load_settings(path, environ or {})

    return load_text


class TestDefaults:
    def test_an_empty_file_means_the_documented_defaults(self, load: Load) -> None:
        settings = load("")

        assert settings == Settings()
        assert (settings.listen.host, settings.listen.port) == ("127.0.0.1", 3000)
        assert settings.webhook.max_current_customer == 3
        assert settings.qiscus.base_url == "https://omnichannel.qiscus.com"
        assert (settings.qiscus.rate_limit, settings.qiscus.burst) == (20, 20)
        assert settings.qiscus.in_flight == 64
        assert settings.qiscus.settle == timedelta(seconds=5)
        assert settings.presence.interval == timedelta(seconds=10)
        assert settings.presence.max_age == timedelta(seconds=30)
        assert settings.assign.verify
        assert settings.assign.match_channels
        assert settings.assign.alert_refusals == 5
        assert settings.assign.timeout == timedelta(seconds=6)
        assert settings.assign.reservation == timedelta(seconds=10)
        assert settings.reconcile.interval == timedelta(minutes=1)
        assert settings.reconcile.max_age == timedelta(hours=24)
        assert settings.history.keep == timedelta(days=90)
        assert settings.queue.doorbell == "dramatiq"

    def test_no_file_at_all_leaves_the_environment(self) -> None:
        settings = load_settings(None, {"QT_LISTEN_PORT": "8080"})

        assert settings.listen.port == 8080

    def test_a_section_without_keys_and_a_key_without_value_count_as_absent(
        self, load: Load
    ) -> None:
        settings = load('listen:\nqiscus:\n  app_id:\n  secret_key: ""\npresence: {interval: ~}\n')

        assert settings == Settings()

    def test_a_file_with_a_byte_order_mark_and_crlf_is_read(self, load: Load) -> None:
        assert load("\ufefflisten:\r\n  port: 81\r\n").listen.port == 81


class TestKeysOfTheOriginal:
    def test_its_configuration_file_works_unchanged(self, load: Load) -> None:
        settings = load(
            "listen:\n  port: 8080\n"
            "db:\n  connection_string: postgres://postgres:postgres@localhost:5432/qiscus_test\n"
            "redis:\n  url: localhost:6379\n"
            "webhook:\n  base_url: localhost:3000\n  max_current_customer: 2\n"
            "qiscus:\n  base_url: https://omnichannel.qiscus.com\n  app_id: abc\n"
            "  secret_key: def\n  email: a@example.com\n  password: 123456\n  channel_id: xxxxx\n"
        )

        assert settings.listen.port == 8080
        assert settings.db.connection_string == ConnectionUrl(
            "postgres://postgres:postgres@localhost:5432/qiscus_test"
        )
        assert settings.redis.url == ConnectionUrl("redis://localhost:6379")
        assert settings.webhook.base_url == "http://localhost:3000"
        assert settings.webhook.max_current_customer == 2
        assert settings.qiscus.app_id == "abc"
        assert settings.qiscus.secret_key == Secret("def")
        assert settings.qiscus.email == "a@example.com"
        assert settings.qiscus.password == Secret("123456")

    def test_its_variables_work_unchanged(self) -> None:
        settings = load_settings(
            None,
            {
                "QT_LISTEN_PORT": "8080",
                "QT_DB_CONNECTION_STRING": "host=localhost dbname=sebastian password=pw",
                "QT_REDIS_URL": "redis-1:6379",
                "QT_WEBHOOK_BASE_URL": "https://example.com/",
                "QT_WEBHOOK_MAX_CURRENT_CUSTOMER": "5",
                "QT_QISCUS_BASE_URL": "https://qismo.qiscus.com",
                "QT_QISCUS_APP_ID": "abc",
                "QT_QISCUS_SECRET_KEY": "def",
                "QT_QISCUS_EMAIL": "a@example.com",
                "QT_QISCUS_PASSWORD": "pw",
                "QT_QISCUS_ChannelID": "xxxxx",
            },
        )

        assert settings.listen.port == 8080
        assert settings.redis.url == ConnectionUrl("redis://redis-1:6379")
        assert settings.webhook.base_url == "https://example.com"
        assert settings.webhook.max_current_customer == 5
        assert settings.qiscus.base_url == "https://qismo.qiscus.com"
        assert settings.qiscus.app_id == "abc"
        assert settings.qiscus.secret_key == Secret("def")

    @pytest.mark.parametrize("value", ["0", "xxxxx", "[1, 2]", "{a: b}", "''"])
    def test_any_channel_id_is_accepted_without_effect(self, load: Load, value: str) -> None:
        assert load(f"qiscus:\n  channel_id: {value}\n") == Settings()


class TestPrecedence:
    def test_the_environment_beats_the_file(self, load: Load) -> None:
        settings = load("listen:\n  port: 1\n  host: '::1'\n", {"QT_LISTEN_PORT": "2"})

        assert (settings.listen.port, settings.listen.host) == (2, "::1")

    def test_a_variable_without_value_does_not_beat_the_file(self, load: Load) -> None:
        assert load("listen:\n  port: 1\n", {"QT_LISTEN_PORT": ""}).listen.port == 1

    @given(in_file=st.none() | st.integers(1, 65535), in_variable=st.none() | st.integers(1, 65535))
    def test_variable_then_file_then_default(
        self,
        tmp_path_factory: pytest.TempPathFactory,
        in_file: int | None,
        in_variable: int | None,
    ) -> None:
        path = tmp_path_factory.getbasetemp() / "precedence.yml"
        path.write_text("" if in_file is None else f"listen: {{port: {in_file}}}")
        environ = {} if in_variable is None else {"QT_LISTEN_PORT": str(in_variable)}

        settings = load_settings(path, environ)

        assert settings.listen.port == (in_variable or in_file or 3000)

    @pytest.mark.parametrize("key", [k for k in all_keys() if k.path != "qiscus.channel_id"])
    def test_every_key_can_be_set_by_its_variable(self, key: Key) -> None:
        value = key.example or key.default or ""
        value = AS_VARIABLE.get(key.path, value)

        settings = load_settings(None, {key.variables[0]: value})

        assert settings.place_of(key.path) == ConfigPlace(key.variables[0])

    def test_where_a_value_came_from_is_remembered(self, load: Load) -> None:
        settings = load(
            "listen:\n  port: 1\npresence:\n  max_age: 60\n", {"QT_PRESENCE_MAX_AGE": "90"}
        )

        assert str(settings.place_of("listen.port")).endswith("config.yml:2:9")
        assert str(settings.place_of("listen.host")).endswith("config.yml:1:1")
        assert str(settings.place_of("presence.max_age")) == "QT_PRESENCE_MAX_AGE"
        assert settings.place_of("log.level").source.endswith("config.yml")


class TestSecretsFromFiles:
    @pytest.mark.parametrize(
        "key", [k for k in all_keys() if k.parser.secret], ids=lambda k: k.path
    )
    def test_every_secret_can_come_from_a_file(self, tmp_path: Path, key: Key) -> None:
        file = tmp_path / "secret"
        file.write_text(f"{AS_VARIABLE.get(key.path, key.example)}\n")

        settings = load_settings(None, {key.file_variables[0]: str(file)})

        expected = ["first", "second"] if key.path in AS_VARIABLE else [key.example]
        assert [secret.reveal() for secret in settings.secrets()] == expected

    def test_it_beats_the_configuration_file(self, load: Load, tmp_path: Path) -> None:
        file = tmp_path / "secret"
        file.write_text("from-file\r\n")

        settings = load(
            "qiscus:\n  secret_key: from-config\n", {"QT_QISCUS_SECRET_KEY_FILE": str(file)}
        )

        assert settings.qiscus.secret_key == Secret("from-file")

    def test_a_token_file_may_hold_a_token_a_line(self, tmp_path: Path) -> None:
        file = tmp_path / "tokens"
        file.write_text("new-token\nold-token\n")

        settings = load_settings(None, {"QT_WEBHOOK_TOKEN_FILE": str(file)})

        assert settings.webhook.token == (Secret("new-token"), Secret("old-token"))


class TestValues:
    @pytest.mark.parametrize(
        ("text", "seconds"),
        [
            ("10", 10),
            ("0.5", 0.5),
            ("500ms", 0.5),
            ("10s", 10),
            ("'10'", 10),
            ("1m30s", 90),
            ("1h", 3600),
        ],
    )
    def test_durations_have_units_or_count_seconds(
        self, load: Load, text: str, seconds: float
    ) -> None:
        settings = load(f"presence: {{interval: {text}, max_age: 24h}}")

        assert settings.presence.interval == timedelta(seconds=seconds)

    @given(st.integers(0, 10**15).map(lambda n: timedelta(microseconds=n)))
    def test_a_duration_that_is_shown_reads_as_the_same(self, duration: timedelta) -> None:
        assert parse_duration(format_duration(duration)) == duration

    @given(st.text(max_size=12))
    def test_a_text_is_a_duration_or_refused_and_nothing_else_happens(self, text: str) -> None:
        try:
            duration = parse_duration(text)
        except ValueError:
            return

        assert duration >= timedelta()

    @pytest.mark.parametrize(
        ("text", "url"),
        [
            ("localhost", "redis://localhost"),
            ("localhost:6379", "redis://localhost:6379"),
            (":6379", "redis://localhost:6379"),
            ("10.0.0.7:6380", "redis://10.0.0.7:6380"),
            ("'[::1]:6379'", "redis://[::1]:6379"),
            ("redis://:pw@host/3", "redis://:pw@host/3"),
            ("rediss://host:1", "rediss://host:1"),
            ("unix:///run/redis.sock", "unix:///run/redis.sock"),
        ],
    )
    def test_redis_is_a_url_or_host_and_port(self, load: Load, text: str, url: str) -> None:
        assert load(f"redis:\n  url: {text}\n").redis.url == ConnectionUrl(url)

    @pytest.mark.parametrize("word", ["true", "True", "yes", "on", "1"])
    def test_flags_take_the_usual_words(self, load: Load, word: str) -> None:
        assert load(f"webhook:\n  insecure: {word}\n").webhook.insecure

    @pytest.mark.parametrize("text", ["20", "20.0", "20/s"])
    def test_a_rate_may_carry_its_unit(self, load: Load, text: str) -> None:
        assert load(f"qiscus:\n  rate_limit: {text}\n").qiscus.rate_limit == 20

    @pytest.mark.parametrize("text", ["one", "[one]", "'one,two'", "[one, two, one]"])
    def test_a_token_is_one_or_several_each_once(self, load: Load, text: str) -> None:
        expected = (Secret("one"), Secret("two"))[: 2 if "two" in text else 1]

        assert load(f"webhook:\n  token: {text}\n").webhook.token == expected

    @pytest.mark.parametrize("text", ["0123", "1e3", "yes", "null-ish", "2024-01-01"])
    def test_texts_need_no_quotes_where_yaml_sees_something_else(
        self, load: Load, text: str
    ) -> None:
        settings = load(f"qiscus:\n  app_id: {text}\n  password: {text}\n")

        assert settings.qiscus.app_id == text
        assert settings.qiscus.password == Secret(text)

    def test_capacity_differs_by_agent(self, load: Load) -> None:
        settings = load("agents:\n  capacity:\n    12: 7\n    13: 0\n")

        assert settings.agents.capacity == {12: 7, 13: 0}

    def test_capacities_fit_into_a_variable(self) -> None:
        settings = load_settings(None, {"QT_AGENTS_CAPACITY": "12=7, 13: 0"})

        assert settings.agents.capacity == {12: 7, 13: 0}

    def test_the_broker_is_redis_unless_it_is_named(self) -> None:
        assert said(REDIS_URL="redis://r").broker_url == ConnectionUrl("redis://r")
        named = said(REDIS_URL="redis://r", QUEUE_BROKER_URL="redis://b")
        assert named.broker_url == ConnectionUrl("redis://b")

    def test_settings_made_in_code_are_checked_for_their_range_too(self) -> None:
        with pytest.raises(ValueError, match="port: expected a whole number from 1 to 65535"):
            ListenSettings(port=0)

    def test_anchors_may_be_used_in_several_places(self, load: Load) -> None:
        settings = load(
            "assign: &times\n  timeout: &t 1s\n  reservation: 2s\nqiscus:\n  timeout: *t\n"
        )

        assert settings.qiscus.timeout == timedelta(seconds=1)


class TestNeeds:
    @pytest.mark.parametrize(
        ("needs", "keys"),
        [
            ({"db"}, ["db.connection_string"]),
            ({"redis"}, ["redis.url"]),
            ({"qiscus"}, ["qiscus.app_id", "qiscus.secret_key"]),
            ({"set-webhook"}, ["webhook.base_url"]),
            ({"exposure"}, []),
            ((), []),
        ],
    )
    def test_each_need_names_what_is_missing(self, needs: set[Need], keys: list[str]) -> None:
        if not keys:
            require(Settings(), needs)
            return

        with pytest.raises(SettingsError) as caught:
            require(Settings(), needs)

        assert [problem.key for problem in caught.value.problems] == keys

    def test_settings_that_have_everything_pass(self) -> None:
        require(
            said(DB_CONNECTION_STRING="postgresql://h/d", REDIS_URL="redis://h"), ROLES["webhook"]
        )

    @pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "localhost"])
    def test_a_webhook_on_loopback_needs_no_token(self, host: str) -> None:
        require(said(LISTEN_HOST=host), {"exposure"})

    @pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.1.2.3", "example.com"])
    def test_a_webhook_that_strangers_reach_needs_a_token_or_a_clear_word(self, host: str) -> None:
        with pytest.raises(SettingsError, match=r"listen\.host"):
            require(said(LISTEN_HOST=host, ADMIN_TOKEN="x"), {"exposure"})

        require(said(LISTEN_HOST=host, WEBHOOK_TOKEN=LONG), {"exposure"})
        require(said(LISTEN_HOST=host, WEBHOOK_INSECURE="true"), {"exposure"})

    @pytest.mark.parametrize("weak", ["x", LONG[:19], "abababababababababababab"])
    @pytest.mark.parametrize(
        ("key", "variable", "others"),
        [
            ("webhook.token", "WEBHOOK_TOKEN", {"LISTEN_HOST": "0.0.0.0"}),
            (
                "admin.tokens.a",
                "ADMIN_TOKENS",
                {"LISTEN_HOST": "0.0.0.0", "WEBHOOK_TOKEN": LONG},
            ),
            ("admin.token", "ADMIN_TOKEN", {"METRICS_HOST": "0.0.0.0", "METRICS_PORT": "9464"}),
        ],
    )
    def test_a_token_that_can_be_guessed_keeps_no_stranger_out(
        self, key: str, variable: str, others: dict[str, str], weak: str
    ) -> None:
        token = {variable: f"a={weak}" if variable == "ADMIN_TOKENS" else weak}

        with pytest.raises(SettingsError) as caught:
            require(said(**token, **others), {"exposure"})

        assert [each.key for each in caught.value.problems] == [key]
        require(said(**token), {"exposure"})

    def test_a_worker_needs_no_strong_token_where_nobody_can_ask_it(self) -> None:
        require(said(LISTEN_HOST="0.0.0.0", ADMIN_TOKEN="x"), {"metrics-exposure"})

    def test_a_token_that_stands_in_urls_is_no_token_for_people(self) -> None:
        settings = said(LISTEN_HOST="0.0.0.0", WEBHOOK_TOKEN=LONG, ADMIN_TOKEN=LONG)

        with pytest.raises(SettingsError, match="stand in URLs"):
            require(settings, {"exposure"})


class TestNamedTokens:
    def test_they_stand_beside_the_unnamed_one_and_are_as_secret(self, load: Load) -> None:
        settings = load("admin:\n  token: one\n  tokens:\n    sari: two\n    budi.s: three\n")

        assert {path: each.reveal() for path, each in settings.admin.by_path.items()} == {
            "admin.token": "one",
            "admin.tokens.sari": "two",
            "admin.tokens.budi.s": "three",
        }
        assert {each.reveal() for each in settings.secrets()} == {"one", "two", "three"}
        assert "two" not in repr(settings)

    def test_a_file_may_have_a_line_for_each(self, tmp_path: Path) -> None:
        file = tmp_path / "tokens"
        file.write_text("sari=dHdv==\nbudi=three\n")

        settings = load_settings(None, {"QT_ADMIN_TOKENS_FILE": str(file)})

        tokens = settings.admin.tokens
        assert {name: each.reveal() for name, each in tokens.items()} == {
            "sari": "dHdv==",
            "budi": "three",
        }


class TestTheFileItself:
    @pytest.mark.parametrize(
        ("mode", "text", "is_told"),
        [
            (0o644, "admin: {token: hunter2}", True),
            (0o604, "redis: {url: 'redis://:hunter2@h'}", True),
            (0o640, "admin: {token: hunter2}", False),
            (0o644, "listen: {port: 1}", False),
        ],
    )
    def test_secrets_that_every_user_can_read_are_found(
        self, tmp_path: Path, mode: int, text: str, is_told: bool
    ) -> None:
        path = tmp_path / "config.yml"
        path.write_text(text)
        path.chmod(mode)

        found = file_for_all_eyes(load_settings(path, {}))

        assert found == (path if is_told else None)

    def test_secrets_from_elsewhere_leave_nothing_to_hide(self, tmp_path: Path) -> None:
        path = tmp_path / "config.yml"
        path.write_text("listen: {port: 1}")
        path.chmod(0o644)

        assert file_for_all_eyes(load_settings(path, {"QT_ADMIN_TOKEN": "hunter2"})) is None


def test_importing_the_settings_loads_neither_yaml_nor_anything_of_a_server() -> None:
    code = (
        "import sys, sebastian_apps.settings;"
        "print(sorted({name.partition('.')[0] for name in sys.modules} & "
        "{'yaml', 'structlog', 'difflib', 'asyncio', 'httpx', 'redis', 'psycopg', 'litestar'}))"
    )

    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )

    assert answer.stdout.strip() == "[]"
