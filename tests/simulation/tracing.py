"""The trace of one run: what happened when, in order, and what was hit."""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter

from attrs import define, field


@define
class Trace:
    """Lines in the order of happening; equal traces mean equal runs."""

    lines: list[tuple[float, str, str]] = field(factory=list)
    struck: Counter[tuple[str, str, str]] = field(factory=Counter)
    """How often each port, method and kind of fault was hit."""
    others: Counter[str] = field(factory=Counter)
    """How often each fault that is not at a port call was hit."""
    surprises: list[str] = field(factory=list)
    """What should never happen, whatever the faults."""
    begun: list[tuple[float, str, int]] = field(factory=list)
    """When which room's assign call to which agent was begun, whatever then became of it."""
    struck_numbers: list[int] = field(factory=list)

    def tell(self, who: str, what: str) -> None:
        """Add a line at this moment."""
        self.lines.append((asyncio.get_running_loop().time(), who, what))

    @property
    def faults(self) -> int:
        """How many faults struck."""
        return self.struck.total() + self.others.total()

    def digest(self) -> str:
        """A short text that two equal traces share."""
        digest = hashlib.sha256()
        for at, who, what in self.lines:
            digest.update(f"{at:.6f} {who} {what}\n".encode())
        return digest.hexdigest()[:16]

    def told(self, words: tuple[str, ...] = ()) -> str:
        """The lines as text, those only that hold one of the words (none: all)."""
        return "\n".join(
            f"{at:10.4f}  {who:<12} {what}"
            for at, who, what in self.lines
            if not words or any(word in what for word in words)
        )
