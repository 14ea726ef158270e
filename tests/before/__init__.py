"""The code of an earlier commit beside this one, under names of its own.

`before_sebastian_core` is what `sebastian_core` was then, and so on; `before_tests.simulation` is
the simulation that built it. All is taken from the history of the repository, so there is nothing
of it to be kept: where that commit is not there (an unpacked archive, a shallow clone), whoever
asks for it is told so.
"""

from __future__ import annotations

import atexit
import re
import subprocess
import sys
import tarfile
from functools import cache
from io import BytesIO
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp

COMMIT = "beaa4c5"
"""The last one whose chats carry their doubts alone: no `conclusive_from`."""

PREFIX = "before_"
_HERE = Path(__file__).parents[2]
_PARTS = ("src", "tests/__init__.py", "tests/simulation")
_NAMES = re.compile(r"\b(sebastian_(?:core|adapters|apps)|tests(?=\.simulation))\b")


_CORE = "sebastian_core.domain"
_AGENT_LOADS = ("AgentLoads", "AgentSetting", "CapacityRules", "CountBounds")
#: Where modules of that commit are now; agents' loads and settings went into one of their own.
_MODULES = {
    f"{_CORE}.agent": f"{_CORE}.roster",
    f"{_CORE}.arrivals": f"{_CORE}.webhooks",
    f"{_CORE}.by_hand": f"{_CORE}.manual",
    f"{_CORE}.readings": f"{_CORE}.platform",
    f"{_CORE}.settling": f"{_CORE}.in_doubt",
}
_CLASSES = {"Move": "Transition", "Staffing": "AgentLoads", "Watch": "AgentRecheck"}
#: What a port's verb was called then, and is now.
VERBS = {"relist": "replace", "observe": "update"}


class NotThere(Exception):
    """The commit is not in this repository."""


@cache
def load(commit: str = COMMIT) -> None:
    """Make the packages of that commit importable; raises NotThere."""
    archived = subprocess.run(
        ("git", "archive", commit, *_PARTS), cwd=_HERE, capture_output=True, check=False
    )
    if archived.returncode:
        raise NotThere(f"{commit}: {archived.stderr.decode().strip()}")
    folder = Path(mkdtemp(prefix="sebastian-before-"))
    atexit.register(rmtree, folder, ignore_errors=True)
    with tarfile.open(fileobj=BytesIO(archived.stdout)) as archive:
        archive.extractall(folder, filter="data")
    for folder_before in (*(folder / "src").iterdir(), folder / "tests"):
        folder_before.rename(folder / f"{PREFIX}{folder_before.name}")
    for source in folder.rglob("*.py"):
        source.write_text(_NAMES.sub(rf"{PREFIX}\1", source.read_text()))
    sys.path.append(str(folder))


def place_now(module: str, name: str) -> tuple[str, str]:
    """Where a class of that commit is now, and what it is called."""
    name = _CLASSES.get(name, name)
    if name in _AGENT_LOADS:
        return f"{_CORE}.agent_loads", name
    return _MODULES.get(module, module), name


def place_then(module: str, name: str) -> tuple[str, str]:
    """Where a class of ours was at that commit, and what it was called."""
    name = {now: then for then, now in _CLASSES.items()}.get(name, name)
    if module == f"{_CORE}.agent_loads":
        return f"{_CORE}.agent", name
    return {now: then for then, now in _MODULES.items()}.get(module, module), name
