"""The choices of a user's policy, counted in a file that outlives the process that makes them."""

from __future__ import annotations

import mmap
import os
import secrets
import struct
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from fcntl import LOCK_EX, LOCK_NB, LOCK_SH, flock
from pathlib import Path

from attrs import define

from sebastian_apps.settings import Settings

RETRY = "retry"
"""A file whose new date tells the workers to try a policy again that they put aside."""

_COUNTS = struct.Struct("=QQ")
_SUFFIX = ".choices"


def state_dir(settings: Settings) -> Path:
    """Where a worker keeps what outlives it, made if need be; raises OSError where that fails.

    `worker.state_dir`, else the folder that systemd gives the unit, else one in the temp folder
    that nobody else may write to.
    """
    given = settings.worker.state_dir or os.environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
    if given:
        folder = Path(given)
        folder.mkdir(parents=True, exist_ok=True)
        return folder
    folder = Path(tempfile.gettempdir()) / f"sebastian-worker-{os.geteuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.lstat().st_uid != os.geteuid():
        raise PermissionError(f"{folder} belongs to somebody else")
    return folder


@define(eq=False)
class Choices:
    """How many choices of a policy this process began and ended, and whom the policy took along.

    Each process has a file of its own and holds its lock for as long as it lives. A file that
    nobody holds, with a choice that began and did not end, was left by a process that did not
    survive that choice: it hung in it and was ended, or crashed. Where there is no `folder` the
    counts end with the process.
    """

    folder: Path | None
    _digest: str
    _memory: mmap.mmap
    _file: Path | None

    @classmethod
    def kept_in(cls, folder: Path, digest: str) -> Choices:
        """Counts for the policy with this digest; raises OSError where no file can be written.

        A file gets its name once it is locked: one that has a name and no lock is a dead process's.
        """
        _forget(folder, strikes=False)
        descriptor, name = tempfile.mkstemp(prefix="new-", dir=folder)
        os.write(descriptor, _COUNTS.pack(0, 0))
        flock(descriptor, LOCK_EX | LOCK_NB)
        file = Path(name).rename(folder / f"{digest}-{secrets.token_hex(8)}{_SUFFIX}")
        return cls(folder, digest, mmap.mmap(descriptor, _COUNTS.size), file)

    @classmethod
    def for_this_process(cls) -> Choices:
        """Counts that nobody finds later."""
        return cls(None, "", mmap.mmap(-1, _COUNTS.size), None)

    def begin(self) -> None:
        """A choice begins."""
        begun, ended = self._counts()
        self._write(begun + 1, ended)

    def end(self) -> None:
        """It has ended, well or not."""
        begun, _ = self._counts()
        self._write(begun, begun)

    @property
    def under_way(self) -> bool:
        """Whether a choice has begun and not ended."""
        begun, ended = self._counts()
        return begun != ended

    def never_ended(self) -> int:
        """How many processes did not survive a choice of this policy."""
        if self.folder is None:
            return 0
        return sum(begun != ended for _, begun, ended in _left_behind(self.folder, self._digest))

    def asked_to_retry_at(self) -> int:
        """When somebody last asked to try the policy again, in nanoseconds; 0 if nobody did."""
        with suppress(OSError):
            if self.folder is not None:
                return (self.folder / RETRY).stat().st_mtime_ns
        return 0

    def forget(self) -> None:
        """Begin anew: the service was stopped, and whoever starts it again means it."""
        if self._file is not None and self.folder is not None:
            self._file.unlink(missing_ok=True)
            _forget(self.folder, strikes=True)

    def _counts(self) -> tuple[int, int]:
        begun, ended = _COUNTS.unpack_from(self._memory)
        return begun, ended

    def _write(self, begun: int, ended: int) -> None:
        _COUNTS.pack_into(self._memory, 0, begun, ended)


def ask_to_retry(folder: Path) -> None:
    """Have the workers of this folder try their policy again; raises OSError where that fails."""
    _forget(folder, strikes=True)
    (folder / RETRY).touch()


def _forget(folder: Path, *, strikes: bool) -> None:
    """Remove what dead processes left; what counts against a policy only with the `strikes`."""
    for file, begun, ended in _left_behind(folder):
        if strikes or begun == ended:
            file.unlink(missing_ok=True)


def _left_behind(folder: Path, digest: str = "") -> Iterator[tuple[Path, int, int]]:
    """The files of dead processes, with the choices that those began and ended."""
    for path in folder.glob(f"{digest}*{_SUFFIX}"):
        with suppress(OSError, struct.error), path.open("rb") as file:
            flock(file, LOCK_SH | LOCK_NB)
            yield path, *_COUNTS.unpack(file.read())
