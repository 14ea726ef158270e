"""Which Pythons `make test-all` finds: those that really run."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
THIS = f"{sys.version_info.major}.{sys.version_info.minor}"
OTHER = next(version for version in ("3.11", "3.12") if version != THIS)
FAILING = "echo 'pyenv: the command exists in these Python versions' >&2; exit 127"


def test_a_command_that_is_there_but_does_not_run_is_no_python(tmp_path: Path) -> None:
    command(tmp_path / f"python{THIS}", f'exec {sys.executable} "$@"')
    command(tmp_path / f"python{OTHER}", FAILING)
    command(tmp_path / "python3", FAILING)
    command(tmp_path / "pyenv", "exit 1")

    found = pythons(tmp_path)

    assert THIS in found
    assert OTHER not in found


def test_a_python_that_pyenv_has_but_does_not_offer_is_found_all_the_same(tmp_path: Path) -> None:
    hidden = command(tmp_path / "hidden" / "python", f'exec {sys.executable} "$@"')
    command(tmp_path / f"python{THIS}", FAILING)
    command(tmp_path / "python3", FAILING)
    answers = {
        f"whence python{THIS}": "echo of-today",
        f"which python{THIS}": f'test "$PYENV_VERSION" = of-today && echo {hidden}',
    }
    cases = "".join(f'"{asked}") {told} ;;\n' for asked, told in answers.items())
    command(tmp_path / "pyenv", f'case "$*" in\n{cases}esac')

    assert THIS in pythons(tmp_path)


def command(path: Path, text: str) -> Path:
    """A program of a shell's lines."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def pythons(first_on_path: Path) -> dict[str, str]:
    """What the script lists, by version, with these commands before all others."""
    path = os.pathsep.join([str(first_on_path), "/usr/bin", "/bin"])
    environment = {"PATH": path, "HOME": str(first_on_path)}
    listed = subprocess.check_output([ROOT / "scripts" / "pythons"], env=environment, text=True)
    return dict(line.split(" ", 1) for line in listed.splitlines())
