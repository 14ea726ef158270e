"""Adapters of the user's own, as `adapters` in the configuration names them."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any, Self

from sebastian_apps.settings import ConfigProblem, Settings, SettingsError
from sebastian_core.ports.agent_settings import AgentSettings
from sebastian_core.ports.agent_store import AgentStore
from sebastian_core.ports.job_queue import JobQueue
from sebastian_core.ports.journal import Journal
from sebastian_core.ports.leadership import Leadership
from sebastian_core.ports.qiscus_client import QiscusClient
from sebastian_core.ports.room_repo import RoomRepo

PORTS: Mapping[str, tuple[type, ...]] = {
    "agent_store": (AgentStore,),
    "room_repo": (RoomRepo, AgentSettings, Journal, Leadership),
    "job_queue": (JobQueue,),
    "qiscus_client": (QiscusClient,),
}
"""What each key of `adapters` stands for; what is made for it plays all of these roles."""

FOLLOW_ROOM_REPO = ("agent_settings", "journal", "leadership")

Make = Callable[[Settings, Mapping[str, str]], AbstractAsyncContextManager[Any]]
"""Given the settings and `adapters.options`; what it answers opens and closes the port."""


class OwnAdapter:
    """Stands for a port that a callable of the user's own makes, and passes on what it is asked.

    Until it is open nothing can be asked. If the port also has an async method `check`, which
    raises when it is not well, `/readyz` and `doctor` ask that.
    """

    def __init__(self, settings: Settings, role: str) -> None:
        self._settings = settings
        self._role = role
        self._make = self._found()
        self._port: Any = None
        self._open = AsyncExitStack()

    async def open(self) -> None:
        """Make it, once; raises SettingsError, with the key's line, if that fails."""
        if self._port is not None:
            return
        try:
            options = self._settings.adapters.options.items()
            known = {name: secret.reveal() for name, secret in options}
            opening = self._make(self._settings, known)
            port = await self._open.enter_async_context(opening)
        except Exception as error:
            raise self._unusable(f"cannot be made: {type(error).__name__}: {error}") from error
        lacking = [verb for verb in verbs_of(*PORTS[self._role]) if not hasattr(port, verb)]
        if lacking:
            await self._open.aclose()
            raise self._unusable(f"made something without {', '.join(lacking)}")
        self._port = port

    async def aclose(self) -> None:
        """Close it; what it was asked before is over."""
        await self._open.aclose()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __getattr__(self, name: str) -> Any:
        """A verb of the port."""
        return getattr(self._port, name)

    async def check(self) -> None:
        """Ask the port how it is, if it can tell; raises what it raises."""
        check = getattr(self._port, "check", None)
        if check is not None:
            await check()

    def _found(self) -> Make:
        """The callable; raises SettingsError, with the key's line, if there is none."""
        module, _, name = self._name.partition(":")
        try:
            make = getattr(importlib.import_module(module), name)
        except Exception as error:
            raise self._unusable(f"cannot be found: {type(error).__name__}: {error}") from error
        if not callable(make):
            raise self._unusable("is nothing that can be called")
        return make  # type: ignore[no-any-return]

    @property
    def _name(self) -> str:
        return str(getattr(self._settings.adapters, self._role))

    def _unusable(self, why: str) -> SettingsError:
        key, said = f"adapters.{self._role}", f"{self._name} {why}"
        return SettingsError([ConfigProblem(self._settings.place_of(key), key, said)])


def own_adapters(settings: Settings) -> dict[str, OwnAdapter]:
    """Those that the settings name, not opened; raises SettingsError for what cannot be called."""
    named = [role for role in PORTS if getattr(settings.adapters, role) is not None]
    return {role: OwnAdapter(settings, role) for role in named}


def verbs_of(*ports: type) -> list[str]:
    """The methods that an adapter of these ports must have."""
    return sorted({verb for port in ports for verb in getattr(port, "__abstractmethods__", ())})
