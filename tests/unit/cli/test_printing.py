"""Printing never fails: whatever the encoding, the time zone, and whoever reads it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from sebastian_apps.wording import local_time

SEBASTIAN = "sebastian_apps.cli.main"
NO_TEMP_FOLDER = "import tempfile; tempfile._candidate_tempdir_list = lambda: []\n"
PRINTS = """
import click, sys
from types import SimpleNamespace
from sebastian_apps.cli.main import COMMANDS, main
from sebastian_apps.entry.run import print_json

@click.command()
def printing():
    click.echo("→ Zoë 😀 \\udc80")
    print_json({"name": "→ Zoë 😀 \\udc80"})

COMMANDS["printing"] = ("printing:printing", "")
sys.modules["printing"] = SimpleNamespace(printing=printing)
main(["printing"])
"""


def ran(*command: str, **environ: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, *command], capture_output=True, check=False, env={**os.environ, **environ}
    )


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "utf-8"])
def test_what_an_encoding_has_no_sign_for_is_replaced(encoding: str) -> None:
    done = ran("-c", PRINTS, PYTHONIOENCODING=encoding)

    line, _, document = done.stdout.decode(encoding).partition("\n")
    assert (done.returncode, done.stderr) == (0, b"")
    assert line == "→ Zoë 😀 \udc80".encode(encoding, "replace").decode(encoding)
    assert json.loads(document)["name"].startswith("→ Zoë 😀")


@pytest.mark.parametrize("arguments", [["config", "schema"], ["--help"]])
def test_a_reader_that_has_left_ends_a_command_quietly(arguments: list[str]) -> None:
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", SEBASTIAN, *arguments]

    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, check=False)
    os.close(write)

    assert (done.returncode, done.stderr) == (1, b"")


def test_moments_are_told_in_utc_where_the_time_zone_is_impossible() -> None:
    program = (
        "from datetime import UTC, datetime; from sebastian_apps.wording import local_time\n"
        "print(local_time(datetime(2025, 6, 1, 12, tzinfo=UTC)))"
    )

    impossible = ran("-c", program, TZ="UTC-99:99:99")
    jakarta = ran("-c", program, TZ="WIB-7")

    assert impossible.stdout == b"2025-06-01 12:00:00+00:00\n"
    assert jakarta.stdout == b"2025-06-01 19:00:00+07:00\n"
    assert local_time(datetime(2025, 6, 1, tzinfo=UTC)) == datetime(2025, 6, 1, tzinfo=UTC)


def test_dev_says_what_it_needs_where_no_temporary_file_can_be_written() -> None:
    done = ran("-c", f"{NO_TEMP_FOLDER}from {SEBASTIAN} import main; main(['dev'])")

    assert done.returncode == 1
    assert done.stderr.decode() == (
        "Error: The servers need a folder for temporary files, and none can be written: name one "
        "in TMPDIR.\n"
    )
