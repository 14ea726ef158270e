"""A policy of the user's own: found by its name, and kept from stopping the floor.

A policy that raises or breaks a rule is replaced for that pass by the core. What only a service can
notice is noticed here: one that takes too long, and one that ended the process twice.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import chain, islice
from pathlib import Path
from typing import Any

from attrs import define, field

from sebastian_apps.settings import ConfigProblem, Settings, SettingsError
from sebastian_core.domain.errors import PlanRefused
from sebastian_core.domain.policy import Candidate, LeastLoaded, Placement, Policy, ReadyChat
from sebastian_core.usecases.observer import quoteless

STRIKES = 2
"""After so many in a row the shipped policy serves."""

_CODE = {".py", ".so", ".pyd"}

TOO_LONG_SECONDS = 1.0
"""A policy holds the line while it chooses, and PostgreSQL ends who holds it for two seconds."""


def own_policy(settings: Settings) -> Policy | None:
    """A new policy of the class that `assign.policy` names; None where it names none.

    Raises SettingsError, with the place where it is written, if there is no such policy.
    """
    name = settings.assign.policy
    if name is None:
        return None
    try:
        return make_policy(name)
    except UnusablePolicy as error:
        raise unusable(settings, str(error)) from error


def unusable(settings: Settings, why: str) -> SettingsError:
    """That `assign.policy`, where it is written, names no policy that can be used."""
    return SettingsError([ConfigProblem(settings.place_of("assign.policy"), "assign.policy", why)])


class UnusablePolicy(Exception):
    """Why a name is not that of a policy."""


def make_policy(name: str) -> Policy:
    """A new policy of the class that is named, `package.module:Class`; raises UnusablePolicy."""
    module_name, _, class_name = name.partition(":")
    try:
        made: Any = getattr(importlib.import_module(module_name), class_name)()
    except ModuleNotFoundError as error:
        raise UnusablePolicy(
            f"expected a module that this Python can import, but there is no module {error.name}; "
            "install it beside Sebastian, or set PYTHONPATH"
        ) from error
    except AttributeError as error:
        raise UnusablePolicy(f"{name} cannot be made: {error}") from error
    except BaseException as error:
        raise UnusablePolicy(f"{name} cannot be made: {type(error).__name__}: {error}") from error
    if not callable(getattr(made, "place", None)):
        raise UnusablePolicy(
            f"expected a policy, but {class_name} has no method place(chats, agents)"
        )
    return made  # type: ignore[no-any-return]


def digest_of(name: str) -> str:
    """A digest of the policy that is named and of its package's code, by its sizes and dates.

    A policy whose code was changed is another one; what it writes down beside it changes nothing.
    Nothing is imported: that may be what hangs.
    """
    package = name.partition(":")[0].partition(".")[0]
    files = sorted(
        f"{path} {status.st_size} {status.st_mtime_ns}" for path, status in _files_of(package)
    )
    return hashlib.sha256("\n".join([name, *files]).encode()).hexdigest()[:16]


def _files_of(package: str) -> Iterator[tuple[Path, os.stat_result]]:
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        return
    if spec is None:
        return
    inside = [Path(each).rglob("*") for each in spec.submodule_search_locations or ()]
    for path in [Path(spec.origin or package), *chain.from_iterable(inside)]:
        with suppress(OSError):
            status = path.stat()
            if stat.S_ISREG(status.st_mode) and path.suffix in _CODE:
                yield path, status


class TookTooLong(PlanRefused):
    """The policy answered, but it kept the line waiting."""


@define(eq=False)
class GuardedPolicy(Policy):
    """Somebody's policy, and the shipped one once that has failed too often.

    `begun` and `ended` bracket each of its choices, so that it can be seen later which one a
    process did not survive; `ends` is how many processes did not, and `state_dir` where that is
    counted. `suspended` says why the shipped policy serves, None while the own one does. Then
    `tried_again` is asked before each choice: a policy that it answers serves from there on.
    """

    own: Policy
    given_name: str
    ends: int = 0
    begun: Callable[[], None] = lambda: None
    ended: Callable[[], None] = lambda: None
    tried_again: Callable[[], Policy | None] = lambda: None
    state_dir: Path | None = None
    monotonic: Callable[[], float] = time.monotonic
    refusals: int = field(default=0, init=False)
    last_refusal: str | None = field(default=None, init=False)
    _slow: int = field(default=0, init=False)

    @property
    def name(self) -> str:
        """What the history calls the one that serves."""
        return type(self.own if self.suspended is None else LeastLoaded()).__name__

    @property
    def suspended(self) -> str | None:
        """Why the shipped policy serves; None while the own one does."""
        if self.ends >= STRIKES:
            return f"it hung or crashed its worker, {self.ends} times"
        if self._slow >= STRIKES:
            return f"it took longer than {TOO_LONG_SECONDS:g} s, {self._slow} times in a row"
        return None

    def place(
        self, chats: Sequence[ReadyChat], candidates: Sequence[Candidate]
    ) -> Sequence[Placement]:
        """What the own policy answers, as far as it can be used; raises PlanRefused."""
        if self.suspended is not None and not self._is_tried_again():
            return LeastLoaded().place(chats, candidates)
        began_at = self.monotonic()
        self.begun()
        try:
            return self._chosen(chats, candidates)
        finally:
            self.ended()
            self._judge(self.monotonic() - began_at)

    def refused(self, error: Exception) -> None:
        """A choice could not be used."""
        self.refusals += 1
        self.last_refusal = quoteless(error)

    def state(self) -> dict[str, Any]:
        """How it stands, as JSON can hold it."""
        return {
            "name": self.given_name,
            "suspended": self.suspended,
            "refusals": self.refusals,
            "last_refusal": self.last_refusal,
            "state_dir": str(self.state_dir) if self.state_dir is not None else None,
        }

    def _is_tried_again(self) -> bool:
        own = self.tried_again()
        if own is None:
            return False
        self.own, self.ends, self._slow = own, 0, 0
        return True

    def _chosen(
        self, chats: Sequence[ReadyChat], candidates: Sequence[Candidate]
    ) -> Sequence[Placement]:
        """A plan that is too long is cut one beyond what can be right, and refused as any other.

        What is no Exception would end the worker: a wish to leave, or the panic of native code.
        """
        try:
            return tuple(islice(self.own.place(chats, candidates), len(chats) + 1))
        except Exception:
            raise
        except BaseException as error:
            raise PlanRefused(f"the policy raised {type(error).__name__}") from error

    def _judge(self, seconds: float) -> None:
        if seconds <= TOO_LONG_SECONDS:
            self._slow = 0
            return
        self._slow += 1
        raise TookTooLong(f"the policy took {seconds:.1f} s")
