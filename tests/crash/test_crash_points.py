"""Every first crash point and some second ones, as far as the time allows."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.crash.campaign import all_stories, campaign
from tests.crash.found import Found

SECONDS = 28.0
SECOND_CRASHES = 20
AT_ONCE = 10
KILLED_AT_LEAST = 5
"""On a machine that is busy with something else; many more on a quiet one."""


@pytest.mark.timeout(120)
def test_a_process_that_dies_at_any_step_breaks_no_promise() -> None:
    found = asyncio.run(_found())

    assert len(found.steps) == len(all_stories())
    assert all(found.steps.values()), found.steps
    assert found.killed >= KILLED_AT_LEAST
    assert not found.unclean, "\n".join(trial.told() for trial in found.unclean)


async def _found() -> Found:
    """A slow machine tries fewer; `python -m tests.crash` tries all."""
    ends_at = time.monotonic() + SECONDS
    async with campaign(AT_ONCE, is_thorough=False) as trials:
        return await trials.run(
            stories=all_stories(),
            sample=SECOND_CRASHES,
            ends_at=ends_at,
            at_least=KILLED_AT_LEAST * 2,
        )
