"""`sebastian-webhook`: takes Qiscus's webhooks."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
import structlog

from sebastian_apps.cli.options import config_option, patience_option
from sebastian_apps.cli.printing import Program

if TYPE_CHECKING:
    from sebastian_apps.settings import Settings

log = structlog.stdlib.get_logger("sebastian.webhook")


@click.command(name="sebastian-webhook", cls=Program)
@config_option
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
@patience_option
def main(
    config: Path | None, host: str | None, port: int | None, processes: int, patience: float
) -> None:
    """Take Qiscus's webhooks and record them durably.

    Example: sebastian-webhook -c config.yml
    """
    from sebastian_apps.cli.starting import starting
    from sebastian_apps.container import build_webhook
    from sebastian_apps.webhook.serving import CannotListen, run

    settings = _listening_on(host, starting(config, needs={"db", "redis"}, process="webhook"))
    if settings.qiscus.app_id is None:
        log.warning("qiscus.app_id is not set: the workers hear no bell of this service")
    listen_port = settings.listen.port if port is None else port
    try:
        status = run(
            lambda: build_webhook(settings),
            settings.listen.host,
            listen_port,
            processes=processes,
            patience_seconds=patience,
        )
    except CannotListen as error:
        raise click.ClickException(str(error)) from error
    sys.exit(status)


def _listening_on(host: str | None, settings: Settings) -> Settings:
    """The settings with the host that counts, checked: no strangers without a token."""
    from attrs import evolve

    from sebastian_apps.cli.starting import telling_misconfiguration
    from sebastian_apps.settings import check_webhook_exposure

    if host is not None:
        settings = evolve(settings, listen=evolve(settings.listen, host=host))
    with telling_misconfiguration():
        check_webhook_exposure(settings)
    return settings


if __name__ == "__main__":
    main()
