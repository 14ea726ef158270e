"""The configuration of the floor that runs, so that every command can be tried on it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from sebastian_apps.cli.config_file import file_text, write_private
from sebastian_apps.settings import all_keys


def write_config(directory: Path, environ: Mapping[str, str]) -> Path:
    """Write what these variables set as a file that only its owner can read; where it is."""
    paths = {key.variables[0]: key.path for key in all_keys()}
    path = directory / "config.yml"
    write_private(path, file_text({paths[name]: value for name, value in environ.items()}))
    return path
