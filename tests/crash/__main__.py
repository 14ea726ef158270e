"""`python -m tests.crash [--ledger FOLDER] [--part 1/2] [STORY…]`."""

from __future__ import annotations

import asyncio
import math
import re
import time
from collections.abc import Sequence
from pathlib import Path

import click
from attrs import define, field

from tests.canaries import SUITE
from tests.crash.campaign import Watcher, all_stories, campaign
from tests.crash.found import Found
from tests.crash.ledger import Ledger
from tests.crash.planted import hunt
from tests.crash.trial import Trial

TOLD_EVERY_SECONDS = 10.0


def _part(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[int, int] | None:
    """`2/3`: the second of three parts."""
    if value is None:
        return None
    found = re.fullmatch(r"(\d+)/(\d+)", value)
    if found is None or not 1 <= int(found[1]) <= int(found[2]):
        raise click.BadParameter("not a part such as 1/2", ctx, param)
    return int(found[1]), int(found[2])


@click.command()
@click.argument("stories", nargs=-1, type=click.Choice(list(all_stories())))
@click.option("--part", callback=_part, metavar="I/N", help="A part: several may run at once.")
@click.option("--ledger", type=click.Path(path_type=Path), help="Keep results; go on from there.")
@click.option("--minutes", type=float, help="Begin nothing after that.")
@click.option("--every", is_flag=True, help="Also second crashes that are of one kind.")
@click.option("--sample", type=int, help="How many second crashes, drawn by lot; all without it.")
@click.option("--seed", default=1, show_default=True, help="Another lot.")
@click.option("--at-once", default=6, show_default=True, help="How many trials run at once.")
@click.option("--mutants", is_flag=True, help="Plant bugs, and see whether they are caught.")
@click.option("--points", is_flag=True, help="Also list every crash point by name.")
def main(
    stories: tuple[str, ...],
    part: tuple[int, int] | None,
    ledger: Path | None,
    minutes: float | None,
    every: bool,
    sample: int | None,
    seed: int,
    at_once: int,
    mutants: bool,
    points: bool,
) -> None:
    """Kill a process at every step of every use case, let a fresh one take over, and judge.

    Example: python -m tests.crash --ledger /tmp/crashes --minutes 40
    """
    if mutants:
        raise SystemExit(_hunt())
    began = time.monotonic()
    chosen = _part_of(stories or tuple(all_stories()), part)
    name = "part-{}-of-{}".format(*part) if part else "trials"
    kept = Ledger.of(ledger, name) if ledger else Ledger()
    ends_at = math.inf if minutes is None else began + minutes * 60

    def is_enough(killed: int) -> bool:
        return time.monotonic() > ends_at

    async def run() -> Found:
        async with campaign(at_once, ledger=kept, watcher=Teller()) as trials:
            return await trials.run(
                stories=chosen, sample=sample, seed=seed, every=every, is_enough=is_enough
            )

    if kept.of_other_code:
        click.echo(f"{kept.of_other_code} trials of other code are left out", err=True)
    found = asyncio.run(run())
    _tell(found, points=points)
    click.echo(f"took             {time.monotonic() - began:.0f} s")
    is_unfinished = found.left > 0 and sample is None
    raise SystemExit(1 if found.unclean or found.missed or SUITE.hits or is_unfinished else 0)


@define
class Teller(Watcher):
    """A line every few seconds, and one for each trial in which something went wrong."""

    _what: str = ""
    _total: int = 0
    _done: int = 0
    _new: int = 0
    _wrong: int = 0
    _began: float = field(factory=time.monotonic)
    _told: float = field(factory=time.monotonic)

    def begins(self, what: str, total: int, known: int) -> None:
        """Says what follows."""
        self._what, self._total, self._done, self._new = what, total, known, 0
        self._began = self._told = time.monotonic()
        click.echo(f"{what}: {total}, {known} of them known", err=True)

    def tried(self, trial: Trial, *, again: int) -> None:
        """Counts, and says so from time to time."""
        self._done += 1
        self._new += 1
        now = time.monotonic()
        if not (trial.is_clean and trial.is_reached):
            self._wrong += 1
            click.echo(
                f"{'unclean' if trial.is_reached else 'not reached'}: {trial.told()}", err=True
            )
        if now - self._told < TOLD_EVERY_SECONDS and self._done < self._total:
            return
        self._told = now
        rate = self._new / (now - self._began)
        click.echo(
            f"{self._what} {self._done}/{self._total}, {rate:.1f}/s, "
            f"{(self._total - self._done) / rate / 60:.0f} min left, "
            f"{self._wrong} wrong, {again} played again",
            err=True,
        )


def _part_of(stories: Sequence[str], part: tuple[int, int] | None) -> Sequence[str]:
    if part is None:
        return stories
    number, parts = part
    return stories[number - 1 :: parts]


def _tell(found: Found, *, points: bool) -> None:
    if points:
        for story, steps in found.steps.items():
            click.echo(f"{story}\n" + "\n".join(f"  {step.state:>3} {step.name}" for step in steps))
    for trial in found.unclean:
        click.echo(f"{trial.told()}\n")
    for trial in found.missed:
        click.echo(f"not reached: {trial.crash}")
    click.echo(f"{found.table()}\n\n{found.told()}")
    for line in SUITE.told():
        click.echo(line)


def _hunt() -> int:
    missed = 0
    for name, told in hunt():
        missed += told is None
        click.echo(f"{name:<40} {told or 'NOT CAUGHT'}")
    return 1 if missed else 0


if __name__ == "__main__":
    main()
