"""The short form of chaos."""

from __future__ import annotations

import asyncio

import pytest

from tests.chaos.run import run
from tests.chaos.shape import BRIEF


@pytest.mark.timeout(150)
def test_chaos_breaks_no_promise() -> None:
    outcome = asyncio.run(run(BRIEF))

    assert sum(outcome.faults.values()) > 0
    assert outcome.is_clean, f"{outcome.told()}\n\n{outcome.verdict.told(5)}"
