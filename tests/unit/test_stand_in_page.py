"""The page about the stand-in names everything that it knows, and nothing that it does not."""

import re
from pathlib import Path

from attrs import fields_dict

from sebastian_adapters.memory.platform import Switches
from sebastian_apps.fake_qiscus import FakeConfig, FakeQiscus, InjectedFault, WebhookFaults
from sebastian_apps.fake_qiscus.control import Control
from sebastian_apps.fake_qiscus.faults import FAULT_KINDS, RUBBISH
from sebastian_apps.fake_qiscus.routes import OPERATIONS, ROUTES

TEXT = (Path(__file__).parents[2] / "docs" / "stand-in.md").read_text()
PAGE = re.sub(r"^```.*?^```$", "", TEXT, flags=re.MULTILINE | re.DOTALL)
"""Without its examples."""


def section(title: str) -> str:
    """The text below that title."""
    return PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def first_column(title: str) -> list[str]:
    """What stands in code in the first cell of each row of that section's table."""
    rows = re.findall(r"^\| (`.*?) \| ", section(title), re.MULTILINE)
    return [name for row in rows for name in re.findall(r"`([^`]+)`", row)]


def test_every_call_is_named_with_its_path() -> None:
    last_cells = re.findall(r"\| ([^|]+) \|$", section("Calls"), re.MULTILINE)

    assert set(re.findall(r"`(\w+)`", " ".join(last_cells))) == OPERATIONS
    for _, path, _ in ROUTES:
        shown = re.escape(path).replace(r"\{\}", r"\{[^}]+\}")
        assert re.search(rf"{shown}[` ]", section("Calls")), path


def test_every_control_request_is_named() -> None:
    control = Control(FakeQiscus(FakeConfig()))

    assert set(first_column("What people and customers do")) == set(control.known)


def test_every_switch_is_named() -> None:
    assert set(first_column("Switches")) == set(fields_dict(Switches))


def test_every_fault_is_named() -> None:
    assert set(first_column("Faults")) == set(fields_dict(InjectedFault))
    words = set(re.findall(r"`(\w+)`", section("Faults")))
    assert {*FAULT_KINDS, *RUBBISH, *fields_dict(WebhookFaults)} <= words
