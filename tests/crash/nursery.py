"""What the fork server imports: whatever every process here would load, find or read first.

A process of a trial lives for a second or two. Born with everything in place, and with memory that
the garbage collector leaves to be shared, it costs half of what it would cost from the beginning.
"""

from __future__ import annotations

import gc
import importlib.metadata
from functools import cache

import pytest

from tests.crash import campaign

__all__ = ["campaign", "pytest"]

importlib.metadata.version = cache(importlib.metadata.version)
importlib.metadata.version("redis")
gc.collect()
gc.freeze()
