"""What is known of a policy's choices after the process that made them is gone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from sebastian_apps.policy.choices import Choices, ask_to_retry, state_dir
from sebastian_apps.policy.guard import Guard
from sebastian_apps.policy.load import digest_of
from sebastian_apps.settings import Settings, load_settings

CRASHES_IN_A_CHOICE = """
import os, pathlib, sys
from sebastian_apps.policy.choices import Choices
choices = Choices.kept_in(pathlib.Path(sys.argv[1]), sys.argv[2])
choices.begin()
choices.end()
choices.begin()
os.kill(os.getpid(), 9)
"""
TIMED = """
import re, signal, sys, time
from sebastian_apps.policy.guard import EndTimer
timer = EndTimer(0.5)
timer.prepare()

def holds_the_interpreter():
    re.match(r"(a+)+$", "a" * 60 + "b")

for _ in range(3):
    timer.start()
    timer.stop()
time.sleep(2)
print("in time", flush=True)
timer.start()
holds_the_interpreter()
"""


def crash_in_a_choice(folder: Path, digest: str = "mine") -> None:
    subprocess.run([sys.executable, "-c", CRASHES_IN_A_CHOICE, folder, digest], check=False)


class TestChoicesThatNeverEnded:
    def test_are_counted_by_those_that_come_after(self, tmp_path: Path) -> None:
        crash_in_a_choice(tmp_path)
        crash_in_a_choice(tmp_path)

        assert Choices.kept_in(tmp_path, "mine").never_ended() == 2

    def test_of_another_policy_are_not(self, tmp_path: Path) -> None:
        crash_in_a_choice(tmp_path, "theirs")

        assert Choices.kept_in(tmp_path, "mine").never_ended() == 0

    def test_are_none_while_their_process_lives(self, tmp_path: Path) -> None:
        living = Choices.kept_in(tmp_path, "mine")
        living.begin()

        assert Choices.kept_in(tmp_path, "mine").never_ended() == 0
        assert living.under_way

    def test_are_none_of_a_process_that_died_between_them(self, tmp_path: Path) -> None:
        program = CRASHES_IN_A_CHOICE.replace("choices.begin()\nos.kill", "os.kill")
        subprocess.run([sys.executable, "-c", program, tmp_path, "mine"], check=False)

        assert Choices.kept_in(tmp_path, "mine").never_ended() == 0
        assert len(list(tmp_path.iterdir())) == 1, "only what is of use is kept"

    @pytest.mark.parametrize(
        "forget", [Choices.forget, lambda choices: ask_to_retry(choices.folder)]
    )
    def test_are_forgotten_when_the_service_is_stopped_and_when_somebody_says_so(
        self, tmp_path: Path, forget: Callable[[Choices], None]
    ) -> None:
        crash_in_a_choice(tmp_path)
        choices = Choices.kept_in(tmp_path, "mine")

        forget(choices)

        assert choices.never_ended() == 0

    def test_take_no_living_process_its_file_when_they_are_forgotten(self, tmp_path: Path) -> None:
        living = Choices.kept_in(tmp_path, "mine")

        Choices.kept_in(tmp_path, "mine").forget()

        assert living._file is not None
        assert living._file.exists()

    def test_are_not_known_where_no_file_is_kept(self) -> None:
        choices = Choices.for_this_process()
        choices.begin()

        assert choices.under_way
        assert (choices.never_ended(), choices.asked_to_retry_at()) == (0, 0)
        choices.forget()


class TestTheFolder:
    def test_is_the_one_that_is_named_before_the_one_that_systemd_gives(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("RUNTIME_DIRECTORY", f"{tmp_path / 'run'}:/run/other")

        assert state_dir(naming(tmp_path / "named")) == tmp_path / "named"
        assert state_dir(Settings()) == tmp_path / "run"
        assert (tmp_path / "run").is_dir()

    def test_is_else_one_of_our_own_in_the_temp_folder(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

        folder = state_dir(Settings())

        assert folder.parent == tmp_path
        assert folder.stat().st_mode & 0o777 == 0o700

    def test_is_not_taken_from_somebody_else(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        another = os.geteuid() + 1
        (tmp_path / f"sebastian-worker-{another}").mkdir()
        monkeypatch.setattr(os, "geteuid", lambda: another)

        with pytest.raises(PermissionError, match="belongs to somebody else"):
            state_dir(Settings())

    def test_is_asked_for_in_a_sentence_where_there_is_none(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
        monkeypatch.setattr(tempfile, "tempdir", None)
        monkeypatch.setattr(tempfile, "_candidate_tempdir_list", list)
        named = {"QT_ASSIGN_POLICY": "sebastian_core.domain.policy:LeastLoaded"}

        with capture_logs() as lines:
            Guard.counting(load_settings(None, named), patience_seconds=30)

        (line,) = lines
        assert line["log_level"] == "warning"
        assert "name a folder that can be written in worker.state_dir" in line["event"]


class TestTheDigestOfAPolicy:
    @pytest.fixture(autouse=True)
    def theirs(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """A package that must not be imported."""
        package = tmp_path / "their_desk"
        package.mkdir()
        (package / "__init__.py").write_text("raise SystemExit('imported')")
        (package / "policies.py").write_text("class Mine: ...")
        monkeypatch.syspath_prepend(tmp_path)
        return package

    def test_stays_while_nothing_changes(self) -> None:
        assert digest_of("their_desk.policies:Mine") == digest_of("their_desk.policies:Mine")

    def test_changes_with_the_policy_that_is_named(self) -> None:
        assert digest_of("their_desk.policies:Mine") != digest_of("their_desk.policies:Yours")

    def test_changes_with_any_code_of_its_package(self, theirs: Path) -> None:
        before = digest_of("their_desk.policies:Mine")

        (theirs / "inner").mkdir()
        (theirs / "inner" / "rules.py").write_text("")

        assert digest_of("their_desk.policies:Mine") != before

    @pytest.mark.parametrize("name", ["policies.cpython-311.pyc", "notes.sqlite"])
    def test_changes_not_with_what_is_written_while_it_runs(self, theirs: Path, name: str) -> None:
        before = digest_of("their_desk.policies:Mine")

        (theirs / name).touch()

        assert digest_of("their_desk.policies:Mine") == before

    def test_is_there_for_a_policy_that_is_nowhere(self) -> None:
        assert digest_of("nowhere.at_all:Mine")


class TestATimerAroundAChoice:
    def test_ends_code_that_holds_the_interpreter_and_names_it(self) -> None:
        done = subprocess.run(
            [sys.executable, "-c", TIMED], capture_output=True, text=True, timeout=30, check=False
        )

        assert done.returncode == -signal.SIGALRM
        assert done.stdout == "in time\n", "a choice that ends in time ends nothing"
        assert "in holds_the_interpreter" in done.stderr

    def test_ends_it_also_where_nobody_reads_standard_error_and_the_parent_ignored_the_signal(
        self,
    ) -> None:
        read, write = os.pipe()
        os.set_blocking(write, False)
        os.write(write, b"x" * os.fpathconf(write, "PC_PIPE_BUF") * 16)
        os.set_blocking(write, True)
        ignored = "import os, signal, sys; signal.signal(signal.SIGALRM, signal.SIG_IGN)\n"
        again = "os.execv(sys.executable, [sys.executable, '-c', sys.argv[1]])"
        try:
            done = subprocess.run(
                [sys.executable, "-c", ignored + again, TIMED],
                stdout=subprocess.PIPE,
                stderr=write,
                timeout=30,
                check=False,
            )
        finally:
            os.close(read)
            os.close(write)

        assert done.returncode == -signal.SIGALRM


def naming(folder: Path) -> Settings:
    return load_settings(None, {"QT_WORKER_STATE_DIR": str(folder)})
