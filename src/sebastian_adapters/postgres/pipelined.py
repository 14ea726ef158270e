"""A connection that stays in pipeline mode between its transactions."""

from __future__ import annotations

from contextlib import AsyncExitStack, suppress
from typing import Any

from psycopg import AsyncConnection, AsyncPipeline


class PipelinedConnection(AsyncConnection[tuple[Any, ...]]):
    """Enters pipeline mode when it is first asked to, and leaves it where something went wrong.

    Leaving takes an exchange with the server, because the driver makes sure that nothing is under
    way any more: a tenth of what a small transaction costs, for nothing where its end was seen.
    """

    _mode: AsyncExitStack | None = None
    _entered: AsyncPipeline | None = None

    async def enter(self) -> AsyncPipeline:
        """The pipeline, with nothing under way in it."""
        if self._entered is None:
            self._mode = AsyncExitStack()
            self._entered = await self._mode.enter_async_context(self.pipeline())
        return self._entered

    async def leave(self) -> None:
        """Take in whatever is under way; a connection that is lost has nothing.

        What goes wrong here is no news: it is done because something has, or before a check that
        finds out.
        """
        mode, self._mode, self._entered = self._mode, None, None
        if mode is not None:
            with suppress(Exception):
                await mode.aclose()

    async def close(self) -> None:
        """Close it at once, without a word to a server that may hang."""
        await super().close()
        await self.leave()
