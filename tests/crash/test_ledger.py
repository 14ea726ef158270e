"""A campaign that was ended goes on where it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.crash import ledger
from tests.crash.ledger import Ledger
from tests.crash.steps import Step
from tests.crash.trial import Crash, Trial
from tests.oracle import Promise, Verdict, Violation

CRASH = Crash(story="a chat is given", first="before postgres commit")


def a_trial(crash: Crash = CRASH, *violations: Violation) -> Trial:
    return Trial(
        crash=crash,
        died=1,
        steps=[],
        recovery=[Step("after redis roster [0]", 0, changes=False)],
        verdict=Verdict(violations=violations),
        remains=["4711"],
    )


def test_what_was_noted_is_known_to_the_next_one(tmp_path: Path) -> None:
    broken = Violation(promise=Promise.P3, sentence="two agents", chat_id=1, evidence=("row 1",))
    noted = a_trial(CRASH, broken)
    first = Ledger.of(tmp_path, "part-1-of-2")
    first.note(noted)

    known = Ledger.of(tmp_path, "part-2-of-2").known(CRASH)

    assert known is not None
    assert known.recovery == noted.recovery
    assert known.remains == noted.remains
    assert known.verdict.violations == [broken]


def test_a_line_that_was_cut_off_costs_one_trial(tmp_path: Path) -> None:
    (tmp_path / "trials.jsonl").write_text('{"code": "47')
    first = Ledger.of(tmp_path, "trials")
    first.note(a_trial())

    assert CRASH in Ledger.of(tmp_path, "trials")


def test_trials_of_other_code_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = Ledger.of(tmp_path, "trials")
    first.note(a_trial())
    monkeypatch.setattr(ledger, "code_digest", lambda: "another")

    later = Ledger.of(tmp_path, "trials")

    assert CRASH not in later
    assert later.of_other_code == 1
