"""`sebastian dev`: a whole floor with one command, and every other command tried on it."""

from __future__ import annotations

import json
import re
import socket
import stat
import subprocess
import sys
from pathlib import Path
from signal import SIGINT

import pytest
from click.testing import CliRunner

from sebastian_apps.cli.main import main
from sebastian_apps.dev.owned_process import OwnedProcess
from sebastian_apps.dev.servers import EmbeddedPostgres, EmbeddedValkey
from sebastian_apps.settings import load_settings
from tests.scenario.processes import wait_until
from tests.servers import require_wheel, temporary_directory

STARTUP_SECONDS = 100.0
BUSY = ["--port", "0", "--customers-per-minute", "300"]
DEV = [
    sys.executable,
    "-m",
    "sebastian_apps.cli.main",
    "dev",
    "--port",
    "0",
    "--customers-per-minute",
    "600",
]


THEIRS = """
from sebastian_core.domain.policy import LeastLoaded

class Theirs(LeastLoaded):
    pass
"""


@pytest.mark.timeout(150)
def test_a_floor_comes_up_serves_customers_by_a_policy_of_ones_own_and_can_be_asked_about(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    require_wheel(EmbeddedPostgres)
    require_wheel(EmbeddedValkey)
    with temporary_directory() as directory:
        (directory / "theirs.py").write_text(THEIRS)
        monkeypatch.setenv("PYTHONPATH", str(directory))
        log, config = directory / "dev.log", directory / "floor" / "config.yml"
        process = OwnedProcess.spawn(
            [*DEV, *BUSY, "--data", str(directory / "floor"), "--policy", "theirs:Theirs"],
            log=log,
            stop_signal=SIGINT,
        )
        try:
            wait_until("it gives", lambda: gives(process, log), STARTUP_SECONDS)
            told = log.read_text()
            agents, doctor = asked(config, "agents"), asked(config, "doctor")
            why = asked(config, "why", first_room(told), "--json")
            answer = answered(told, b"GET /floor HTTP/1.1\r\nx: " + b"x" * 40_000)
        finally:
            process.stop()

        assert f"sebastian queue -c {config}" in told
        assert answer.startswith(b"HTTP/1.1 431 ")
        assert "Anisa" in agents
        assert "ok      workers: 1 worker at work" in doctor
        assert set(re.findall("^(?:warning|problem) (.*?):", doctor, re.MULTILINE)) == {
            "agents-take-over"
        }
        assert "ok      policy: theirs:Theirs can be made" in doctor
        assert policies(why) == {"Theirs"}
        assert stat.S_IMODE(config.stat().st_mode) == 0o600
        settings = load_settings(config, {}, needs={"db", "redis", "qiscus", "set-webhook"})
        assert settings.webhook.base_url is not None


def gives(process: OwnedProcess, log: Path) -> bool:
    """Whether somebody was given to an agent; fails at once where the floor has ended."""
    assert process.running, log.read_text()
    return " → " in log.read_text()


def answered(told: str, half_a_request: bytes) -> bytes:
    """What the page's service answers to this, without waiting for the rest."""
    match = re.search(r"http://127.0.0.1:(\d+)/floor\n", told)
    assert match is not None
    with socket.create_connection(("127.0.0.1", int(match[1])), timeout=5) as connection:
        connection.sendall(half_a_request)
        return connection.recv(100)


def first_room(told: str) -> str:
    """The first room that was given to an agent."""
    match = re.search(r"room (\d+) +→", told)
    assert match is not None
    return match[1]


def policies(why: str) -> set[str]:
    """Which policies gave the chats of a room, as its history tells."""
    return {row["reason"] for row in json.loads(why)["history"] if row["move"] == "reserve"}


def asked(config: Path, *words: str) -> str:
    """What a command prints about this floor."""
    return CliRunner().invoke(main, [*words, "-c", str(config)]).output


def test_a_policy_that_cannot_be_made_is_refused_before_anything_starts() -> None:
    ended = subprocess.run(
        [*DEV, "--policy", "nowhere:Theirs"], capture_output=True, text=True, check=False
    )

    assert ended.returncode == 2
    assert "assign.policy: expected a module that this Python can import" in ended.stderr
    assert ended.stdout == ""


def test_a_port_that_somebody_has_is_told_in_a_sentence_before_anything_starts() -> None:
    with socket.create_server(("127.0.0.1", 0)) as somebody:
        port = somebody.getsockname()[1]
        ended = subprocess.run(
            [*DEV, "--port", str(port)], capture_output=True, text=True, check=False
        )

    assert ended.returncode == 1
    assert ended.stderr.startswith(f"Error: cannot listen on 127.0.0.1:{port}")
    assert ended.stderr.endswith("--port 0 takes a free one.\n")
    assert ended.stdout == ""
