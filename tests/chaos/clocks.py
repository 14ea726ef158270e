"""Wall clocks that are wrong: of one process each, by as much as it is told, also while it runs."""

from __future__ import annotations

import json
import os
import struct
from datetime import datetime
from pathlib import Path

from attrs import frozen

from tests.chaos.wrong_clock.sitecustomize import VARIABLE

FOLDER = Path(__file__).parent / "wrong_clock"
TAIL_BYTES = 65536


@frozen
class WallClock:
    """One process's wall clock, as far as it is off."""

    path: Path

    def put_off(self, seconds: float) -> None:
        """It is off by so much from now on."""
        with self.path.open("r+b" if self.path.exists() else "wb") as file:
            file.write(struct.pack("d", seconds))

    @property
    def off_seconds(self) -> float:
        """By how much it is off."""
        return float(struct.unpack("d", self.path.read_bytes())[0])

    @property
    def environment(self) -> dict[str, str]:
        """What a Python process must be started with to live by it."""
        paths = [str(FOLDER), os.environ.get("PYTHONPATH", "")]
        return os.environ | {
            VARIABLE: str(self.path),
            "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        }


def seconds_off_in(log: Path) -> float | None:
    """How far the clock was off by which the last line was logged; None without lines.

    Only right just after it was written: the file's own time is the true one.
    """
    written_at = log.stat().st_mtime
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - TAIL_BYTES))
        lines = [line for line in file.read().splitlines() if line.startswith(b"{")]
    if not lines:
        return None
    told = json.loads(lines[-1]).get("timestamp")
    return None if told is None else datetime.fromisoformat(told).timestamp() - written_at
