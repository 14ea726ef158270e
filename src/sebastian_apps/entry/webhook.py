"""`sebastian-webhook`: takes Qiscus's webhooks."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
import structlog

from sebastian_apps.entry.options import config_option, patience_option
from sebastian_apps.entry.printing import Program

if TYPE_CHECKING:
    from sebastian_apps.settings import Settings

log = structlog.stdlib.get_logger("sebastian.webhook")


def _one(ctx: click.Context, param: click.Parameter, processes: int) -> None:
    if processes > 1:
        raise click.UsageError(
            "A webhook service is one process, which the service manager starts again when it "
            f"ends. Run {processes} of them: on one socket that systemd hands over (systemctl "
            "enable --now sebastian-webhook.socket sebastian-webhook@1 sebastian-webhook@2), or on "
            "ports of their own behind a proxy that tries the next one.",
            ctx,
        )


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
    type=click.IntRange(1),
    default=1,
    hidden=True,
    callback=_one,
    expose_value=False,
)
@patience_option
def main(config: Path | None, host: str | None, port: int | None, patience: float) -> None:
    """Take Qiscus's webhooks and record them durably.

    Listens on the sockets that systemd hands over, if it hands any over.

    Example: sebastian-webhook -c config.yml
    """
    from sebastian_apps.entry.startup import starting
    from sebastian_apps.http.listening import CannotListen, bind, inherited
    from sebastian_apps.http.serving import run
    from sebastian_apps.wiring import build_webhook

    settings = starting(config, needs={"db", "redis"}, process="webhook")
    try:
        handed = inherited()
        hosts = [each.getsockname()[0] for each in handed] or [host or settings.listen.host]
        settings = _listening_on(hosts, settings)
        if settings.qiscus.app_id is None:
            log.warning("qiscus.app_id is not set: the workers hear no bell of this service")
        listen_port = settings.listen.port if port is None else port
        status = run(
            lambda: build_webhook(settings),
            handed or bind(settings.listen.host, listen_port),
            shows_apart=bool(handed),
            patience_seconds=patience,
        )
    except CannotListen as error:
        raise click.ClickException(str(error)) from error
    sys.exit(status)


def _listening_on(hosts: list[str], settings: Settings) -> Settings:
    """The settings with the host that others reach most easily: no strangers without a token."""
    from attrs import evolve

    from sebastian_apps.entry.startup import telling_misconfiguration
    from sebastian_apps.settings import require

    each = [evolve(settings, listen=evolve(settings.listen, host=host)) for host in hosts]
    settings = min(each, key=lambda one: one.listens_on_loopback)
    with telling_misconfiguration():
        require(settings, {"exposure"})
    return settings


if __name__ == "__main__":
    main()
