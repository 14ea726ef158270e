"""How the suite is spread over several processes (`-n 3`); each of them has servers of its own.

Whole deployments come first and one after the other, so that they do not starve each other; beside
them go the other modules. The simulation comes last: it fills whatever processors there are.
"""

from __future__ import annotations

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

WHOLE_DEPLOYMENTS = (
    "tests/browser/",
    "tests/chaos/",
    "tests/crash/",
    "tests/hostile/",
    "tests/integration/test_canaries.py",
    "tests/integration/test_dev.py",
    "tests/integration/test_floor_scenario.py",
    "tests/integration/test_own_policy.py",
)
"""Where a test starts services, workers or browsers, and most of the machine is theirs."""

SIMULATION = "tests/simulation/"


class OneDeploymentAtATime(LoadScopeScheduling):  # type: ignore[misc]
    """Deals out the pieces in the order in which they were collected."""

    def __init__(self, config: pytest.Config, log: Producer) -> None:
        super().__init__(config, log)
        config.option.loadscopereorder = False

    def _split_scope(self, nodeid: str) -> str:
        return piece(nodeid)


def piece(nodeid: str) -> str:
    """What stays in one process: all whole deployments, one test of the simulation, or a module."""
    if nodeid.startswith(WHOLE_DEPLOYMENTS):
        return "whole deployments"
    return nodeid if nodeid.startswith(SIMULATION) else nodeid.partition("::")[0]


def turn(nodeid: str) -> int:
    """When it is its turn: the tests are sorted by this."""
    if nodeid.startswith(WHOLE_DEPLOYMENTS):
        return 0
    return 2 if nodeid.startswith(SIMULATION) else 1
