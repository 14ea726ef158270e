"""Our own wheel, installed into a folder, and a Python that sees nothing else but what is named."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]


def install(folder: Path) -> Path:
    """Build the wheel, as `pip install` would, and unpack it into this folder."""
    target = folder / "installed"
    run = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    wheel = [*run, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), "."]
    subprocess.run(wheel, cwd=ROOT, check=True, timeout=100)
    (built,) = folder.glob("*.whl")
    unpack = [*run, "install", "--no-deps", "--no-index", "--no-compile", "--target", str(target)]
    subprocess.run([*unpack, str(built)], check=True, timeout=100)
    return target


def python(
    installed: Path, packages: Sequence[str], *arguments: str
) -> subprocess.CompletedProcess[str]:
    """Run a Python with the installed wheel and these packages of ours, and no others."""
    beside = installed.parent / f"packages-{'-'.join(packages)}"
    beside.mkdir(exist_ok=True)
    for name in packages:
        spec = importlib.util.find_spec(name)
        assert spec is not None, name
        assert spec.origin is not None, name
        if not (beside / name).exists():
            (beside / name).symlink_to(Path(spec.origin).parent)
    paths = f"import sys; sys.path[:0] = {[str(installed), str(beside)]!r}\n"
    *flags, code = arguments
    return subprocess.run(
        [sys.executable, "-I", "-S", "-W", "error", *flags, "-c", paths + code],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
