"""What every command does first: read the settings, set up logging, tell what is wrong."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from sebastian_apps.settings import Settings

DEFAULT_CONFIG = Path("config.yml")
SETTINGS = "sebastian.settings"
"""Where the context of a command keeps what it has read: its errors must show no secret of it."""

NO_FILE = "not in this folder; name a file with -c, or write one: sebastian config init"


def config_path(given: Path | None) -> Path | None:
    """The file to read: the one named, else `config.yml` where it exists, else none."""
    if given is not None:
        return given
    return DEFAULT_CONFIG if DEFAULT_CONFIG.exists() else None


def load(config: Path | None, needs: Collection[str] = ()) -> Settings:
    """Read file and environment; raises SettingsError with everything that is wrong.

    Where something is missing and no file was read, that is told too: it is what helps.
    """
    from sebastian_apps.settings import (
        UNSET,
        ConfigPlace,
        ConfigProblem,
        SettingsError,
        load_settings,
    )

    path = config_path(config)
    try:
        settings = load_settings(path, os.environ, needs=needs)  # type: ignore[arg-type]
    except SettingsError as error:
        if path is not None or all(each.place != UNSET for each in error.problems):
            raise
        no_file = ConfigProblem(ConfigPlace(str(DEFAULT_CONFIG)), "", NO_FILE)
        raise SettingsError([no_file, *error.problems]) from error
    if context := click.get_current_context(silent=True):
        context.meta[SETTINGS] = settings
    return settings


def read_settings(config: Path | None, needs: Collection[str] = ()) -> Settings:
    """Read file and environment; raises click.ClickException with everything that is wrong."""
    with telling_misconfiguration():
        return load(config, needs)


def starting(config: Path | None, needs: Collection[str] = (), *, process: str = "") -> Settings:
    """Read the settings and set up logging by them, for a process that is about to run.

    `process` ("webhook", "worker") is the name that stands in its log lines.
    """
    from sebastian_apps.observability.logging import Redactor, configure_logging, get_logger
    from sebastian_apps.observability.tracebacks import hide_in_tracebacks
    from sebastian_apps.settings import file_for_all_eyes

    settings = read_settings(config, needs)
    configure_logging(settings, process=process)
    hide_in_tracebacks(Redactor.for_settings(settings))
    if path := file_for_all_eyes(settings):
        words = "the configuration holds secrets, and every user of this machine can read it"
        get_logger("sebastian").warning(words, file=str(path))
    return settings


def without_secrets(text: str) -> str:
    """A text for a person, with every secret masked that the command at work has read."""
    context = click.get_current_context(silent=True)
    settings = context.meta.get(SETTINGS) if context else None
    if settings is None:
        return text
    from sebastian_apps.observability.logging import Redactor

    return Redactor.for_settings(settings).text(text)


@contextmanager
def telling_misconfiguration() -> Iterator[None]:
    """Turn what is wrong with the settings into what a command ends with.

    That a database is another account's is wrong with the settings, too.
    """
    from sebastian_apps.settings import SettingsError
    from sebastian_core.domain.errors import ForeignAccount

    try:
        yield
    except (SettingsError, ForeignAccount) as error:
        raise Misconfigured(str(error)) from error


class Misconfigured(click.ClickException):
    """The configuration cannot be used; the text says where, why and what would be right."""

    exit_code = 2

    def show(self, file: object = None) -> None:
        """Print the problems as they are, one a line."""
        from sebastian_apps.printable import printable_lines

        click.echo(printable_lines(self.message), err=True)
