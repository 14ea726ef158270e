"""Writing a configuration file."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path


def file_text(given: Mapping[str, str]) -> str:
    """The file that sets these keys, by path: each section under what it promises."""
    from sebastian_apps.settings import describe_sections

    lines = ["# Sebastian's configuration. All keys: docs/configuration.md", ""]
    for section, promise in describe_sections().items():
        mine = {path: value for path, value in given.items() if path.startswith(f"{section}.")}
        if not mine:
            continue
        lines += [f"# {promise}", f"{section}:"]
        lines += [f"  {path.partition('.')[2]}: {_scalar(mine[path])}" for path in mine]
        lines.append("")
    return "\n".join(lines)


def write_private(path: Path, text: str) -> None:
    """Write it so that nobody else can read it, not even for a moment."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)


def _scalar(value: str) -> str:
    return value if value.isdigit() else json.dumps(value, ensure_ascii=False)
