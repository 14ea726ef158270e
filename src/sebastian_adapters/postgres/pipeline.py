"""A connection that takes many statements to the server in one write (libpq's pipeline mode).

Three rules of libpq hold here:

1. `get_result` gives one result for each message, in the order in which they were sent, and None
   behind each; two None in a row mean that nothing more is there. It blocks while `is_busy`, so
   `consume_input` and `is_busy` come first.
2. After an error the server carries out nothing up to the next sync; the results of those messages
   have the status PIPELINE_ABORTED.
3. `flush` may leave something unsent. Then the socket is watched in both directions: a server that
   cannot write its answers does not read either.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import psycopg
from attrs import frozen
from psycopg import AsyncConnection, adapt
from psycopg.abc import Transformer
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus, Format, PipelineStatus
from psycopg.pq.abc import PGresult

from sebastian_adapters.postgres.errors import condemns, is_farewell
from sebastian_adapters.postgres.queries import query
from sebastian_adapters.postgres.rows import Row
from sebastian_adapters.postgres.sessions import codec_of


@frozen
class NamedQuery:
    """A statement of queries.sql, with what is asked."""

    name: str
    asked: Mapping[str, Any] | None = None


@frozen
class _Message:
    """What was sent, and is answered with one result: a statement to prepare, or to carry out."""

    name: str
    prepares: bool = False


class PipelineConnection(AsyncConnection[Row]):
    """Exchanges groups of statements for their rows, in libpq's pipeline mode.

    The driver's own pipeline sends one statement at a time and lets the event loop turn around for
    each: a small group took eight turns for two answers of the server. Here, through the driver's
    wrapper of libpq (`psycopg.pq`), a group is one write, and is read when its answers are there.
    A statement is prepared under its name when a connection first meets it.

    The end of a session is heard in several ways: as an error that the server sends, as the end of
    what can be read, as a reset. Whichever comes first ends the exchange. `generation` is kept for
    the pool, which counts with it how often it began anew.
    """

    generation: int = 0
    _is_condemned: bool = False
    _watched: tuple[asyncio.AbstractEventLoop, int] | None = None
    _waiter: asyncio.Future[None] | None = None

    @cached_property
    def _known(self) -> set[str]:
        """Which statements the server has prepared for this connection."""
        return set()

    @cached_property
    def _codec(self) -> str | None:
        """What the database can keep of the texts that are sent to it; None: everything."""
        encoding = self.pgconn.parameter_status(b"server_encoding") or b"UTF8"
        return codec_of(encoding.decode())

    @cached_property
    def _transformer(self) -> Transformer:
        """Makes values of what comes back; moments are in UTC, like the session's."""
        return adapt.Transformer(self.adapters)

    async def exchange(self, statements: Sequence[NamedQuery]) -> list[list[Row]]:
        """The rows of each; raises what the first one that failed raised: none behind it is done.

        One whose end is not seen, because its caller or the server goes, costs the connection. So
        does an error after which the session is of no more use (`errors.condemns`).
        """
        asked = [query(each.name).values(each.asked, self._codec) for each in statements]
        try:
            if self.pgconn.pipeline_status == PipelineStatus.OFF:
                self.pgconn.enter_pipeline_mode()
            messages = self._send(statements, asked)
            results = await self._results()
        except BaseException as error:
            await self._give_up(error)
            raise
        try:
            return self._rows(messages, results)
        except psycopg.Error as error:
            if condemns(error):
                await self._give_up(error)
            raise

    @property
    def is_lost(self) -> bool:
        """Whether the server or the network has ended its session, or left it of no use."""
        return self.broken or self._is_condemned

    def leave(self) -> None:
        """Let the driver use the connection in its own ways until the next exchange."""
        self._unwatch()
        if not self.closed and self.pgconn.pipeline_status != PipelineStatus.OFF:
            self.pgconn.exit_pipeline_mode()

    async def close(self) -> None:
        """Close it at once, whatever is under way."""
        self._unwatch()
        await super().close()

    async def _give_up(self, error: BaseException) -> None:
        self._is_condemned = isinstance(error, psycopg.Error) and condemns(error)
        await self.close()

    def _send(
        self, statements: Sequence[NamedQuery], asked: Sequence[list[bytes | None]]
    ) -> list[_Message]:
        messages: list[_Message] = []
        for statement, values in zip(statements, asked, strict=True):
            name = statement.name.encode()
            preparing = _Message(statement.name, prepares=True)
            if statement.name not in self._known and preparing not in messages:
                self.pgconn.send_prepare(name, query(statement.name).text)
                messages.append(preparing)
            self.pgconn.send_query_prepared(name, values, result_format=Format.BINARY)
            messages.append(_Message(statement.name))
        self.pgconn.pipeline_sync()
        return messages

    async def _results(self) -> list[PGresult]:
        """One for each message, once the server has answered the last of them.

        It looks before it waits, and watches anew before it waits again: uvloop calls the reader
        once when a socket fails and then forgets it, so a watch that we began may be over.
        """
        results: list[PGresult] = []
        is_complete = self._take_in(results)
        while not is_complete:
            await self._readable(is_unsent=self.pgconn.flush() != 0)
            is_complete = self._take_in(results)
            if not is_complete:
                self._unwatch()
        return results

    def _take_in(self, results: list[PGresult]) -> bool:
        """Add what has come to the results; whether that was the last of it."""
        self.pgconn.consume_input()
        for result in self._arrived():
            if result.status == ExecStatus.PIPELINE_SYNC:
                return True
            if result.status == ExecStatus.FATAL_ERROR:
                _raise_if_last(result)
            results.append(result)
        return False

    def _arrived(self) -> Iterator[PGresult]:
        """The results that are there. Nothing stands behind each, and twice behind the last one."""
        is_behind = False
        while not self.pgconn.is_busy():
            result = self.pgconn.get_result()
            if result is not None:
                yield result
            elif is_behind:
                return
            is_behind = result is None

    async def _readable(self, *, is_unsent: bool) -> None:
        """Wait until the server has sent something, or takes more of what is unsent."""
        loop, socket = self._watch()
        self._waiter = loop.create_future()
        if is_unsent:
            loop.add_writer(socket, self._wake)
        try:
            await self._waiter
        finally:
            self._waiter = None
            if is_unsent:
                loop.remove_writer(socket)

    def _watch(self) -> tuple[asyncio.AbstractEventLoop, int]:
        """Hear when the socket stirs, from now on: to start and stop costs two system calls."""
        if self._watched is None:
            self._watched = asyncio.get_running_loop(), self.pgconn.socket
            loop, socket = self._watched
            loop.add_reader(socket, self._wake)
        return self._watched

    def _unwatch(self) -> None:
        watched, self._watched = self._watched, None
        if watched is not None:
            loop, socket = watched
            loop.remove_reader(socket)

    def _wake(self) -> None:
        """Let the waiter look; where nobody waits, what stirs is left to the next exchange."""
        if self._waiter is None:
            self._unwatch()
        elif not self._waiter.done():
            self._waiter.set_result(None)

    def _rows(self, messages: Sequence[_Message], results: Sequence[PGresult]) -> list[list[Row]]:
        answered = list(zip(messages, results, strict=True))
        for message, result in answered:
            if result.status == ExecStatus.FATAL_ERROR:
                self.leave()
                raise error_from_result(result)
            if message.prepares:
                self._known.add(message.name)
        return [self._values(result) for message, result in answered if not message.prepares]

    def _values(self, result: PGresult) -> list[Row]:
        if result.status != ExecStatus.TUPLES_OK:
            return []
        self._transformer.set_pgresult(result, format=Format.BINARY)
        return self._transformer.load_rows(0, result.ntuples, tuple)


def _raise_if_last(result: PGresult) -> None:
    """Nothing comes behind an error with which the server ends the session."""
    error = error_from_result(result)
    if is_farewell(error):
        raise error
