"""`sebastian config`: a file is asked for, written, checked and described."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sebastian_apps.cli.main import main
from sebastian_apps.settings import load_settings

ANSWERS = "abcde-fghijklmnopqrstu\ntopsecret\n\n\nhttps://sebastian.example.com\n5\n"


def run(*arguments: str, stdin: str = "") -> Result:
    return CliRunner().invoke(main, ["config", *arguments], input=stdin)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "config.yml"


def test_init_asks_and_writes_what_can_be_used(config: Path) -> None:
    result = run("init", "-c", str(config), stdin=ANSWERS)

    settings = load_settings(config, {}, needs={"db", "redis", "qiscus", "set-webhook"})
    assert result.exit_code == 0, result.output
    assert settings.qiscus.app_id == "abcde-fghijklmnopqrstu"
    assert settings.webhook.base_url == "https://sebastian.example.com"
    assert settings.webhook.max_current_customer == 5
    assert len(settings.webhook.token[0].reveal()) > 20
    assert settings.admin.token != settings.webhook.token[0]
    assert "topsecret" not in result.output


def test_what_init_wrote_only_its_owner_can_read(config: Path) -> None:
    run("init", "-c", str(config), stdin=ANSWERS)

    assert stat.S_IMODE(config.stat().st_mode) == 0o600


def test_init_asks_again_after_a_wrong_answer(config: Path) -> None:
    wrong_first = ANSWERS.replace("https://", "ftp://sebastian.example.com\nhttps://", 1)

    result = run("init", "-c", str(config), stdin=wrong_first)

    assert result.exit_code == 0
    assert "expected an http or https URL" in result.output


def test_init_replaces_nothing_unless_forced(config: Path) -> None:
    config.write_text("listen: {port: 8080}")

    refused = run("init", "-c", str(config), stdin=ANSWERS)
    forced = run("init", "-c", str(config), "--force", stdin=ANSWERS)

    assert refused.exit_code == 1
    assert "--force replaces it" in refused.output
    assert forced.exit_code == 0
    assert load_settings(config, {}).listen.port == 3000


def test_check_tells_everything_that_is_wrong_with_line_and_column(config: Path) -> None:
    config.write_text("presence:\n  intervall: 10s\nlisten:\n  port: high\n")

    result = run("check", "--offline", "-c", str(config))

    assert result.exit_code == 2
    assert f"{config}:2:3 presence.intervall: unknown key; did you mean" in result.output
    assert f"{config}:4:9 listen.port: expected" in result.output
    assert "qiscus.app_id: missing" in result.output


def test_check_warns_of_weak_tokens_and_says_what_helps(config: Path) -> None:
    run("init", "-c", str(config), stdin=ANSWERS)
    values = config.read_text().splitlines()
    config.write_text("\n".join("  token: abc" if "token" in line else line for line in values))

    result = run("check", "--offline", "-c", str(config))

    assert result.exit_code == 0
    assert result.output == (
        "warning webhook-token-weak: webhook.token is short or simple enough to be guessed.\n"
        "        → Set a long random one: openssl rand -hex 24\n"
        "warning admin-token-weak: admin.token is short or simple enough to be guessed.\n"
        "        → Set a long random one: openssl rand -hex 24\n"
        f"{config} can be used\n"
    )


def test_a_file_that_init_wrote_has_nothing_to_warn_of(config: Path) -> None:
    run("init", "-c", str(config), stdin=ANSWERS)

    result = run("check", "--offline", "-c", str(config))

    assert result.output == f"{config} can be used\n"


def test_check_warns_of_an_address_that_qiscus_cannot_reach(config: Path) -> None:
    local = ANSWERS.replace("https://sebastian.example.com", "http://localhost:3000")
    run("init", "-c", str(config), stdin=local)

    result = run("check", "--offline", "-c", str(config))

    assert "warning webhook-url-local" in result.output


def test_check_takes_a_local_address_where_the_platform_is_on_this_machine_too(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    local = ANSWERS.replace("https://sebastian.example.com", "http://localhost:3000")
    run("init", "-c", str(config), stdin=local)
    monkeypatch.setenv("QT_QISCUS_BASE_URL", "http://127.0.0.1:4000")

    result = run("check", "--offline", "-c", str(config))

    assert result.output == f"{config} can be used\n"


def test_schema_prints_a_json_schema() -> None:
    schema = json.loads(run("schema").output)

    assert schema["properties"]["presence"]["properties"]["interval"]
