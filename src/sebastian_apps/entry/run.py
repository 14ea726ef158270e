"""Running a command's work on the real stores, and telling what came of it."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import pwd
from collections.abc import Awaitable, Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from sebastian_apps.entry.printing import shows_everything
from sebastian_apps.printable import escaped, printable

if TYPE_CHECKING:
    from sebastian_core.allocator import Allocator

T = TypeVar("T")
Work = Callable[["Allocator"], Awaitable[T]]

REFUSED = 1


def run(config: Path | None, work: Work[T], needs: Collection[str] = ("db", "redis")) -> T:
    """What the work answers, given the allocator that the configuration describes."""
    from sebastian_apps.entry.startup import read_settings
    from sebastian_apps.wiring import build_allocator

    settings = read_settings(config, needs)
    with quiet():
        return asyncio.run(_carried_out(build_allocator(settings), work))


@contextmanager
def quiet() -> Iterator[None]:
    """Keep libraries from logging: what matters is raised, and told in one sentence."""
    import structlog

    silent = structlog.make_filtering_bound_logger(logging.CRITICAL)
    disabled, configured = logging.root.manager.disable, structlog.get_config()
    logging.disable(logging.ERROR)
    structlog.configure(wrapper_class=silent, cache_logger_on_first_use=False)
    try:
        yield
    finally:
        logging.disable(disabled)
        structlog.configure(**configured)


async def _carried_out(allocator: Allocator, work: Work[T]) -> T:
    try:
        async with allocator.opened():
            return await work(allocator)
    finally:
        if not allocator.roster.store_is_up:
            click.echo("Redis cannot be reached: who is online is not known here.", err=True)


def actor() -> str:
    """Whose process this is, as the history names them; no variable has a say in it."""
    user_id = os.getuid()
    try:
        name = pwd.getpwuid(user_id).pw_name
    except KeyError:
        name = str(user_id)
    return f"cli:{printable(name)}"


def tell(done: bool, sentence: str) -> None:
    """Say what became of a wish; end with 1 if it was not granted."""
    click.echo(printable(sentence), err=not done)
    if not done:
        raise SystemExit(REFUSED)


def print_json(document: Any) -> None:
    """Print a document for programs; what a terminal would not print as it is stands escaped."""
    text = json.dumps(document, indent=2, default=str, ensure_ascii=not shows_everything())
    click.echo("\n".join(map(escaped, text.split("\n"))))
