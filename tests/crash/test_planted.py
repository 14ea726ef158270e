"""Bugs that only the real stack can have are seen."""

from __future__ import annotations

import pytest

from tests.crash.planted import dies_after_its_answer, lock_is_tried, race
from tests.servers import PostgresServer


@pytest.mark.timeout(120)
def test_a_process_that_answers_before_it_commits_is_caught() -> None:
    told = dies_after_its_answer()

    assert told is not None
    assert "was acknowledged" in told


def test_workers_that_only_try_the_lock_are_caught(postgres_server: PostgresServer) -> None:
    assert race(postgres_server, lock_is_tried) is not None


def test_workers_that_wait_for_the_lock_break_nothing(postgres_server: PostgresServer) -> None:
    assert race(postgres_server) is None
