"""`python -m tests.crash [--sample N] [STORY…]`."""

from __future__ import annotations

import asyncio
import itertools
import time

import click

from sebastian_apps.progress import counting
from tests.crash.campaign import Found, all_stories, campaign
from tests.crash.planted import hunt
from tests.crash.trial import Trial

TOLD_EVERY = 50


@click.command()
@click.argument("stories", nargs=-1, type=click.Choice(list(all_stories())))
@click.option("--sample", type=int, help="How many second crashes, drawn by lot; all without it.")
@click.option("--seed", default=1, show_default=True, help="Another lot.")
@click.option("--at-once", default=16, show_default=True, help="How many trials run at once.")
@click.option("--mutants", is_flag=True, help="Plant bugs, and see whether they are caught.")
@click.option("--points", is_flag=True, help="Also list every crash point by name.")
def main(
    stories: tuple[str, ...],
    sample: int | None,
    seed: int,
    at_once: int,
    mutants: bool,
    points: bool,
) -> None:
    """Kill a process at every step of every use case, let a fresh one take over, and judge.

    Example: python -m tests.crash --sample 200
    """
    if mutants:
        raise SystemExit(_hunt())
    began = time.monotonic()
    found = asyncio.run(_run(stories or tuple(all_stories()), sample, seed, at_once))
    if points:
        for story, steps in found.steps.items():
            click.echo(f"{story}\n" + "\n".join(f"  {step.state:>3} {step.name}" for step in steps))
    for trial in found.unclean:
        click.echo(f"{trial.told()}\n")
    for trial in found.missed:
        click.echo(f"not reached: {trial.crash}")
    click.echo(found.told())
    click.echo(f"took             {time.monotonic() - began:.0f} s")
    raise SystemExit(1 if found.unclean or found.missed else 0)


def _hunt() -> int:
    missed = 0
    for name, told in hunt():
        missed += told is None
        click.echo(f"{name:<40} {told or 'NOT CAUGHT'}")
    return 1 if missed else 0


async def _run(stories: tuple[str, ...], sample: int | None, seed: int, at_once: int) -> Found:
    numbers = itertools.count(1)

    def tell(trial: Trial) -> None:
        number = next(numbers)
        if not trial.is_clean:
            click.echo(f"unclean: {trial.told()}", err=True)
        if number % TOLD_EVERY == 0:
            click.echo(f"{number} trials", err=True)

    with counting("trials") as advance:

        def told(trial: Trial) -> None:
            tell(trial)
            advance()

        async with campaign(at_once, told) as trials:
            return await trials.run(stories=stories, sample=sample, seed=seed)


if __name__ == "__main__":
    main()
