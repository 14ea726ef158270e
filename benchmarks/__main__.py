"""`python -m benchmarks`: measure, show a table, write JSON."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import click
import uvloop
from attrs import frozen

from benchmarks import (
    draining,
    hand_over,
    naive,
    platform_calls,
    reservation,
    scaling,
    starting,
    steady,
    way_in,
)
from benchmarks.report import Figure, show, write
from benchmarks.stage import Stage, staged
from sebastian_apps.observability.progress import counted


@frozen
class Effort:
    """How often and how long everything is measured."""

    rounds: int
    seconds: float
    chats: int
    waiting: int


FULL = Effort(rounds=5, seconds=5.0, chats=10_000, waiting=1_000_000)
QUICK = Effort(rounds=1, seconds=2.0, chats=1_000, waiting=20_000)

Subject = Callable[[Stage, Effort], list[Figure]]

SUBJECTS: dict[str, Subject] = {
    "start": lambda _, effort: starting.measure(rounds=effort.rounds),
    "way-in": lambda stage, effort: way_in.measure(
        stage, rounds=effort.rounds, seconds=effort.seconds
    ),
    "reservation": lambda stage, effort: reservation.measure(
        stage, rounds=effort.rounds, large=effort.waiting
    ),
    "calls": lambda stage, effort: platform_calls.measure(
        stage, rounds=effort.rounds, seconds=effort.seconds / 2
    ),
    "drain": lambda stage, effort: draining.measure(
        stage, rounds=effort.rounds, chats=effort.chats
    ),
    "steady": lambda stage, effort: steady.measure(
        stage, rounds=effort.rounds, seconds=effort.seconds * 2
    ),
    "idle-slot": lambda stage, effort: steady.measure_idle_slot(stage, trials=effort.rounds * 6),
    "behind-perfect": lambda stage, effort: steady.measure_behind_perfect(
        stage, rounds=effort.rounds
    ),
    "hand-over": lambda stage, effort: hand_over.measure(stage, rounds=effort.rounds),
    "scaling": lambda stage, effort: scaling.measure(
        stage, rounds=effort.rounds, seconds=effort.seconds, chats=effort.chats
    ),
    "naive": lambda stage, effort: naive.measure(stage, rounds=effort.rounds),
    "idle": lambda stage, effort: steady.idle_and_memory(
        stage, seconds=effort.seconds * 4, waiting=effort.waiting
    ),
}


@click.command(name="benchmarks")
@click.argument("subjects", nargs=-1, type=click.Choice(list(SUBJECTS)))
@click.option("--quick", is_flag=True, help="Once and short: to see that all of it runs.")
@click.option("--rounds", type=click.IntRange(1), help="How often instead of five times.")
@click.option(
    "--json",
    "path",
    type=click.Path(path_type=Path),
    help="Where the figures go (default: benchmarks/results/<moment>.json).",
)
def main(subjects: tuple[str, ...], quick: bool, rounds: int | None, path: Path | None) -> None:
    """Measure some SUBJECTS, or all of them, each beside its limit in the same run.

    Example: python -m benchmarks way-in drain
    """
    uvloop.install()
    effort = QUICK if quick else FULL
    if rounds is not None:
        effort = Effort(rounds, effort.seconds, effort.chats, effort.waiting)
    with staged() as stage:
        figures, failed = _measured(stage, subjects or tuple(SUBJECTS), effort)
    show(figures)
    moment = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    written = path or Path("benchmarks/results") / f"{moment}.json"
    write(figures, written)
    click.echo(f"written to {written}", err=True)
    if failed:
        raise click.ClickException(f"not measured: {', '.join(failed)}")


def _measured(
    stage: Stage, subjects: tuple[str, ...], effort: Effort
) -> tuple[list[Figure], list[str]]:
    """The figures of all subjects that could be measured, and the names of the others."""
    figures, failed = [], []
    for name in counted("subjects", subjects, len(subjects)):
        click.echo(f"measuring {name} …", err=True)
        try:
            figures += SUBJECTS[name](stage, effort)
        except Exception as error:  # noqa: BLE001 - an hour of other figures is not thrown away
            click.echo(f"{name}: {error}", err=True)
            failed.append(name)
    return figures, failed


if __name__ == "__main__":
    main()
