"""An event loop whose time jumps: sleeping costs nothing, and every run is the same run."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

LEAST_JUMP_SECONDS = 1e-6


class _Jumping(selectors.SelectSelector):
    """Never waits: where a loop would, its time jumps to the next timer."""

    seconds = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if timeout is None and not ready:
            raise RuntimeError("everything waits, and nothing is left that could end it")
        if timeout and not ready:
            self.seconds += max(timeout, LEAST_JUMP_SECONDS)
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """Begins at second nought, and goes on only by sleeping."""

    def __init__(self) -> None:
        self._jumping = _Jumping()
        super().__init__(self._jumping)

    def time(self) -> float:
        """The virtual seconds since the loop was made."""
        return self._jumping.seconds


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run to the end in virtual time, and end what is left."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(coroutine)
