"""What every command does first: read the settings, set up logging, tell what is wrong."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from sebastian_apps.settings import Settings

DEFAULT_CONFIG = Path("config.yml")


def config_path(given: Path | None) -> Path | None:
    """The file to read: the one named, else `config.yml` where it exists, else none."""
    if given is not None:
        return given
    return DEFAULT_CONFIG if DEFAULT_CONFIG.exists() else None


def read_settings(config: Path | None, needs: Collection[str] = ()) -> Settings:
    """Read file and environment; raises click.ClickException with everything that is wrong."""
    from sebastian_apps.settings import SettingsError, load_settings

    try:
        return load_settings(config_path(config), os.environ, needs=needs)  # type: ignore[arg-type]
    except SettingsError as error:
        raise Misconfigured(str(error)) from error


def starting(config: Path | None, needs: Collection[str] = ()) -> Settings:
    """Read the settings and set up logging by them, for a process that is about to run."""
    from sebastian_apps.logging import configure_logging

    settings = read_settings(config, needs)
    configure_logging(settings)
    return settings


class Misconfigured(click.ClickException):
    """The configuration cannot be used; the text says where, why and what would be right."""

    exit_code = 2

    def show(self, file: object = None) -> None:
        """Print the problems as they are, one a line."""
        click.echo(self.message, err=True)
