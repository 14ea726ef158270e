"""`python -m tests.hostile`: schemathesis in all its phases, as long as you like."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import click

from tests import servers
from tests.hostile.fuzzing import Findings, fuzz
from tests.hostile.stage import a_stage


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
        found = asyncio.run(run(folder, postgres.url, valkey.url, examples, seed))
    click.echo(found.said)
    click.echo(f"requests: {len(found.cases)}; by phase {found.by_phase}")
    click.echo(f"answers by status: {found.statuses}")
    click.echo(f"rows of rejected requests: {len(found.strange_rooms)} {found.strange_rooms[:5]}")
    click.echo(f"5xx: {len(found.server_errors)}; seed {seed}")
    sys.exit(1 if found.failed or found.strange_rooms or found.server_errors else 0)


async def run(
    folder: Path, postgres_url: str, redis_url: str, examples: int, seed: int
) -> Findings:
    """One run on a stage of its own."""
    async with a_stage(folder, postgres_url, redis_url) as stage:
        return await fuzz(stage, folder, examples=examples, seed=seed)


if __name__ == "__main__":
    main()
