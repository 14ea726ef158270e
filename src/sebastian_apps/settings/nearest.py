"""What somebody probably meant by a name that does not exist."""

from __future__ import annotations

import re
from collections.abc import Iterable

_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,39}")


def plain_name(name: str) -> str:
    """A name as it may be repeated: a question mark where it looks like more than a name.

    Where the space after a colon is missing, YAML takes `password:xyz` as a name.
    """
    return name if _PLAIN.fullmatch(name) else "?"


def nearest_of(name: str, existing: Iterable[str], *, at_least: float = 0.6) -> str | None:
    """The existing name that looks most like this one, whatever its case; None if none does.

    `at_least` is how much like it, from 0 to 1.
    """
    from difflib import get_close_matches

    by_case = {candidate.lower(): candidate for candidate in existing}
    close = get_close_matches(name.lower(), by_case, n=1, cutoff=at_least)
    return by_case[close[0]] if close else None


def nearest_key(section: str, name: str, paths: Iterable[str]) -> str | None:
    """The key that was probably meant by `section.name`.

    The like-named one of the same section, else the first like-named one of another.
    """
    own: dict[str, str] = {}
    others: dict[str, str] = {}
    for path in paths:
        its_section, _, leaf = path.partition(".")
        (own if its_section == section else others).setdefault(leaf, path)
    for candidates in (own, others):
        if like := nearest_of(name, candidates):
            return candidates[like]
    return None
