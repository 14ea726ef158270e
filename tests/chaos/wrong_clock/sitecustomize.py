"""Python reads this at its start where this folder is on PYTHONPATH: the wall clock is then wrong.

By how much, a file says that the environment names: one double, in seconds, which may change while
the process runs. What the process asks Python is shifted, `time` and `datetime` alike; monotonic
clocks are not. Nothing has to be installed for it, as libfaketime would have to be.
"""

import ctypes
import datetime as dt
import gc
import mmap
import os
import struct
import time
from collections.abc import Callable
from pathlib import Path

VARIABLE = "SEBASTIAN_CHAOS_CLOCK"


def put_off(path: Path) -> None:
    """From now on this process's wall clock is off by what the file says."""
    with path.open("rb") as file:
        told = mmap.mmap(file.fileno(), struct.calcsize("d"), access=mmap.ACCESS_READ)

    def off() -> float:
        return float(struct.unpack_from("d", told)[0])

    _shift_time(off)
    _shift_datetime()


def _shift_time(off: Callable[[], float]) -> None:
    true_time, true_nanoseconds, true_clock = time.time, time.time_ns, time.clock_gettime

    def clock_gettime(clock: int) -> float:
        return true_clock(clock) + (off() if clock == time.CLOCK_REALTIME else 0.0)

    time.time = lambda: true_time() + off()
    time.time_ns = lambda: true_nanoseconds() + round(off() * 1e9)
    time.clock_gettime = clock_gettime


def _shift_datetime() -> None:
    """In the type itself, so that whoever has it by another name sees the same."""

    def now(kind: type[dt.datetime], tz: dt.tzinfo | None = None) -> dt.datetime:
        return kind.fromtimestamp(time.time(), tz)

    (namespace,) = gc.get_referents(dt.datetime.__dict__)
    namespace["now"] = classmethod(now)
    ctypes.pythonapi.PyType_Modified(ctypes.py_object(dt.datetime))


if VARIABLE in os.environ:
    put_off(Path(os.environ[VARIABLE]))
