"""`python -m tests.scenario [--check-wait] [A] [A2] [B] [B-unverified]`."""

from __future__ import annotations

from typing import Literal

import click
from attrs import evolve

from sebastian_apps.observability.progress import working
from tests.scenario.run import run
from tests.scenario.scenarios import SCENARIOS


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(list(SCENARIOS)))
@click.option(
    "--check-wait",
    is_flag=True,
    help="Also fail where the wait, or what else depends on speed, is not as demanded.",
)
@click.option("--seed", default=1, show_default=True, help="Another seed, other customers.")
@click.option("--doorbell", type=click.Choice(["dramatiq", "postgres"]), default="dramatiq")
@click.option("--keep", is_flag=True, help="Keep logs and databases, whatever the verdict.")
@click.option("--show", default=10, show_default=True, help="How many violations to tell.")
def main(
    names: tuple[str, ...],
    check_wait: bool,
    seed: int,
    doorbell: Literal["dramatiq", "postgres"],
    keep: bool,
    show: int,
) -> None:
    """Run the floor on real processes and let the oracle judge. All scenarios where none is named.

    Example: python -m tests.scenario A --check-wait
    """
    failed = False
    for name in names or SCENARIOS:
        scenario = SCENARIOS[name]
        floor = evolve(scenario.floor, seed=seed)
        with working(f"Scenario {name}: {floor.chats} customers on real processes"):
            outcome = run(evolve(scenario, floor=floor, doorbell=doorbell), keep=keep)
        click.echo(f"{outcome.table()}\n")
        if not outcome.verdict.is_clean:
            click.echo(f"{outcome.verdict.told(show)}\n")
        slow = outcome.too_slow if check_wait else []
        for what in slow:
            click.echo(f"not as demanded: {what}\n")
        is_true = outcome.verdict.is_clean and not outcome.metrics_that_differ
        failed = failed or bool(slow) or not is_true
    raise SystemExit(1 if failed else 0)


main()
