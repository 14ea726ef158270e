"""Telling a fake to fail."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from sebastian_core.domain.errors import StoreUnavailable
from sebastian_core.ports.job_queue import JobQueue


@contextmanager
def failing(
    fake: object, *verbs: str, error: Callable[[], Exception] | None = None
) -> Iterator[None]:
    """Have these verbs of a fake raise, for as long as the block lasts; without names all of them.

    They raise StoreUnavailable, or what `error` makes: a platform's fake raises PlatformUnavailable
    or PlatformRefused. What was asked is then not done. A job queue may not raise: it loses its
    rings. Raises ValueError for a verb that the fake does not have.
    """
    named = verbs or tuple(sorted(_verbs_of(fake)))
    unknown = [verb for verb in named if not callable(getattr(fake, verb, None))]
    if unknown:
        raise ValueError(f"{type(fake).__name__} has no {', '.join(unknown)}")

    async def fail(*_: Any, **__: Any) -> NoReturn:
        if error is not None:
            raise error()
        raise StoreUnavailable(type(fake).__name__, "it was told to fail")

    def lose() -> None:
        """A ring that nobody hears."""

    failed = {"ring": lose} if JobQueue in type(fake).__mro__ else dict.fromkeys(named, fail)
    for verb, how in failed.items():
        setattr(fake, verb, how)
    try:
        yield
    finally:
        for verb in failed:
            delattr(fake, verb)


def _verbs_of(fake: object) -> set[str]:
    """The methods of the ports that it plays."""
    return {
        verb for port in type(fake).__mro__ for verb in getattr(port, "__abstractmethods__", ())
    }
