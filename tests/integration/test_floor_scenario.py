"""The floor on real processes: PostgreSQL, Valkey, a fake platform, one webhook, two workers."""

from __future__ import annotations

import pytest

from sebastian_apps.dev.servers import EmbeddedPostgres, EmbeddedValkey
from tests.scenario.run import run
from tests.scenario.scenarios import SCENARIOS
from tests.servers import require_wheel

WORST_BEHIND_PERFECT_SECONDS = 10.0
"""A bound that only a floor at a standstill breaks; `--check-wait` asks for what is demanded."""


@pytest.mark.timeout(240)
@pytest.mark.parametrize("name", ["A", "A2", "B"])
def test_a_busy_floor_of_real_processes_keeps_every_promise_and_its_metrics_say_so(
    name: str,
) -> None:
    require_wheel(EmbeddedPostgres)
    require_wheel(EmbeddedValkey)
    scenario = SCENARIOS[name]

    outcome = run(scenario)

    print(outcome.table())  # noqa: T201 - what a run came to is worth reading
    assert outcome.verdict.is_clean, f"{outcome.table()}\n{outcome.verdict.told()}"
    assert outcome.metrics, "nothing was scraped"
    assert not outcome.metrics_that_differ, f"metrics: {outcome.metrics_that_differ}"
    assert outcome.chats == scenario.floor.chats
    assert outcome.behind_perfect_seconds < WORST_BEHIND_PERFECT_SECONDS
