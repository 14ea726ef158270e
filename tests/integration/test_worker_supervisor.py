from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

DEADLINE_SECONDS = 20.0
SLEEPER = """
import os, pathlib, select, sys
pathlib.Path(sys.argv[1], str(os.getpid())).touch()
select.select([int(os.environ["SEBASTIAN_LIFELINE"])], [], [], 60)
"""
CRASHES_IN_ITS_POLICY = """
import os, pathlib, sys
from sebastian_apps.worker.policy_calls import PolicyCalls, ends_so_far
pathlib.Path(sys.argv[1], f"{os.getpid()} {ends_so_far()}").touch()
calls = PolicyCalls.given()
calls.begin()
if ends_so_far() >= 2:
    calls.end()
    os.read(int(os.environ["SEBASTIAN_LIFELINE"]), 1)
os.kill(os.getpid(), 9)
"""
HOLDS_THE_INTERPRETER = """
import os, pathlib, re, signal, sys
signal.signal(signal.SIGTERM, lambda *_: None)  # as an event loop does: it is told later
pathlib.Path(sys.argv[1], str(os.getpid())).touch()
re.match(r"(a+)+$", "a" * 60 + "b")
"""
IGNORES_ALL = """
import os, pathlib, select, signal, sys
for number in (signal.SIGTERM, signal.SIGABRT):
    signal.signal(number, signal.SIG_IGN)
pathlib.Path(sys.argv[1], str(os.getpid())).touch()
select.select([int(os.environ["SEBASTIAN_LIFELINE"])], [], [], 60)
"""
PARENT = """
import sys
from sebastian_apps.worker.supervisor import Supervisor
command = [sys.executable, "-c", sys.argv[1], sys.argv[2]]
sys.exit(Supervisor(command, 2, end_seconds=0.5).run())
"""


@contextmanager
def supervised(child: str, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    parent = subprocess.Popen([sys.executable, "-c", PARENT, child, str(folder)])
    try:
        yield parent
    finally:
        parent.kill()
        parent.wait()
        for pid in children_in(folder):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def children_in(folder: Path) -> list[int]:
    return sorted(int(each.name.split()[0]) for each in folder.iterdir())


def is_alive(pid: int) -> bool:
    with suppress(ProcessLookupError, FileNotFoundError):
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    return False


def wait_for(what: str, holds: Callable[[], bool]) -> None:
    give_up_at = time.monotonic() + DEADLINE_SECONDS
    while not holds():
        assert time.monotonic() < give_up_at, f"never: {what}"
        time.sleep(0.02)


def test_a_child_that_dies_is_started_again(tmp_path: Path) -> None:
    with supervised(SLEEPER, tmp_path):
        wait_for("two children", lambda: len(children_in(tmp_path)) == 2)

        os.kill(children_in(tmp_path)[0], signal.SIGKILL)

        wait_for("a third child", lambda: len(children_in(tmp_path)) == 3)


def test_sigterm_ends_all(tmp_path: Path) -> None:
    with supervised(SLEEPER, tmp_path) as parent:
        wait_for("two children", lambda: len(children_in(tmp_path)) == 2)

        parent.terminate()
        parent.wait(DEADLINE_SECONDS)

        assert not any(is_alive(pid) for pid in children_in(tmp_path))


@pytest.mark.parametrize(
    ("child", "status"),
    [(HOLDS_THE_INTERPRETER, signal.SIGABRT), (IGNORES_ALL, signal.SIGKILL)],
    ids=["that hold the interpreter", "that ignore all"],
)
def test_sigterm_ends_children_too_that_do_not_hear_it(
    tmp_path: Path, child: str, status: int
) -> None:
    with supervised(child, tmp_path) as parent:
        wait_for("two children", lambda: len(children_in(tmp_path)) == 2)

        parent.terminate()

        assert parent.wait(DEADLINE_SECONDS) == status
        assert not any(is_alive(pid) for pid in children_in(tmp_path))


def test_children_go_when_their_parent_is_killed(tmp_path: Path) -> None:
    with supervised(SLEEPER, tmp_path) as parent:
        wait_for("two children", lambda: len(children_in(tmp_path)) == 2)

        parent.kill()

        wait_for("no child", lambda: not any(is_alive(pid) for pid in children_in(tmp_path)))


def test_children_that_end_in_a_choice_of_the_policy_are_counted_for_those_that_follow(
    tmp_path: Path,
) -> None:
    with supervised(CRASHES_IN_ITS_POLICY, tmp_path):
        wait_for("both places know of two", lambda: told_ends(tmp_path)[-2:-1] >= [2])

        assert told_ends(tmp_path)[:2] == [0, 0]


def told_ends(folder: Path) -> list[int]:
    """What each child was told of those before it."""
    return sorted(int(each.name.split()[1]) for each in folder.iterdir())


def test_a_misconfigured_child_ends_the_parent(tmp_path: Path) -> None:
    with supervised("raise SystemExit(2)", tmp_path) as parent:
        assert parent.wait(DEADLINE_SECONDS) == 2
