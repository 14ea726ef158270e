"""What holds every chat, whoever is free: as the workers say, and as a trial of a write does."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from datetime import datetime

from sebastian_apps.status.heartbeat import WorkerStatus, living
from sebastian_core.domain.errors import SebastianError
from sebastian_core.domain.explanation import BlockedBy
from sebastian_core.domain.rate_limit import CircuitState
from sebastian_core.ports.leadership import Leadership
from sebastian_core.usecases.explain import Blocked

#: Writes into the record and takes it back; raises SebastianError if it takes no writes.
TryWrite = Callable[[], Awaitable[None]]


def blocked_by(leadership: Leadership, try_write: TryWrite | None = None) -> Blocked:
    """Answers what holds every chat, for `ExplainRoom`."""

    async def blocked(now: datetime) -> BlockedBy | None:
        try:
            if try_write is not None:
                await try_write()
        except SebastianError:
            return BlockedBy.NO_WRITES
        return what_blocks(living(await leadership.reports(), now))

    return blocked


def what_blocks(workers: Collection[WorkerStatus]) -> BlockedBy | None:
    """What keeps the living workers from giving any chat away, if something does."""
    seen = {worker.circuit for worker in workers}
    if not workers:
        return BlockedBy.NO_WORKER
    if seen <= {CircuitState.OPEN, CircuitState.CREDENTIALS_REFUSED}:
        is_refused = CircuitState.CREDENTIALS_REFUSED in seen
        return BlockedBy.CREDENTIALS if is_refused else BlockedBy.OUTAGE
    return None
