"""The command line as a whole: it teaches, it starts quickly, and it fails in sentences."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import click
import pytest
from click.testing import CliRunner

from sebastian_apps.cli.main import COMMANDS, main
from sebastian_apps.entry.startup import starting
from sebastian_core.domain.errors import StoreUnavailable

SLOW = ("click.testing", "dramatiq", "httpx", "litestar", "psycopg", "redis", "rich", "uvicorn")
NOWHERE = "postgresql://somebody:hunter2@127.0.0.1:1/nothing"


def commands() -> Iterator[tuple[str, click.Command]]:
    """Every command and subcommand, by how it is called."""
    for name in COMMANDS:
        command = main.get_command(click.Context(main), name)
        assert command is not None
        yield name, command
        if isinstance(command, click.Group):
            yield from ((f"{name} {sub}", each) for sub, each in command.commands.items())


@pytest.mark.parametrize(("name", "command"), [(n, c) for n, c in commands()])
def test_every_command_teaches_with_an_example(name: str, command: click.Command) -> None:
    result = CliRunner().invoke(main, [*name.split(), "--help"])

    assert result.exit_code == 0
    assert f"sebastian {name}" in " ".join((command.help or "").split()), "no example"


def test_help_loads_nothing_that_is_slow() -> None:
    code = (
        "import sys; from sebastian_apps.cli.main import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "print('LOADED', *sys.modules)"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    loaded = set(done.stdout.partition("LOADED")[2].split())
    assert not loaded & set(SLOW)
    assert {"queue", "doctor", "why"} <= set(done.stdout.split())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["quue"], "There is no command 'quue'. Did you mean 'queue'?"),
        (["agents", "puase", "7"], "There is no command 'puase'. Did you mean 'pause'?"),
        (["agents", "xyz"], "There is no command 'xyz'. There are: "),
        (["agents", "pause", "Anne"], "'Anne' is not an agent's id, which is a number."),
    ],
)
def test_what_was_misspelt_is_told_with_what_would_be_right(words: list[str], said: str) -> None:
    result = CliRunner().invoke(main, words)

    assert result.exit_code == 2
    assert said in result.output


def test_a_failure_is_one_sentence_without_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    fails(monkeypatch, StoreUnavailable("PostgreSQL", "connection refused"))

    result = CliRunner().invoke(main, ["failing"])

    assert result.exit_code == 1
    assert result.output == "Error: PostgreSQL is unavailable: connection refused\n"


def test_a_mistake_of_ours_says_how_to_see_more(monkeypatch: pytest.MonkeyPatch) -> None:
    fails(monkeypatch, KeyError("oops"))

    result = CliRunner().invoke(main, ["failing"])

    assert result.exit_code == 1
    assert result.output == (
        "Error: KeyError: 'oops'\nThis should not happen; --debug shows where it did.\n"
    )


@pytest.mark.parametrize("arguments", [["--debug", "failing"], ["failing", "--debug"]])
def test_debug_shows_where_it_failed(monkeypatch: pytest.MonkeyPatch, arguments: list[str]) -> None:
    error = StoreUnavailable("PostgreSQL", "connection refused")
    fails(monkeypatch, error)

    result = CliRunner().invoke(main, arguments)

    assert result.exception is error


def test_an_unreachable_database_is_told_without_its_password(tmp_path: Path) -> None:
    config = tmp_path / "config.yml"
    values = {"db": {"connection_string": NOWHERE}, "redis": {"url": "127.0.0.1:1"}}
    config.write_text(json.dumps(values))

    result = CliRunner().invoke(main, ["queue", "-c", str(config)])

    assert result.exit_code == 1
    assert result.output.startswith("Error: PostgreSQL is unavailable: ")
    assert "hunter2" not in result.output


@pytest.mark.parametrize(("mode", "lines"), [(0o644, 1), (0o640, 0)])
def test_a_service_says_once_that_every_user_can_read_its_secrets(
    monkeypatch: pytest.MonkeyPatch, configured: Path, mode: int, lines: int
) -> None:
    monkeypatch.setitem(COMMANDS, "beginning", ("beginning:beginning", ""))
    command = click.Command("beginning", callback=partial(starting, configured))
    monkeypatch.setitem(sys.modules, "beginning", SimpleNamespace(beginning=command))
    configured.chmod(mode)

    result = CliRunner().invoke(main, ["beginning"])

    assert result.output.count("every user of this machine can read it") == lines


def fails_with_its_password(config: Path | None) -> None:
    """What a command or a service does that reads its settings and meets a driver's bug."""
    starting(config)
    raise ValueError("no host 'hunter" + "2@127.0.0.1'")


def test_an_error_that_nobody_expected_is_told_without_the_password(
    monkeypatch: pytest.MonkeyPatch, configured: Path
) -> None:
    monkeypatch.setitem(COMMANDS, "failing", ("failing:failing", ""))
    command = click.Command("failing", callback=lambda: fails_with_its_password(configured))
    monkeypatch.setitem(sys.modules, "failing", SimpleNamespace(failing=command))

    result = CliRunner().invoke(main, ["failing"])

    assert result.output.startswith("Error: ValueError: no host '***@127.0.0.1'\n")


@pytest.mark.parametrize(
    "run",
    [
        "fails_with_its_password(config)",
        "threading.Thread(target=fails_with_its_password, args=[config]).start()",
        "main.callback = lambda **_: fails_with_its_password(config); main(['--debug'])",
    ],
)
def test_no_traceback_shows_the_password(configured: Path, run: str) -> None:
    code = (
        "import threading; from pathlib import Path; from tests.unit.cli.test_main import *\n"
        f"config = Path({str(configured)!r})\n{run}"
    )

    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )

    assert "ValueError: no host '***@127.0.0.1'" in ran.stderr
    assert "hunter2" not in ran.stderr


@pytest.fixture
def configured(tmp_path: Path) -> Path:
    config = tmp_path / "config.yml"
    config.write_text(json.dumps({"db": {"connection_string": NOWHERE}}))
    config.chmod(0o600)
    return config


@pytest.mark.parametrize("before", [True, False])
def test_the_configuration_may_be_named_before_or_after_the_command(
    tmp_path: Path, before: bool
) -> None:
    missing = ["-c", str(tmp_path / "missing.yml")]
    arguments = [*missing, "queue", "drop", "1"] if before else ["queue", "drop", "1", *missing]

    result = CliRunner().invoke(main, arguments)

    assert result.exit_code == 2
    assert "missing.yml" in result.output


def test_a_room_id_that_cannot_be_one_is_refused_at_once() -> None:
    result = CliRunner().invoke(main, ["why", "two words"])

    assert result.exit_code == 2
    assert "room_id must be printable ASCII text without spaces" in result.output


def fails(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """A command that fails with this error."""

    @click.command("failing")
    def failing() -> None:
        raise error

    monkeypatch.setattr(type(main), "get_command", lambda *_: failing)


@pytest.mark.parametrize("command", ["queue", "doctor", "migrate"])
def test_who_has_no_configuration_yet_is_told_how_to_get_one(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    result = CliRunner().invoke(main, [command])

    assert result.exit_code == 2
    assert "db.connection_string: missing" in result.output
    assert "config.yml: not in this folder; name a file with -c, or write one: " in result.output


def test_who_wrote_one_is_told_only_what_it_lacks(tmp_path: Path) -> None:
    config = tmp_path / "config.yml"
    config.write_text("redis: {url: 'redis://localhost'}")

    result = CliRunner().invoke(main, ["queue", "-c", str(config)])

    assert result.output.startswith(f"{config} db.connection_string: missing")
    assert "not in this folder" not in result.output


@pytest.mark.parametrize("service", ["webhook", "worker"])
def test_a_service_may_be_run_as_the_original_did(service: str, tmp_path: Path) -> None:
    missing = tmp_path / "config.yml"

    result = CliRunner().invoke(main, ["-e", service, "-c", str(missing)])

    assert f"{missing}: file not found" in result.output
