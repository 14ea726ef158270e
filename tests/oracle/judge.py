"""The oracle: one checker that decides every promise from what a run left behind."""

from __future__ import annotations

from sebastian_adapters.memory.platform import Truth
from tests.oracle.capacity import judge_capacity
from tests.oracle.doubled import judge_given_once
from tests.oracle.explained import judge_explained
from tests.oracle.idle import judge_idle
from tests.oracle.lost import judge_durable, judge_nothing_lost
from tests.oracle.order import judge_order_of_passes, overtakings
from tests.oracle.presence import is_during_call, offline_gifts, told_offline
from tests.oracle.record import Judging, Record
from tests.oracle.verdict import Teller, Verdict, sorted_violations


def judge(record: Record, judging: Judging | None = None) -> Verdict:
    """Decide P1 to P9. Pure: the same record and rules give the same verdict."""
    judging = judging or Judging()
    truth, teller = Truth.of(record.events), Teller(record)
    gifts = list(offline_gifts(record))
    allowed = [each for each in gifts if is_during_call(each, judging)]
    overtaken = list(overtakings(record, judging, truth))
    found = [
        *judge_durable(record, judging, truth),
        *judge_nothing_lost(record, judging, truth),
        *judge_given_once(record),
        *judge_capacity(record, judging, truth),
        *judge_order_of_passes(record, judging),
        *(each.violation for each in overtaken if each.is_inversion),
        *(told_offline(each, teller) for each in gifts if each not in allowed),
        *judge_idle(record, judging),
        *judge_explained(record),
    ]
    return Verdict(
        violations=sorted_violations(found),
        crossed=[each.violation for each in overtaken if not each.is_inversion],
        left_during_call=allowed,
        offline_gifts=gifts,
    )
