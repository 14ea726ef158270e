"""The page that shows the core as a library: what it says is what happens."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "library.md"
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def _blocks(language: str) -> list[str]:
    found = FENCE.findall(PAGE.read_text(encoding="utf-8"))
    return [text for name, text in found if name == language]


def test_the_example_prints_what_the_page_says_it_prints() -> None:
    (example,), (output,) = _blocks("python"), _blocks("text")

    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", example],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert ran.stderr == ""
    assert ran.stdout == output


def test_the_example_fits_on_a_screen() -> None:
    (example,) = _blocks("python")
    code = [line for line in example.splitlines() if line.strip()]
    imports = [line for line in code if line.startswith(("import ", "from "))]

    assert len(code) - len(imports) <= 35
