"""A policy is made by another process first, which may hang, crash or print what it likes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sebastian_apps.policy.trial import try_policy
from sebastian_apps.settings import Settings, SettingsError, load_settings

A_POLICY = """
class Mine:
    def place(self, chats, agents):
        return []
"""
LEAVES_SOMETHING_BEHIND = f"""
import subprocess, sys, threading, time
subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
threading.Thread(target=time.sleep, args=(60,)).start()
print("hello")
{A_POLICY}
"""
HANGS = """
import time
while True:
    time.sleep(0.01)
"""
HOLDS_THE_INTERPRETER = """
import re
re.match(r"(a+)+$", "a" * 60 + "b")
"""


@pytest.fixture(autouse=True)
def python_finds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))


def naming(tmp_path: Path, code: str) -> Settings:
    """A configuration with a policy from a module of this code."""
    (tmp_path / "theirs.py").write_text(code)
    return load_settings(None, {"QT_ASSIGN_POLICY": "theirs:Mine"})


@pytest.mark.parametrize("code", [A_POLICY, LEAVES_SOMETHING_BEHIND])
def test_one_that_can_be_made_passes_whatever_else_it_does(code: str, tmp_path: Path) -> None:
    try_policy(naming(tmp_path, code))


@pytest.mark.parametrize("code", [HANGS, HOLDS_THE_INTERPRETER])
def test_one_that_hangs_is_given_up_and_it_is_told_how_to_see_where(
    code: str, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError) as raised:
        try_policy(naming(tmp_path, code), seconds=1)

    assert str(raised.value) == (
        "QT_ASSIGN_POLICY assign.policy: theirs:Mine was not made within 1 s, and a worker would be"
        " ended there; to see where it hangs, run python -c 'import theirs' and end that with"
        " Ctrl-C"
    )


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("import os; os._exit(0)", "the attempt ended its process (exit status 0)"),
        ("import os; os.abort()", "the attempt ended its process (SIGABRT)"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("print('null')", "module 'theirs' has no attribute 'Mine'"),
    ],
)
def test_one_that_ends_otherwise_is_told_with_its_end(code: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as raised:
        try_policy(naming(tmp_path, code))

    assert str(raised.value) == f"QT_ASSIGN_POLICY assign.policy: theirs:Mine cannot be made: {why}"


def test_without_a_policy_of_ones_own_no_process_is_started(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")

    try_policy(load_settings(None, {}))


def test_what_it_prints_goes_where_it_spoils_no_answer(tmp_path: Path) -> None:
    (tmp_path / "theirs.py").write_text(LEAVES_SOMETHING_BEHIND)
    command = [sys.executable, "-m", "sebastian_apps.policy.trial", "theirs:Mine"]

    done = subprocess.run(command, capture_output=True, text=True, check=True)

    assert (done.stdout, done.stderr) == ("null", "hello\n")
