"""The ended logins in PostgreSQL, where every process of the webhook service finds them."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sebastian_adapters.postgres.arrays import array
from sebastian_adapters.postgres.pipeline import NamedQuery
from sebastian_adapters.postgres.pool import Pool
from sebastian_core.ports.ended_logins import EndedLogins


class PostgresEndedLogins(EndedLogins):
    """Keeps a row for each; ending one forgets those that are over by themselves."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def end(self, login: str, until: datetime) -> None:
        """See EndedLogins.end."""
        kept, forgotten = NamedQuery("end_login", {"login": login, "until": until}), "forget_logins"
        await self._pool.run(lambda t: t.send(kept, NamedQuery(forgotten), commit=True))

    async def among(self, logins: Collection[str]) -> frozenset[str]:
        """See EndedLogins.among."""
        asked = NamedQuery("ended_logins", {"logins": array(logins)})
        (rows,) = await self._pool.run(lambda t: t.send(asked, commit=True))
        return frozenset(login for (login,) in rows)
