"""`python -m tests.truth`: the table of what all places say of each situation, as Markdown."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from sebastian_apps.dev.servers import EmbeddedPostgres, EmbeddedValkey
from tests.truth.situations import SITUATIONS, Situation
from tests.truth.stage import Told, on_stage

COLUMNS = ("page", "row", "dialog", "queue", "why", "doctor", "readyz", "alerts")


async def _told(situation: Situation) -> Told:
    with (
        tempfile.TemporaryDirectory(prefix="truth-", ignore_cleanup_errors=True) as name,
        EmbeddedPostgres(directory=Path(name) / "postgres") as postgres,
        EmbeddedValkey(directory=Path(name) / "valkey") as valkey,
    ):
        async with on_stage(Path(name), postgres, valkey, **situation.settings) as stage:
            await situation.bring(stage)
            await stage.shows(situation.check)
            return await stage.told()


def _row(situation: Situation, told: Told) -> str:
    values = (getattr(told, column) for column in COLUMNS)
    cells = (each if isinstance(each, str) else "<br>".join(each) or "-" for each in values)
    return f"| {situation.name} | {' | '.join(cells)} |"


def main() -> None:
    """Print it, a row as soon as it is known."""
    print(f"| situation | {' | '.join(COLUMNS)} |")  # noqa: T201
    print("|---" * (len(COLUMNS) + 1) + "|")  # noqa: T201
    for situation in SITUATIONS:
        print(_row(situation, asyncio.run(_told(situation))), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
