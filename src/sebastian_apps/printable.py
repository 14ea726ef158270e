"""Text of others on a terminal: nothing in it moves the cursor or becomes part of a command."""

from __future__ import annotations

import shlex

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def printable(text: str) -> str:
    """The text with a sign for each character that would not be printed as it is.

    Those are control characters (escapes, line breaks), invisible and reordering ones, and what is
    no character at all.
    """
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else REPLACEMENT for each in text)


def as_argument(text: str) -> str:
    """The text as it stands in a command that somebody pastes into a shell: an argument at its end.

    Nothing in it is an option or for the shell to act on.
    """
    quoted = shlex.quote(text)
    return f"-- {quoted}" if text.startswith("-") else quoted
