"""Printing never fails, whatever the encoding, and ends quietly when its reader has left."""

from __future__ import annotations

import io
import sys
from typing import Any

import click


class Program(click.Command):
    """What is started from a shell; click sees to a reader that leaves early (`| head -1`)."""

    def main(self, *arguments: Any, **options: Any) -> Any:
        """Run it; what the encoding of the output has no sign for becomes a question mark."""
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="replace")
        return super().main(*arguments, **options)


def shows_everything() -> bool:
    """Whether the output has a sign for every character."""
    return (getattr(sys.stdout, "encoding", None) or "utf-8").lower().startswith("utf")
