"""`python -m tests.hostile`: schemathesis in all its phases, as long as you like."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from tests import servers
from tests.hostile.fuzzing import Findings, fuzz
from tests.hostile.heads import SOME_PATHS, Cost, Head, costs, heads
from tests.hostile.stage import a_stage

HEAD_SECONDS = 0.003
"""What the dearest head may cost, as a median."""


@click.command()
@click.option("--examples", default=200, show_default=True, help="Per operation, at most.")
@click.option("--seed", default=4711, show_default=True)
def main(examples: int, seed: int) -> None:
    """Send the service whatever its own description allows, and what it forbids."""
    with (
        servers.embedded_postgres() as postgres,
        servers.embedded_valkey() as valkey,
        servers.temporary_directory() as folder,
    ):
        found, found_heads = asyncio.run(run(folder, postgres.url, valkey.url, examples, seed))
    click.echo(found.said)
    click.echo(f"requests: {len(found.cases)}; by phase {found.by_phase}")
    click.echo(f"answers by status: {found.statuses}")
    click.echo(f"rows of rejected requests: {len(found.strange_rooms)} {found.strange_rooms[:5]}")
    click.echo(f"5xx: {len(found.server_errors)}; seed {seed}")
    click.echo(f"heads: {len(found_heads)}; the dearest, in milliseconds of processor time:")
    for cost in sorted(found_heads, key=lambda each: -each.seconds)[:5]:
        click.echo(f"  {cost.seconds * 1000:.2f} {cost.head}")
    is_dear = any(cost.seconds > HEAD_SECONDS for cost in found_heads)
    sys.exit(1 if found.failed or found.strange_rooms or found.server_errors or is_dear else 0)


async def run(
    folder: Path, postgres_url: str, redis_url: str, examples: int, seed: int
) -> tuple[Findings, list[Cost]]:
    """One run on a stage of its own."""
    async with a_stage(folder, postgres_url, redis_url) as stage:
        found = await fuzz(stage, folder, examples=examples, seed=seed)
        return found, [cost async for cost in costs(stage, all_heads(), times=20)]


def all_heads() -> Iterator[Head]:
    """What is read at all, at every path; and what is refused for its length, at some."""
    yield from heads([15_000])
    yield from heads([16 * 1024, 32 * 1024], SOME_PATHS)


if __name__ == "__main__":
    main()
