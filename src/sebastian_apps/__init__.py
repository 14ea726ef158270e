"""The programs: thin shells around the core and its adapters."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sebastian_core.allocator import Allocator


def from_config(path: str | Path) -> Allocator:
    """The allocator that `sebastian-worker` runs, for a program of one's own; nothing is open yet.

    Reads the file and the environment as the services do, and raises SettingsError with everything
    that is wrong. If its loop runs, it tells of itself as a worker does.
    """
    import os

    from sebastian_apps.policy.load import GuardedPolicy, own_policy
    from sebastian_apps.settings import load_settings
    from sebastian_apps.wiring import build_worker

    settings = load_settings(Path(path), os.environ, needs={"db", "redis", "qiscus"})
    own, name = own_policy(settings), settings.assign.policy
    policy = GuardedPolicy(own, name) if own is not None and name is not None else None
    return build_worker(settings, policy=policy).allocator
