"""The page that shows the core as a library: what it says is what happens."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.installed import install, python

PAGE = Path(__file__).parents[2] / "docs" / "library.md"
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ATTRS_ALONE = ("attr", "attrs")


def _first(language: str) -> str:
    found = FENCE.findall(PAGE.read_text(encoding="utf-8"))
    return str(next(text for name, text in found if name == language))


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install(tmp_path_factory.mktemp("wheel"))


def test_the_example_prints_what_the_page_says_it_prints_with_attrs_alone(installed: Path) -> None:
    ran = python(installed, ATTRS_ALONE, _first("python"))

    assert ran.stderr == ""
    assert ran.stdout == _first("text")


def test_there_is_nothing_but_attrs_where_the_example_runs(installed: Path) -> None:
    ran = python(installed, ATTRS_ALONE, "import structlog")

    assert "ModuleNotFoundError" in ran.stderr


def test_the_example_has_at_most_fifteen_lines_and_three_imports() -> None:
    code = [line for line in _first("python").splitlines() if line.strip()]
    imports = [line for line in code if line.startswith(("import ", "from "))]

    assert len(code) <= 15
    assert len(imports) <= 3
    assert all(len(line) <= 100 for line in code)
