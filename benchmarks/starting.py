"""How long it takes until a command answers."""

from __future__ import annotations

import subprocess
import sys
import time

from benchmarks.measuring import median
from benchmarks.report import Figure

_COMMANDS = {
    "sebastian --help": (["-m", "sebastian_apps.cli.main", "--help"], "≤ 300 ms"),
    "import sebastian_core": (["-c", "import sebastian_core"], "≤ 100 ms"),
    "all of sebastian_core": (
        ["-c", "import sebastian_core.usecases.dispatch, sebastian_core.usecases.reconcile"],
        "",
    ),
    "an empty Python": (["-c", "pass"], ""),
}


def measure(*, rounds: int) -> list[Figure]:
    """Each command in a fresh process, in turns, Python's own start included."""
    took: dict[str, list[float]] = {name: [] for name in _COMMANDS}
    for _ in range(rounds):
        for name, (arguments, _) in _COMMANDS.items():
            took[name].append(_seconds(arguments))
    return [
        Figure(
            subject="start",
            what=name,
            value=median(took[name]) * 1000,
            unit="ms",
            wanted=wanted,
            details={"seconds": took[name]},
        )
        for name, (_, wanted) in _COMMANDS.items()
    ]


def _seconds(arguments: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
    return time.perf_counter() - began
