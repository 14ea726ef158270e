"""A value with its past, as far back as any lag may ask."""

from bisect import bisect_right
from operator import itemgetter
from typing import Generic, TypeVar

from sebastian_adapters.memory.platform.switches import REMEMBERED_SECONDS

State = TypeVar("State")
_MOMENT = itemgetter(0)
_CROWDED = 16


class StateHistory(Generic[State]):
    """The last two minutes of a value; moments are set in ascending order."""

    __slots__ = ("_steps",)

    def __init__(self, at: float, value: State) -> None:
        self._steps = [(at, value)]

    @property
    def last(self) -> State:
        return self._steps[-1][1]

    @property
    def changed_at(self) -> float:
        return self._steps[-1][0]

    def set(self, at: float, value: State) -> None:
        """The value from then on."""
        self._steps.append((at, value))
        if len(self._steps) > _CROWDED:
            self._forget(at - REMEMBERED_SECONDS)

    def at(self, at: float) -> State | None:
        """What it was at that moment; None if it did not exist yet."""
        if self._steps[-1][0] <= at:
            return self._steps[-1][1]
        index = bisect_right(self._steps, at, key=_MOMENT)
        return self._steps[index - 1][1] if index else None

    def _forget(self, before: float) -> None:
        index = bisect_right(self._steps, before, key=_MOMENT)
        del self._steps[: max(index - 1, 0)]
