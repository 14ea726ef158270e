"""`python -m tests.hosts [--brief]`: as root."""

from __future__ import annotations

import click
from attrs import evolve

from tests.hosts.network import NoNamespaces
from tests.hosts.outcome import Outcome
from tests.hosts.run import end_on_sigterm, run
from tests.hosts.shape import BRIEF, HostsShape


@click.command()
@click.option("--brief", is_flag=True, help="Short durations and one cut.")
@click.option("--seed", default=1, show_default=True, help="Other customers.")
@click.option("--cut-seconds", type=float, help="How long each host is cut off.")
@click.option("--rate", type=float, help="New chats a second.")
@click.option("--unbalanced", is_flag=True, help="Nobody else is tried where a host is silent.")
@click.option("--unverified", is_flag=True, help="With assign.verify off.")
@click.option("--keep", is_flag=True, help="Keep logs and databases, whatever the verdict.")
@click.option("--show", default=10, show_default=True, help="How many violations to tell.")
def main(
    brief: bool,
    seed: int,
    cut_seconds: float | None,
    rate: float | None,
    unbalanced: bool,
    unverified: bool,
    keep: bool,
    show: int,
) -> None:
    """Run a floor on two hosts and a third for the servers, and cut one host off, then the other.

    Example: python -m tests.hosts
    """
    end_on_sigterm()
    shape = BRIEF if brief else HostsShape()
    outcome = _run(
        evolve(
            shape,
            seed=seed,
            cut_seconds=cut_seconds or shape.cut_seconds,
            rate_per_second=rate or shape.rate_per_second,
            balancer_seconds=None if unbalanced else shape.balancer_seconds,
            verify=not unverified,
        ),
        keep=keep,
    )
    click.echo(outcome.told())
    if outcome.verdict.violations:
        click.echo(f"\n{outcome.verdict.told(show)}")
    raise SystemExit(0 if outcome.is_clean else 1)


def _run(shape: HostsShape, *, keep: bool) -> Outcome:
    try:
        return run(shape, keep=keep)
    except NoNamespaces as error:
        raise click.ClickException(str(error)) from error


if __name__ == "__main__":
    main()
