"""Progress is seen by who waits at a terminal, and by nobody and nothing else."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

import pytest

from sebastian_apps.observability.progress import counted, counting, working

CODE = """
from sebastian_apps.observability.progress import counted, working
with working("Looking"):
    print(sum(counted("seeds", [1, 2, 3], 3)))
"""


def test_nothing_is_shown_where_nobody_looks(capfd: pytest.CaptureFixture[str]) -> None:
    with working("Looking") as tell, counting("seeds", 3) as advance:
        tell("Looking closer")
        advance()
    items = list(counted("seeds", "abc", 3))

    assert items == ["a", "b", "c"]
    assert capfd.readouterr() == ("", "")


def test_a_terminal_shows_it_on_standard_error_and_a_pipe_gets_the_answer_alone() -> None:
    ours, theirs = pty.openpty()
    environ = {**os.environ, "TERM": "xterm"}
    command = [sys.executable, "-c", CODE]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=theirs, env=environ, check=True)
    os.close(theirs)

    seen = os.read(ours, 100_000).decode()
    os.close(ours)
    assert done.stdout == b"6\n"
    assert "Looking" in seen
    assert "3/3" in seen
