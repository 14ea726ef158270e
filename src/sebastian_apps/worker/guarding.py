"""How a process that gives chats lives with a policy of the user's own."""

from __future__ import annotations

import structlog
from attrs import field, frozen

from sebastian_apps.own_policy import STRIKES, GuardedPolicy, own_policy
from sebastian_apps.settings import Settings
from sebastian_apps.watchdog import Watchdog
from sebastian_apps.worker.policy_calls import PolicyCalls, ends_so_far
from sebastian_core.domain.policy import LeastLoaded, Policy

log = structlog.stdlib.get_logger("sebastian.worker")


@frozen
class Guard:
    """Makes the policy that `assign.policy` names, and watches over the process that asks it."""

    _settings: Settings
    _calls: PolicyCalls = field(factory=PolicyCalls.given)

    def watchdog(self, patience_seconds: float) -> Watchdog:
        """Ends the process when it is stuck for so long, and says if the policy was busy then."""
        return Watchdog(patience_seconds, self._suspect)

    def policy(self) -> GuardedPolicy | None:
        """The policy of the user's own, if there is one; raises SettingsError where it is unusable.

        One that hung or crashed its workers is not even imported: that may be where it does so.
        """
        name, ends = self._settings.assign.policy, ends_so_far()
        if name is None:
            return None
        own = self._made() if ends < STRIKES else LeastLoaded()
        policy = GuardedPolicy(own, name, ends, self._calls.begin, self._calls.end)
        if policy.suspended is not None:
            log.error(
                "the shipped policy serves until the service is started again",
                policy=name,
                why=policy.suspended,
            )
        return policy

    def _made(self) -> Policy:
        """Being made counts as a choice that a worker may not survive."""
        self._calls.begin()
        try:
            return own_policy(self._settings) or LeastLoaded()
        finally:
            self._calls.end()

    def _suspect(self) -> str | None:
        return f"the policy {self._settings.assign.policy}" if self._calls.under_way else None
