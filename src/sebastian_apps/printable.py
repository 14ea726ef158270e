"""Text of others on a terminal: nothing in it moves the cursor or becomes part of a command."""

from __future__ import annotations

import json
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


def printable_lines(text: str) -> str:
    """The same for a text that may have several lines."""
    return "\n".join(map(printable, text.split("\n")))


def escaped(line: str) -> str:
    """A line of JSON in which each character that would not be printed as it is stands escaped."""
    if line.isprintable():
        return line
    return "".join(each if each.isprintable() else json.dumps(each)[1:-1] for each in line)


def as_argument(text: str) -> str:
    """The text as it stands in a command that somebody pastes into a shell: an argument at its end.

    Nothing in it is an option or for the shell to act on.
    """
    quoted = shlex.quote(text)
    return f"-- {quoted}" if text.startswith("-") else quoted
