"""An agent store on SQLite, for services that share a machine.

In the configuration: `adapters: {agent_store: "agents_in_sqlite:make", options: {path: FILE}}`.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from sebastian_core.domain.errors import StoreUnavailable
from sebastian_core.domain.ids import AgentId, ChannelId
from sebastian_core.domain.roster import Presence, Roster
from sebastian_core.ports.agent_store import AgentStore

PATIENCE_SECONDS = 1.5
"""The port asks for an answer within two seconds."""

NOBODY = Roster(read_at=datetime.min.replace(tzinfo=UTC))


@asynccontextmanager
async def make(settings: object, options: Mapping[str, str]) -> AsyncIterator[AgentStore]:
    """What `adapters.agent_store` names: the store, for as long as the service runs."""
    store = SqliteAgentStore(options["path"])
    await store.check()
    yield store


class SqliteAgentStore(AgentStore):
    """Keeps the roster in one row. Who changes it holds SQLite's lock from reading to writing."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._known: tuple[str, Roster] | None = None

    async def replace(self, listing: Iterable[Presence], began_at: datetime) -> bool:
        """See AgentStore.replace."""
        seen = tuple(listing)
        return await self._change(lambda roster: (roster or NOBODY).merged_listing(seen, began_at))

    async def update(self, presences: Iterable[Presence]) -> None:
        """See AgentStore.update."""
        seen = tuple(presences)
        await self._change(lambda roster: roster.merged_sightings(seen) if roster else None)

    async def roster(self) -> Roster | None:
        """See AgentStore.roster."""
        return self._read(await self._ask(_text_in))

    async def check(self) -> None:
        """Raise StoreUnavailable unless the file takes writes; asked by /readyz and doctor."""
        await self._ask(lambda db: db.execute("update roster set text = text"))

    async def _change(self, change: Callable[[Roster | None], Roster | None]) -> bool:
        def carry_out(db: sqlite3.Connection) -> bool:
            before = self._read(_text_in(db))
            after = change(before)
            if after is None or after is before or (before is None and after is NOBODY):
                return False
            db.execute("insert or replace into roster values (1, ?)", (_text_of(after),))
            return True

        return await self._ask(carry_out)

    async def _ask(self, work: Callable[[sqlite3.Connection], Any]) -> Any:
        """Do it in one transaction that nobody else's comes between."""

        def ask() -> Any:
            with closing(sqlite3.connect(self._path, PATIENCE_SECONDS, isolation_level=None)) as db:
                db.execute("create table if not exists roster (id integer primary key, text text)")
                db.execute("begin immediate")
                answer = work(db)
                db.execute("commit")
                return answer

        try:
            return await asyncio.to_thread(ask)
        except sqlite3.Error as error:
            raise StoreUnavailable("the file of agents", str(error)) from error

    def _read(self, text: str | None) -> Roster | None:
        """The roster of a text; the same object for as long as the text is the same."""
        known = self._known
        if text is not None and (known is None or known[0] != text):
            known = self._known = text, _roster_of(text)
        return known[1] if known and text is not None else None


def _text_in(db: sqlite3.Connection) -> str | None:
    row = db.execute("select text from roster").fetchone()
    return row[0] if row else None


def _text_of(roster: Roster) -> str:
    agents = [
        [each.agent_id, each.online, each.read_at.isoformat(), [*each.channels],
         each.count, each.name]
        for each in roster.agents.values()
    ]  # fmt: skip
    return json.dumps([roster.read_at.isoformat(), agents, [*roster.missing.items()]])


def _roster_of(text: str) -> Roster:
    read_at, agents, missing = json.loads(text)
    presences = (
        Presence(
            AgentId(agent_id), online, datetime.fromisoformat(seen_at),
            frozenset(map(ChannelId, channels)), count, name,
        )
        for agent_id, online, seen_at, channels, count, name in agents
    )  # fmt: skip
    known = MappingProxyType({each.agent_id: each for each in presences})
    return Roster(datetime.fromisoformat(read_at), known, MappingProxyType(dict(missing)))
