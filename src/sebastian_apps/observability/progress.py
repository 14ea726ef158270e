"""What long work shows to the person who waits for it.

On a terminal only, on standard error, and gone when the work is done: nothing of it gets into a
pipe, a log or `--json`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from rich.progress import Progress, ProgressColumn

T = TypeVar("T")
Advance = Callable[[], None]


@contextmanager
def working(what: str) -> Iterator[Callable[[str], None]]:
    """Turn a wheel; what is yielded changes the words beside it."""
    if not sys.stderr.isatty():
        yield lambda text: None
        return
    from rich.progress import SpinnerColumn, TextColumn

    with _shown(SpinnerColumn(), TextColumn("{task.description} …")) as shown:
        task = shown.add_task(what, total=None)
        yield lambda text: shown.update(task, description=text)


@contextmanager
def counting(what: str, total: int | None = None) -> Iterator[Advance]:
    """Show a bar with how much is done, of how much, and for how long; call what is yielded."""
    if not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    times = (TimeElapsedColumn(), TimeRemainingColumn())
    text = TextColumn("{task.description}")
    with _shown(text, BarColumn(), MofNCompleteColumn(), *times) as shown:
        task = shown.add_task(what, total=total)
        yield lambda: shown.advance(task)


def counted(what: str, items: Iterable[T], total: int | None = None) -> Iterator[T]:
    """The same items, with a bar that tells how many have been dealt with."""
    with counting(what, total) as advance:
        for item in items:
            yield item
            advance()


def _shown(*columns: ProgressColumn) -> Progress:
    """What is printed meanwhile stays above it on a terminal, and goes its own way in a pipe."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    return Progress(*columns, console=console, transient=True, redirect_stdout=sys.stdout.isatty())
