"""`python -m tests.chaos [--minutes 15]`."""

from __future__ import annotations

import asyncio

import click
from attrs import evolve

from sebastian_apps.observability.progress import working
from tests.chaos.run import run
from tests.chaos.shape import BRIEF, long_form


@click.command()
@click.option("--minutes", type=float, default=15.0, show_default=True, help="How long all fails.")
@click.option("--brief", is_flag=True, help="The short form of the test command.")
@click.option("--seed", default=1, show_default=True, help="Other customers, other faults.")
@click.option("--faults", default=10_000, show_default=True, help="How many faults at most.")
@click.option("--kills", default=20, show_default=True, help="Kills of a worker, measured before.")
@click.option("--rate", default=12.0, show_default=True, help="New chats a second.")
@click.option("--keep", is_flag=True, help="Keep logs and databases, whatever the verdict.")
@click.option("--show", default=10, show_default=True, help="How many violations to tell.")
def main(
    minutes: float,
    brief: bool,
    seed: int,
    faults: int,
    kills: int,
    rate: float,
    keep: bool,
    show: int,
) -> None:
    """Let everything fail, by lot, on real processes, and let the oracle judge.

    Example: python -m tests.chaos --minutes 15
    """
    shape = BRIEF if brief else long_form(minutes, kills=kills, rate_per_second=rate)
    with working(f"Everything fails for {shape.fault_seconds / 60:g} min, then must come to rest"):
        outcome = asyncio.run(run(evolve(shape, seed=seed, faults_at_most=faults), keep=keep))
    click.echo(outcome.told())
    if outcome.verdict.violations:
        click.echo(f"\n{outcome.verdict.told(show)}")
    raise SystemExit(0 if outcome.is_clean else 1)


if __name__ == "__main__":
    main()
