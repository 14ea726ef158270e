"""Trials on disk, a line each: a campaign that was ended goes on where it was."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from attrs import asdict, define, field

from tests.crash.steps import Step
from tests.crash.trial import Crash, Trial
from tests.oracle import Promise, Verdict, Violation

ROOT = Path(__file__).parents[2]
CODE = ("src", "tests/crash", "tests/oracle")


@define
class Ledger:
    """The trials of a folder's files; without a folder, none, and nothing is written.

    Trials of other code than this are left out, and counted.
    """

    _path: Path | None = None
    _code: str = ""
    _known: dict[Crash, Trial] = field(factory=dict)
    of_other_code: int = 0

    @classmethod
    def of(cls, folder: Path, name: str) -> Ledger:
        """What the folder holds; what is noted goes into the file of this name."""
        folder.mkdir(parents=True, exist_ok=True)
        ledger = cls(folder / f"{name}.jsonl", code_digest())
        for path in sorted(folder.glob("*.jsonl")):
            for line in _lines(path):
                ledger._take(line)
        return ledger

    def __contains__(self, crash: Crash) -> bool:
        return crash in self._known

    def known(self, crash: Crash) -> Trial | None:
        """What came of it, if it was tried."""
        return self._known.get(crash)

    def note(self, trial: Trial) -> None:
        """Write it down at once."""
        self._known[trial.crash] = trial
        if self._path is not None:
            told = json.dumps({"code": self._code, **_told(trial)})
            with self._path.open("a", encoding="utf-8") as file:
                file.write(f"\n{told}\n")

    def _take(self, told: Mapping[str, Any]) -> None:
        if told["code"] == self._code:
            trial = _read(told)
            self._known[trial.crash] = trial
        else:
            self.of_other_code += 1


def code_digest() -> str:
    """Which code the trials are of."""
    digest = hashlib.sha256()
    files = sorted(path for each in CODE for path in (ROOT / each).rglob("*"))
    for path in files:
        if path.suffix in {".py", ".sql", ".lua"}:
            digest.update(f"{path.relative_to(ROOT)}\n".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    """Whole lines: one may have been cut off, where a campaign was ended."""
    for line in path.read_text(encoding="utf-8").splitlines():
        with suppress(json.JSONDecodeError):
            yield json.loads(line)


def _told(trial: Trial) -> dict[str, Any]:
    return {
        "crash": asdict(trial.crash),
        "died": trial.died,
        "steps": [asdict(each) for each in trial.steps],
        "recovery": [asdict(each) for each in trial.recovery],
        "violations": [asdict(each) for each in trial.verdict.violations],
        "unrest": trial.unrest,
        "remains": list(trial.remains),
    }


def _read(told: Mapping[str, Any]) -> Trial:
    return Trial(
        crash=Crash(**told["crash"]),
        died=told["died"],
        steps=[Step(**each) for each in told["steps"]],
        recovery=[Step(**each) for each in told["recovery"]],
        verdict=Verdict(violations=[_violation(each) for each in told["violations"]]),
        unrest=told["unrest"],
        remains=told["remains"],
    )


def _violation(told: Mapping[str, Any]) -> Violation:
    evidence = tuple(told["evidence"])
    return Violation(**{**told, "promise": Promise(told["promise"]), "evidence": evidence})
