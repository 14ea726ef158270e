"""Printing never fails, whatever the encoding, and ends quietly when its reader has left."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from typing import Any

import click


class Program(click.Command):
    """What is started from a shell; click sees to a reader that leaves early (`| head -1`)."""

    def main(self, *arguments: Any, **options: Any) -> Any:
        """Run it; what the encoding of the output has no sign for becomes a question mark.

        Where an output is closed, something stands in its place: else a connection would get its
        number, and read there what was meant for people.
        """
        for name in ("stdout", "stderr"):
            if getattr(sys, name) is None:
                setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115 - for good
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="replace")
        return super().main(*arguments, **options)


def shows_everything() -> bool:
    """Whether the output has a sign for every character."""
    return (getattr(sys.stdout, "encoding", None) or "utf-8").lower().startswith("utf")
