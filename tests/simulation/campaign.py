"""Many seeds on all cores: what failed, and what was hit at least once."""

from __future__ import annotations

import gc
import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context

from attrs import define, field, frozen

from sebastian_core.domain.chat import LEGAL_TRANSITIONS
from tests.simulation.plan import Kind, catalogue, draw
from tests.simulation.run import run

CHUNK = 10
FEWEST_CHATS, FEWEST_FAULTS = 30, 10

Hit = tuple[str, str, str]


@frozen(kw_only=True)
class Result:
    """One seed in short; small enough to travel between processes."""

    seed: int
    complaints: tuple[str, ...]
    chats: int
    faults: int
    struck: Counter[Hit]
    others: Counter[str]
    moves: frozenset[Hit]
    digest: str
    seconds: float


@define
class Campaign:
    """What all seeds together showed."""

    results: int = 0
    chats: int = 0
    faults: int = 0
    failed: list[Result] = field(factory=list)
    thin: list[int] = field(factory=list)
    """Seeds with fewer chats or faults than every seed must have."""
    struck: Counter[Hit] = field(factory=Counter)
    others: Counter[str] = field(factory=Counter)
    moves: Counter[Hit] = field(factory=Counter)

    def take(self, result: Result) -> None:
        """Add one seed."""
        self.results += 1
        self.chats += result.chats
        self.faults += result.faults
        self.struck += result.struck
        self.others += result.others
        self.moves.update(result.moves)
        if result.complaints:
            self.failed.append(result)
        if result.chats < FEWEST_CHATS or result.faults < FEWEST_FAULTS:
            self.thin.append(result.seed)

    def missed_calls(self) -> list[Hit]:
        """Port calls and kinds of faults that never met."""
        wanted = ((port, method, str(kind)) for port, method in catalogue() for kind in Kind)
        return [each for each in wanted if not self.struck[each]]

    def missed_moves(self) -> list[Hit]:
        """Legal moves that no chat made."""
        return [each for each in legal_moves() if not self.moves[each]]

    def told(self) -> str:
        """The campaign in a few lines."""
        met = len(catalogue()) * len(Kind) - len(self.missed_calls())
        moves = len(legal_moves()) - len(self.missed_moves())
        by_kind: Counter[str] = Counter()
        for (_, _, kind), number in self.struck.items():
            by_kind[kind] += number
        lines = [
            f"{self.results} seeds, {self.chats} chats, {self.faults} faults",
            f"seeds with violations: {len(self.failed)}",
            f"legal moves made: {moves} of {len(legal_moves())}",
            f"port call x kind of fault: {met} of {len(catalogue()) * len(Kind)}",
            "at port calls: " + ", ".join(f"{kind} {n}" for kind, n in sorted(by_kind.items())),
            "others: " + ", ".join(f"{what} {n}" for what, n in sorted(self.others.items())),
        ]
        lines += [f"never made: {' '.join(each)}" for each in self.missed_moves()]
        lines += [f"never met: {' '.join(each)}" for each in self.missed_calls()]
        lines += [f"too thin: seed {seed}" for seed in self.thin]
        return "\n".join(lines)


def legal_moves() -> list[Hit]:
    """Every legal move, from where and to where."""
    return [
        (str(move), str(before), str(after))
        for move, ways in LEGAL_TRANSITIONS.items()
        for before, after in sorted(ways, key=str)
    ]


def examine(seed: int, *, beside: bool = False) -> Result:
    """Run one seed."""
    began = time.perf_counter()
    ran = run(draw(seed), beside=beside)
    return Result(
        seed=seed,
        complaints=ran.complaints,
        chats=ran.scenario.chats,
        faults=ran.trace.faults,
        struck=ran.trace.struck,
        others=ran.trace.others,
        moves=ran.moves,
        digest=ran.trace.digest(),
        seconds=time.perf_counter() - began,
    )


def _collect_rarely() -> None:
    """A run leaves many cycles behind, and soon after nothing of it is needed: a fifth faster."""
    gc.set_threshold(100_000, 50, 50)


def examine_all(
    seeds: Iterable[int], processes: int | None = None, *, beside: bool = False
) -> Iterator[Result]:
    """Run the seeds, in their order, on so many processes (default: one a core)."""
    processes = processes or os.cpu_count() or 1
    context = get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context, initializer=_collect_rarely) as pool:
        yield from pool.map(partial(examine, beside=beside), seeds, chunksize=CHUNK)
