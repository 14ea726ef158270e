"""One thing that was looked at: how it stands, and what helps."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Any

from attrs import asdict, frozen


class Verdict(StrEnum):
    """How bad it is."""

    FINE = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@frozen
class Finding:
    """What was found under a name that never changes, and what helps where it is not fine."""

    name: str
    verdict: Verdict
    text: str
    remedy: str = ""

    def document(self) -> dict[str, Any]:
        """For programs."""
        return asdict(self)


def fine(name: str, text: str) -> Finding:
    """It is as it should be."""
    return Finding(name, Verdict.FINE, text)


def warning(name: str, text: str, remedy: str) -> Finding:
    """It works, but not as well or as safely as it should."""
    return Finding(name, Verdict.WARNING, text, remedy)


def problem(name: str, text: str, remedy: str) -> Finding:
    """It keeps Sebastian from doing its work."""
    return Finding(name, Verdict.PROBLEM, text, remedy)


def exit_code(findings: Iterable[Finding]) -> int:
    """0 where all is fine, 1 with warnings, 2 with problems."""
    verdicts = {finding.verdict for finding in findings}
    if Verdict.PROBLEM in verdicts:
        return 2
    return 1 if Verdict.WARNING in verdicts else 0
