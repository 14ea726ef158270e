"""What the fork server imports: whatever every process here would load, find or read first.

A process of a trial lives for a second or two. Born with everything in place, and with memory that
the garbage collector leaves to be shared, it costs half of what it would cost from the beginning.
"""

from __future__ import annotations

import gc
import importlib.metadata
import json
from functools import cache
from pathlib import Path

import httpx
import pytest

from sebastian_adapters.postgres.queries import query
from tests.crash import campaign
from tests.crash.office import container, trust_nobody
from tests.servers import temporary_directory

__all__ = ["campaign", "pytest"]

EXAMPLE = {
    "db": {"connection_string": "postgresql:///nothing"},
    "redis": {"url": "redis://127.0.0.1:1"},
    "qiscus": {"base_url": "http://127.0.0.1:1", "app_id": "nobody", "secret_key": "nothing"},
}


def _build_once(directory: Path) -> None:
    """Build all parts of a process and forget them: nothing is opened."""
    path = directory / "config.yml"
    path.write_text(json.dumps(EXAMPLE))
    trust_nobody(directory)
    parts = container(path)
    parts.allocator()
    query("begin")
    httpx.create_ssl_context()


importlib.metadata.version = cache(importlib.metadata.version)
importlib.metadata.version("redis")
with temporary_directory() as nowhere:
    _build_once(nowhere)
gc.collect()
gc.freeze()
