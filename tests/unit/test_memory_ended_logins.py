"""The ended logins in memory."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from sebastian_adapters.memory.clock import InMemoryClock
from sebastian_adapters.memory.ended_logins import InMemoryEndedLogins
from sebastian_adapters.testing.contracts.ended_logins import EndedLoginsContract


@pytest.fixture
def logins() -> InMemoryEndedLogins:
    return InMemoryEndedLogins(InMemoryClock(datetime.now(UTC)))


@pytest.fixture
def elsewhere(logins: InMemoryEndedLogins) -> InMemoryEndedLogins:
    return logins


class TestInMemoryEndedLogins(EndedLoginsContract):
    pass
