"""What may run beside what when the suite is spread over several processes."""

from __future__ import annotations

from pathlib import Path

from tests.side_by_side import SIMULATION, WHOLE_DEPLOYMENTS, piece, turn

ROOT = Path(__file__).parents[2]
CHAOS, BROWSER = "tests/chaos/test_chaos.py::test_a", "tests/browser/test_floor.py::test_b[x/y::z]"
MODULE = "tests/unit/test_house.py"
SEEDS, SHRINK = "tests/simulation/test_simulation.py::test_a", "tests/simulation/test_s.py::test_b"


def test_whole_deployments_run_one_after_the_other() -> None:
    assert piece(CHAOS) == piece(BROWSER)


def test_a_module_stays_together_and_apart_from_others() -> None:
    assert piece(f"{MODULE}::TestIt::test_a[b::c]") == piece(f"{MODULE}::test_d") == MODULE
    assert piece("tests/unit/test_decode.py::test_a") != MODULE


def test_each_test_of_the_simulation_may_run_beside_the_others() -> None:
    assert piece(SEEDS) != piece(SHRINK)


def test_deployments_come_first_and_the_simulation_last() -> None:
    assert sorted([SEEDS, MODULE, CHAOS], key=turn) == [CHAOS, MODULE, SEEDS]


def test_what_is_named_is_there() -> None:
    assert all((ROOT / path).exists() for path in (*WHOLE_DEPLOYMENTS, SIMULATION))
