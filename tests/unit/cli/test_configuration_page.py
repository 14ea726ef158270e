"""The configuration reference says what the code says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from sebastian_apps.settings import all_keys

ROOT = Path(__file__).parents[3]


def test_the_page_is_what_the_code_would_write() -> None:
    script = ROOT / "scripts" / "configuration-reference"

    done = subprocess.run([sys.executable, str(script), "--check"], check=False)

    assert done.returncode == 0, "run scripts/configuration-reference"


def test_every_key_has_its_heading() -> None:
    page = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")

    assert all(f"### `{key.path}`" in page for key in all_keys())
