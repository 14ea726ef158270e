"""`sebastian dev`: a whole floor with one command, and every other command tried on it."""

from __future__ import annotations

import stat
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


@pytest.mark.timeout(150)
def test_a_floor_comes_up_serves_customers_and_can_be_asked_about() -> None:
    require_wheel(EmbeddedPostgres)
    require_wheel(EmbeddedValkey)
    with temporary_directory() as directory:
        log, config = directory / "dev.log", directory / "floor" / "config.yml"
        process = OwnedProcess.spawn(
            [*DEV, *BUSY, "--data", str(directory / "floor")], log=log, stop_signal=SIGINT
        )
        try:
            wait_until("it gives", lambda: gives(process, log), STARTUP_SECONDS)
            told = log.read_text()
            agents, doctor = asked("agents", config), asked("doctor", config)
        finally:
            process.stop()

        assert f"sebastian queue -c {config}" in told
        assert "/floor\n" in told
        assert "Anisa" in agents
        assert "ok      workers: 1 worker at work" in doctor
        assert "problem" not in doctor
        assert stat.S_IMODE(config.stat().st_mode) == 0o600
        settings = load_settings(config, {}, needs={"db", "redis", "qiscus", "set-webhook"})
        assert settings.webhook.base_url is not None


def gives(process: OwnedProcess, log: Path) -> bool:
    """Whether somebody was given to an agent; fails at once where the floor has ended."""
    assert process.running, log.read_text()
    return " → " in log.read_text()


def asked(command: str, config: Path) -> str:
    """What a command prints about this floor."""
    return CliRunner().invoke(main, [command, "-c", str(config)]).output
