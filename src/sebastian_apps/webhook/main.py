"""`sebastian-webhook`: takes Qiscus's webhooks."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click
from attrs import evolve

from sebastian_apps.settings import (
    Settings,
    SettingsError,
    check_webhook_exposure,
    load_settings,
)

DEFAULT_CONFIG = Path("config.yml")
UNUSABLE_SETTINGS = 2


@click.command(name="sebastian-webhook", help="Take Qiscus's webhooks and record them durably.")
@click.option(
    "-c",
    "--config",
    type=click.Path(path_type=Path),
    help="The configuration file; config.yml, where there is one.",
)
@click.option("--host", help="The address to listen on, instead of listen.host.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    help="The port to listen on, instead of listen.port; 0 takes a free one.",
)
@click.option(
    "--processes",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    help="How many processes share the address.",
)
def main(config: Path | None, host: str | None, port: int | None, processes: int) -> None:
    """Read the settings and serve until told to stop."""
    try:
        settings = _settings(config, host)
    except SettingsError as error:
        click.echo(str(error), err=True)
        sys.exit(UNUSABLE_SETTINGS)
    listen_port = settings.listen.port if port is None else port
    sys.exit(serve_webhooks(settings, port=listen_port, processes=processes))


def serve_webhooks(settings: Settings, *, port: int, processes: int = 1) -> int:
    """Serve with real parts until SIGTERM or SIGINT; returns the exit status."""
    from sebastian_apps.container import build_webhook
    from sebastian_apps.logging import configure_logging
    from sebastian_apps.webhook.serving import CannotListen, run

    configure_logging(settings, process="webhook")
    try:
        return run(lambda: build_webhook(settings), settings.listen.host, port, processes=processes)
    except CannotListen as error:
        click.echo(str(error), err=True)
        return 1


def _settings(config: Path | None, host: str | None) -> Settings:
    path = config or (DEFAULT_CONFIG if DEFAULT_CONFIG.exists() else None)
    settings = load_settings(path, os.environ, needs={"db", "redis"})
    if host is not None:
        settings = evolve(settings, listen=evolve(settings.listen, host=host))
    check_webhook_exposure(settings)
    return settings


if __name__ == "__main__":
    main()
