"""The page about the command line names every command and everything that the doctor can find."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from sebastian_apps import status
from sebastian_apps.cli import doctor, examine
from sebastian_apps.cli.main import COMMANDS

PAGE = (Path(__file__).parents[3] / "docs" / "command-line.md").read_text(encoding="utf-8")
NAME = re.compile(
    r'\b(?:problem|warning|notice|make)\(\s*f?"([a-z{}.-]+)"|^ {8}"([a-z-]+)",$', re.MULTILINE
)
INSERTED = {
    "{name}-unreachable": ("redis", "broker"),
    "{name}-refuses": ("redis", "broker"),
    "{name}-evicts": ("redis", "broker"),
    "{name}-too-old": ("redis", "broker"),
    "{name}-webhook-elsewhere": ("allocation", "resolve"),
    "{name}-webhook-off": ("allocation", "resolve"),
    "{duty.name}-late": ("refresh", "reconcile"),
}


def test_every_command_is_named() -> None:
    assert [name for name in COMMANDS if f"sebastian {name}" not in PAGE] == []


def test_everything_that_can_be_found_is_named() -> None:
    names = set(finding_names())

    assert len(names) > 25
    assert {name for name in names if f"`{name}`" not in PAGE} == set()


def finding_names() -> Iterator[str]:
    """The names in the code, those with something inserted spelled out."""
    commands = [Path(str(module.__file__)) for module in (doctor, examine)]
    for file in [*commands, *Path(str(status.__file__)).parent.rglob("*.py")]:
        for plain, in_table in NAME.findall(file.read_text(encoding="utf-8")):
            name = plain or in_table
            words = INSERTED.get(name, ("",))
            yield from (name.replace("{name}", word).replace("{duty.name}", word) for word in words)
