"""What the documentation names exists: pages, headings, tests, commands, keys, alerts, files."""

from __future__ import annotations

import importlib
import importlib.util
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import click
import pytest
import yaml

from sebastian_apps.cli.main import main
from sebastian_apps.settings import all_keys, describe_sections

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]

_FENCE = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6} +(.+)$", re.MULTILINE)
_TEST = re.compile(r"tests/[\w/]+\.py(?:::\w+)*")
_COMMAND = re.compile(r"(?:^|[\s`/])sebastian((?: [-\w]+)*)", re.MULTILINE)
_MAKE = re.compile(r"(?:^|`)\s*make ([a-z]+)", re.MULTILINE)
_MODULE = re.compile(r"python3? -m ([\w.]+)")
_FILE = re.compile(r"(?:deploy|scripts|src|docs|requirements)/[\w./@-]+")
_FINDING = re.compile(r"(?!sebastian-)[a-z]+(?:-[a-z]+)+")

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


@every_page
def test_every_link_leads_somewhere(page: Path) -> None:
    links = [link for link in _LINK.findall(prose(page)) if "://" not in link]

    assert [link for link in links if not leads_somewhere(page, link)] == []


@every_page
def test_every_test_that_is_named_exists(page: Path) -> None:
    named = sorted(set(_TEST.findall(page.read_text("utf-8"))))

    assert [each for each in named if not is_test(each)] == []


@every_page
def test_every_command_that_is_named_exists(page: Path) -> None:
    named = {words for text in code(page) for words in _COMMAND.findall(text)}

    assert sorted(words for words in named if not is_command(words.split())) == []


@every_page
def test_whatever_is_made_or_run_as_a_module_is_there(page: Path) -> None:
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    text = "\n".join(code(page))

    assert set(_MAKE.findall(text)) <= {*targets}
    modules = set(_MODULE.findall(text)) - {"venv", "pip"}
    assert [name for name in modules if importlib.util.find_spec(name) is None] == []


@every_page
def test_every_file_of_ours_that_is_named_exists(page: Path) -> None:
    named = {path.rstrip("./") for text in code(page) for path in _FILE.findall(text)}

    assert sorted(path for path in named if not (ROOT / path).exists()) == []


@every_page
def test_every_key_that_is_named_can_be_set(page: Path) -> None:
    sections = "|".join(describe_sections())
    named = {key for text in spans(page) for key in re.findall(rf"^((?:{sections})\.\w+)", text)}
    assert named - {key.path for key in all_keys()} == set()


def test_the_runbook_has_a_heading_for_every_alert_and_for_no_other() -> None:
    runbook = DOCS / "runbook.md"
    headings = set(_HEADING.findall(prose(runbook)))

    assert {name for name in headings if name.startswith("Sebastian")} == set(alerts())


def test_every_alert_leads_to_its_heading() -> None:
    for name, rule in alerts().items():
        assert rule["annotations"]["runbook"] == f"docs/runbook.md#{name.lower()}"


def test_every_finding_that_the_runbook_names_can_be_found() -> None:
    source = "\n".join(
        path.read_text("utf-8") for path in (ROOT / "src" / "sebastian_apps").rglob("*.py")
    )
    named = {text for text in spans(DOCS / "runbook.md") if _FINDING.fullmatch(text)}

    assert sorted(name for name in named if not is_spelled_out(name, source)) == []


def test_every_promise_has_its_heading() -> None:
    headings = _HEADING.findall(prose(DOCS / "guarantees.md"))

    assert [each.split()[0] for each in headings if re.match(r"P\d", each)] == [
        f"P{number}" for number in range(1, 11)
    ]


def is_spelled_out(finding: str, source: str) -> bool:
    """Whether the code has the name, whole or behind that of a webhook or a store."""
    return f'"{finding}"' in source or f'}}-{finding.partition("-")[2]}"' in source


@cache
def prose(page: Path) -> str:
    """The page without its blocks of code."""
    return _FENCE.sub("", page.read_text("utf-8"))


def spans(page: Path) -> list[str]:
    """What stands between backticks."""
    return _CODE.findall(prose(page))


def code(page: Path) -> list[str]:
    """Everything that is written as code, blocks and spans."""
    return [*_FENCE.findall(page.read_text("utf-8")), *spans(page)]


def leads_somewhere(page: Path, link: str) -> bool:
    path, _, anchor = link.partition("#")
    target = (page.parent / path).resolve() if path else page
    if not target.exists():
        return False
    return not anchor or anchor in {slug(each) for each in _HEADING.findall(prose(target))}


def slug(heading: str) -> str:
    """A heading's anchor, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def is_test(named: str) -> bool:
    path, *names = named.split("::")
    if not (ROOT / path).is_file():
        return False
    found: object = importlib.import_module(path.removesuffix(".py").replace("/", "."))
    for name in names:
        if not hasattr(found, name):
            return False
        found = getattr(found, name)
    return True


def is_command(words: list[str]) -> bool:
    """Whether each word is a command or an option of the one before, up to the first argument."""
    command: click.Command = main
    for word in words:
        if word.startswith("-"):
            return word in options_of(command) or word in options_of(main)
        if not isinstance(command, click.Group):
            return True
        below = command.get_command(click.Context(command), word)
        if below is None:
            return False
        command = below
    return True


def options_of(command: click.Command) -> set[str]:
    parameters = command.get_params(click.Context(command))
    return {name for each in parameters for name in (*each.opts, *each.secondary_opts)}


def alerts() -> dict[str, dict[str, dict[str, str]]]:
    rules = yaml.safe_load((ROOT / "deploy" / "alerts.yml").read_text("utf-8"))
    return dict(_rules(rules["groups"]))


def _rules(
    groups: list[dict[str, list[dict[str, dict[str, str]]]]],
) -> Iterator[tuple[str, dict[str, dict[str, str]]]]:
    for group in groups:
        for rule in group["rules"]:
            yield str(rule["alert"]), rule
