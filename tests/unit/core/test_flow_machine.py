"""The whole flow under everything that happens to it, with the promises checked throughout.

Customers come, write again and return; agents come and go; people assign, move and resolve by hand;
webhooks are lost, doubled and late; requests fail before and after they were applied; workers die;
the platform lags. `SEBASTIAN_FLOW_EXAMPLES` asks for more runs than the test run makes, each of
them a new one.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from sebastian_core.domain.ids import AgentId, RoomId
from tests.unit.core.simulation import AGENTS, ROOMS, STORMS, Simulation

EXAMPLES = int(os.environ.get("SEBASTIAN_FLOW_EXAMPLES", "0"))

rooms = st.sampled_from(ROOMS)
agents = st.sampled_from(AGENTS)
operations = st.sampled_from(["assign", "assign", "eligible_agents", "room", "rooms_of", "agents"])
deliveries = st.sampled_from(
    [(0.0,), (0.0,), (0.0,), (0.0, 0.0), (0.0, 3.0), (3.0,), (0.0, 8.0), (9.0,), ()],
)
LATENESS_LIMIT = 4.0
"""How late webhooks are where nothing but webhooks tells: less than the platform's lag."""


class Flow(RuleBasedStateMachine):
    """One floor; each rule is something that somebody does, or that befalls it.

    Half of the floors are never reconciled. There no webhook is lost or very late, and each tells
    its service: then the webhooks, and what they make us look at, must be enough.
    """

    @initialize(
        seed=st.integers(0, 2**16),
        reconciles=st.booleans(),
        named=st.booleans(),
        latest_service=st.sampled_from(["as_docs", "always_null", "shows_open"]),
        rooms_lag=st.sampled_from([0.0, 0.0, 2.0, 4.5]),
        counts_lag=st.sampled_from([0.0, 4.5, 60.0]),
        counts_absent=st.booleans(),
        same_agent_twice=st.sampled_from([200, 400]),
        assign_resolved_room=st.sampled_from([200, 400]),
    )
    def begin(
        self,
        seed: int,
        reconciles: bool,
        named: bool,
        latest_service: str,
        rooms_lag: float,
        counts_lag: float,
        counts_absent: bool,
        same_agent_twice: int,
        assign_resolved_room: int,
    ) -> None:
        self.reconciles = reconciles
        self.floor = Simulation(
            seed,
            reconciles=reconciles,
            named=named or not reconciles,
            latest_service=latest_service if reconciles else "as_docs",
            rooms_lag_seconds=rooms_lag,
            counts_lag_seconds=counts_lag,
            counts_absent=counts_absent,
            same_agent_twice=same_agent_twice,
            assign_resolved_room=assign_resolved_room,
        )

    @rule(room_id=rooms, delays=deliveries)
    def a_customer_writes(self, room_id: RoomId, delays: Sequence[float]) -> None:
        self.floor.run(self.floor.customer_writes(room_id, self.as_delivered(delays)))

    @rule(room_id=rooms, delays=deliveries)
    def somebody_resolves(self, room_id: RoomId, delays: Sequence[float]) -> None:
        self.floor.run(self.floor.end(room_id, self.as_delivered(delays)))

    @rule(room_id=rooms, delays=deliveries, returns=deliveries)
    def a_customer_returns_at_once(
        self, room_id: RoomId, delays: Sequence[float], returns: Sequence[float]
    ) -> None:
        self.floor.run(self.floor.end(room_id, self.as_delivered(delays)))
        self.floor.run(self.floor.customer_writes(room_id, self.as_delivered(returns)))

    @rule(seconds=st.sampled_from([0.05, 0.3, 1.0, 3.0, 6.0, 12.0, 65.0]))
    def time_passes(self, seconds: float) -> None:
        self.floor.pass_time(seconds)

    @rule(agent_id=agents, online=st.booleans())
    def an_agent_comes_or_goes(self, agent_id: AgentId, online: bool) -> None:
        self.floor.run(self.floor.set_online(agent_id, online=online))

    @rule(agent_id=agents, capacity=st.sampled_from([0, 1, 1, 2, 3, None]))
    def a_capacity_is_set(self, agent_id: AgentId, capacity: int | None) -> None:
        self.floor.run(self.floor.set_capacity(agent_id, capacity))

    @rule(room_id=rooms, agent_id=agents)
    def a_person_gives_a_room(self, room_id: RoomId, agent_id: AgentId) -> None:
        self.floor.run(self.floor.give_by_hand(room_id, agent_id))

    @rule(room_id=rooms, agent_id=agents)
    def a_person_moves_a_room(self, room_id: RoomId, agent_id: AgentId) -> None:
        self.floor.run(self.floor.move_by_hand(room_id, agent_id))

    @precondition(lambda self: self.reconciles)
    @rule(room_id=rooms)
    def a_person_sends_the_agent_away(self, room_id: RoomId) -> None:
        self.floor.run(self.floor.send_away(room_id))

    @rule(operation=operations, storms=st.lists(st.sampled_from(STORMS), min_size=1, max_size=3))
    def requests_will_fail(self, operation: str, storms: list[str]) -> None:
        self.floor.weather.storms.setdefault(operation, []).extend(storms)

    @rule(slowest=st.sampled_from([0.05, 0.5, 2.4]))
    def requests_take_their_time(self, slowest: float) -> None:
        self.floor.weather.slowest = slowest

    @rule(account=st.sampled_from(["well", "well", "unreachable", "down", "refusing us"]))
    def the_account_changes(self, account: str) -> None:
        self.floor.weather.account = account

    @precondition(lambda self: self.reconciles)
    @rule(is_away=st.booleans())
    def the_database_comes_or_goes(self, is_away: bool) -> None:
        self.floor.repo.is_away = is_away

    @rule()
    def the_agent_store_forgets_everything(self) -> None:
        self.floor.stage.agent_store.lose()

    @rule(room_id=rooms)
    def a_room_is_always_refused(self, room_id: RoomId) -> None:
        self.floor.run(self.floor.poison(room_id))

    @rule(room_id=rooms, agent_id=agents)
    def an_agent_may_not_serve_a_room(self, room_id: RoomId, agent_id: AgentId) -> None:
        self.floor.run(self.floor.bar(room_id, agent_id))

    @rule()
    def no_room_is_refused_any_more(self) -> None:
        self.floor.run(self.floor.cure())

    @rule(number=st.integers(0, 1))
    def a_worker_dies(self, number: int) -> None:
        self.floor.run(self.floor.kill_worker(number))

    def as_delivered(self, delays: Sequence[float]) -> Sequence[float]:
        """When a webhook comes in, on a floor where nothing else would tell."""
        if self.reconciles:
            return delays
        return [delay for delay in delays if delay < LATENESS_LIMIT] or (0.0,)

    @invariant()
    def every_promise_holds(self) -> None:
        if hasattr(self, "floor"):
            self.floor.check()

    def teardown(self) -> None:
        if not hasattr(self, "floor"):
            return
        try:
            wrong = self.floor.settle_down()
            self.floor.check()
            assert wrong == []
        finally:
            self.floor.close()


TestTheFlow = Flow.TestCase
TestTheFlow.settings = settings(
    max_examples=EXAMPLES or 200,
    stateful_step_count=30,
    deadline=None,
    derandomize=not EXAMPLES,
    suppress_health_check=list(HealthCheck),
)
