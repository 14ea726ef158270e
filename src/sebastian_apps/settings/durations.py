"""Durations as people write them: `10s`, `500ms`, `1h30m`, `90d`, or a number of seconds."""

from __future__ import annotations

import re
from datetime import timedelta

_UNITS = {
    "ms": timedelta(milliseconds=1),
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}
_PART = re.compile(r"(\d{1,12}(?:\.\d{1,9})?)(ms|s|m|h|d|w)")
_SECONDS = re.compile(r"\d{1,12}(?:\.\d{1,9})?")
_SHOWN_UNITS = ("d", "h", "m", "s")


def parse_duration(text: str) -> timedelta:
    """Read a duration, exact to the microsecond; raises ValueError for anything else."""
    if _SECONDS.fullmatch(text):
        text += "s"
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError("not a duration")
    try:
        return sum((float(number) * _UNITS[unit] for number, unit in parts), timedelta())
    except OverflowError as error:
        raise ValueError("longer than can be counted") from error


def format_duration(duration: timedelta) -> str:
    """Write a duration so that `parse_duration` reads the same one: `1h30m`, `24h`, `500ms`."""
    units = _SHOWN_UNITS if duration >= timedelta(days=2) else _SHOWN_UNITS[1:]
    rest, words = duration, ""
    for unit in units:
        count, rest = divmod(rest, _UNITS[unit])
        words += f"{count}{unit}" if count else ""
    milliseconds = rest / _UNITS["ms"]
    words += f"{milliseconds:.3f}".rstrip("0").rstrip(".") + "ms" if milliseconds else ""
    return words or "0s"
