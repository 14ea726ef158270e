"""What a parent can see of a child's policy, also when the child can say nothing any more."""

from __future__ import annotations

import mmap
import os
import struct
import tempfile
from typing import IO, Any

from attrs import define

CALLS = "SEBASTIAN_POLICY_CALLS"
"""Names the file that a child counts its policy's choices in."""

ENDS = "SEBASTIAN_POLICY_ENDS"
"""Says how many workers ended in the midst of a choice of the policy."""

_COUNTS = struct.Struct("=QQ")


@define(eq=False)
class PolicyCalls:
    """How many choices a policy began and ended, in memory that two processes share.

    One writes and the other reads. What was written stays when the writer is killed, and also while
    it hangs in code that lets no other thread of it run.
    """

    _memory: mmap.mmap

    @classmethod
    def new(cls) -> tuple[PolicyCalls, IO[bytes]]:
        """Counts of a new writer, and the file by which it finds them."""
        file: Any = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as its parent runs
        file.truncate(_COUNTS.size)
        return cls(mmap.mmap(file.fileno(), _COUNTS.size)), file

    @classmethod
    def given(cls) -> PolicyCalls:
        """The counts that our parent reads; without a parent, counts that nobody reads."""
        number = os.environ.get(CALLS)
        if number is None:
            return cls(mmap.mmap(-1, _COUNTS.size))
        return cls(mmap.mmap(int(number), _COUNTS.size))

    def reset(self) -> None:
        """Begin anew, for the next writer."""
        self._write(0, 0)

    def begin(self) -> None:
        """A choice begins."""
        begun, ended = self._counts()
        self._write(begun + 1, ended)

    def end(self) -> None:
        """It has ended, well or not."""
        begun, _ = self._counts()
        self._write(begun, begun)

    @property
    def under_way(self) -> int | None:
        """The number of the choice that is under way."""
        begun, ended = self._counts()
        return begun if begun != ended else None

    def _counts(self) -> tuple[int, int]:
        begun, ended = _COUNTS.unpack_from(self._memory)
        return begun, ended

    def _write(self, begun: int, ended: int) -> None:
        _COUNTS.pack_into(self._memory, 0, begun, ended)


def ends_so_far() -> int:
    """How many workers of our parent ended in the midst of a choice."""
    return int(os.environ.get(ENDS, "0"))
