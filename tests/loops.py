"""Both event loops: asyncio's, on which most tests run, and uvloop, on which the services do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TypeVar

import pytest
import uvloop

T = TypeVar("T")
Run = Callable[[Coroutine[None, None, T]], T]


def _on_asyncio(main: Coroutine[None, None, T]) -> T:
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        return runner.run(main)


def _on_uvloop(main: Coroutine[None, None, T]) -> T:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)


on_both_loops = pytest.mark.parametrize("run", [_on_asyncio, _on_uvloop], ids=["asyncio", "uvloop"])
"""Gives a test that is no coroutine a `run`, on either loop."""
