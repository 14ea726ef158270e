"""A process with a wrong clock believes it, whatever it asks, and wakes in time all the same."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.chaos.clocks import WallClock

ASKED = """
import time
import sys
from datetime import UTC, datetime, date
clock = time.monotonic()
print(time.time(), time.time_ns() / 1e9, time.clock_gettime(time.CLOCK_REALTIME),
      datetime.now(UTC).timestamp(), datetime.now().timestamp(), clock)
sys.stdout.flush()
sys.stdin.readline()
print(time.time())
"""


@pytest.mark.parametrize("seconds", [120.0, -120.0, 0.0])
def test_a_process_lives_by_the_clock_that_it_is_given(tmp_path: Path, seconds: float) -> None:
    clock = WallClock(tmp_path / "clock")
    clock.put_off(seconds)

    with subprocess.Popen(
        [sys.executable, "-c", ASKED],
        env=clock.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin
        assert process.stdout
        *moments, monotonic = map(float, process.stdout.readline().split())
        told_by = time.time(), time.monotonic()
        clock.put_off(0.0)
        process.stdin.write("\n")
        process.stdin.flush()
        corrected = float(process.stdout.readline())

    assert moments == pytest.approx([told_by[0] + seconds] * len(moments), abs=60.0)
    assert monotonic == pytest.approx(told_by[1], abs=60.0)
    assert corrected == pytest.approx(time.time(), abs=60.0)
