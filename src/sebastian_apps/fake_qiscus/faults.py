"""How the platform misbehaves when told to: which call, how, how often, until when."""

import random
from collections import Counter
from typing import Literal, get_args

from attrs import Attribute, define, field, frozen
from attrs.validators import ge, in_, le, optional

from sebastian_apps.fake_qiscus.routes import OPERATIONS

FaultKind = Literal["latency", "status", "reset", "silence", "rubbish", "twice"]
FAULT_KINDS: tuple[FaultKind, ...] = get_args(FaultKind)

#: How much later the same answer comes again where it comes `twice`.
SECOND_ANSWER_SECONDS = 0.001
RUBBISH = {
    "html": (b"<html><body><h1>502 Bad Gateway</h1></body></html>", "text/html"),
    "empty": (b"", "application/json"),
    "other_shape": (b'{"data":[{"surprise":true}],"status":"ok"}', "application/json"),
    "truncated": (b'{"data":{"added_agent":{"id":', "application/json"),
    "number": (b"42", "application/json"),
}
_share = [ge(0.0), le(1.0)]
EVERY_OPERATION = "*"


def _known(instance: object, attribute: "Attribute[str]", value: str) -> None:
    if value not in {EVERY_OPERATION, *OPERATIONS}:
        known = ", ".join([EVERY_OPERATION, *sorted(OPERATIONS)])
        raise ValueError(f"no call is named {value!r}; known: {known}")


@frozen(kw_only=True)
class InjectedFault:
    """One rule. Without `count` and `for_seconds` it holds until it is taken back."""

    kind: FaultKind = field(validator=in_(FAULT_KINDS))
    operation: str = field(default=EVERY_OPERATION, validator=_known)
    """Which call, by the name that `routes.ROUTES` gives it; `*` is every one."""
    probability: float = field(default=1.0, validator=_share)
    count: int | None = field(default=None, validator=optional(ge(1)))
    """How many calls it hits before it is spent."""
    for_seconds: float | None = field(default=None, validator=optional(ge(0.0)))
    is_applied: bool = False
    """Whether the call takes effect all the same, before it goes wrong."""
    status: int = field(default=500, validator=[ge(400), le(599)])
    retry_after_seconds: int | None = field(default=None, validator=optional(ge(0)))
    """Sent as `Retry-After` with a status."""
    retry_after_as_date: bool = False
    seconds: float = field(default=0.0, validator=ge(0.0))
    """Of latency."""
    jitter_seconds: float = field(default=0.0, validator=ge(0.0))
    """Up to so much latency on top, uniformly."""
    rubbish: str = field(default="html", validator=in_(tuple(RUBBISH)))
    """What stands in the answer, with 200."""


@frozen
class Fate:
    """What becomes of one call: how long it takes, and what goes wrong with it."""

    latency_seconds: float
    fault: InjectedFault | None


@define(eq=False)
class _Rule:
    fault: InjectedFault
    expires_at: float | None
    left: int | None


class Faults:
    """The rules in force. Latencies add up; of the others the first that hits decides."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._rules: dict[int, _Rule] = {}
        self._next_number = 1
        self.hits: Counter[str] = Counter()

    def add(self, fault: InjectedFault, now: float) -> int:
        """Bring a rule into force; the number takes it back."""
        number = self._next_number
        self._next_number += 1
        expires_at = None if fault.for_seconds is None else now + fault.for_seconds
        self._rules[number] = _Rule(fault, expires_at, fault.count)
        return number

    def remove(self, number: int) -> None:
        """Take a rule back; one that is spent or unknown is none."""
        self._rules.pop(number, None)

    def clear(self) -> None:
        self._rules.clear()

    def in_force(self) -> dict[int, InjectedFault]:
        return {number: rule.fault for number, rule in self._rules.items()}

    def fate(self, operation: str, now: float) -> Fate:
        """Decide about one call; a rule that hits uses up one of its count."""
        if not self._rules:
            return _GOOD_FATE
        latency_seconds, decided = 0.0, None
        for number, rule in tuple(self._rules.items()):
            if rule.fault.kind != "latency" and decided:
                continue
            if not self._hits(number, rule, operation, now):
                continue
            if rule.fault.kind == "latency":
                latency_seconds += rule.fault.seconds + self._jitter(rule.fault)
            else:
                decided = rule.fault
        return Fate(latency_seconds, decided)

    def _hits(self, number: int, rule: _Rule, operation: str, now: float) -> bool:
        fault = rule.fault
        if rule.expires_at is not None and now >= rule.expires_at:
            del self._rules[number]
            return False
        if fault.operation not in {EVERY_OPERATION, operation}:
            return False
        if fault.probability < 1.0 and self._rng.random() >= fault.probability:
            return False
        self._use(number, rule)
        self.hits[f"{operation} {fault.kind}{' applied' if fault.is_applied else ''}"] += 1
        return True

    def _use(self, number: int, rule: _Rule) -> None:
        if rule.left is None:
            return
        rule.left -= 1
        if rule.left <= 0:
            del self._rules[number]

    def _jitter(self, fault: InjectedFault) -> float:
        return self._rng.uniform(0.0, fault.jitter_seconds) if fault.jitter_seconds else 0.0


@frozen(kw_only=True)
class WebhookFaults:
    """How webhooks of one kind go astray; each share is of the webhooks, drawn one by one."""

    lost: float = field(default=0.0, validator=_share)
    doubled: float = field(default=0.0, validator=_share)
    late: float = field(default=0.0, validator=_share)
    """Late by `late_seconds`; of a doubled one each copy by itself."""
    late_seconds: float = field(default=2.0, validator=ge(0.0))
    swapped: float = field(default=0.0, validator=_share)
    """Held back until the next webhook of its kind has left (or `swap_seconds` are over)."""
    swap_seconds: float = field(default=1.0, validator=ge(0.0))


_GOOD_FATE = Fate(0.0, None)
