"""How a process that gives chats lives with a policy of the user's own."""

from __future__ import annotations

import faulthandler
import signal

import structlog
from attrs import define, field

from sebastian_apps.policy.choices import Choices, state_dir
from sebastian_apps.policy.load import STRIKES, GuardedPolicy, digest_of, own_policy
from sebastian_apps.runtime.watchdog import Watchdog, gone_after
from sebastian_apps.settings import Settings, SettingsError
from sebastian_core.domain.policy import LeastLoaded, Policy

KILL_SECONDS = 1.0
"""For so long the stacks of all threads may take to be written."""

log = structlog.stdlib.get_logger("sebastian.worker")


@define
class EndTimer:
    """Ends the process after so many seconds, without the interpreter's help.

    Code that holds the interpreter lets no thread of the process run, and no signal handler. So a
    thread in C writes where the code is, and a second later the kernel ends the process by SIGALRM,
    whether anybody reads standard error or not.
    """

    _seconds: float

    def prepare(self) -> None:
        """Let SIGALRM end the process, whatever its parent said about it; in the main thread."""
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})

    def start(self) -> None:
        """The time begins."""
        signal.setitimer(signal.ITIMER_REAL, self._seconds + KILL_SECONDS)
        faulthandler.dump_traceback_later(self._seconds)

    def stop(self) -> None:
        """It came to its end in time."""
        faulthandler.cancel_dump_traceback_later()
        signal.setitimer(signal.ITIMER_REAL, 0)


@define
class Guard:
    """Makes the policy that `assign.policy` names, and watches over the process that asks it.

    The watchdog ends a process whose policy hangs. The timer is for one that holds the interpreter
    and keeps the watchdog from running; it leaves the watchdog the time that it needs.
    """

    _settings: Settings
    _patience_seconds: float
    _choices: Choices
    _timer: EndTimer
    _retried_at: int = field(init=False)

    @classmethod
    def counting(cls, settings: Settings, patience_seconds: float) -> Guard:
        """A guard of a service: what did not survive a choice is known to those that follow."""
        choices = Choices.for_this_process()
        if settings.assign.policy is not None:
            try:
                choices = Choices.kept_in(state_dir(settings), digest_of(settings.assign.policy))
            except OSError as error:
                log.warning(
                    "how often the policy hangs or crashes its worker cannot be counted, so it is "
                    "asked again each time; name a folder that can be written in worker.state_dir",
                    error=str(error),
                )
        return cls.of(settings, patience_seconds, choices)

    @classmethod
    def of(
        cls, settings: Settings, patience_seconds: float, choices: Choices | None = None
    ) -> Guard:
        """A guard with these counts, or with some that end with the process."""
        choices = choices or Choices.for_this_process()
        return cls(settings, patience_seconds, choices, EndTimer(gone_after(patience_seconds)))

    @_retried_at.default
    def _asked_before(self) -> int:
        return self._choices.asked_to_retry_at()

    def watchdog(self) -> Watchdog:
        """Ends the process when it is stuck, and says if the policy was busy then."""
        return Watchdog(self._patience_seconds, self._suspect)

    def policy(self) -> GuardedPolicy | None:
        """The policy of the user's own, if there is one; raises SettingsError where it is unusable.

        One that hung or crashed its workers is not even imported: that may be where it does so.
        """
        name, ends = self._settings.assign.policy, self._choices.never_ended()
        if name is None:
            return None
        self._timer.prepare()
        own = self._made() if ends < STRIKES else LeastLoaded()
        policy = GuardedPolicy(
            own,
            name,
            ends,
            begun=self._begin,
            ended=self._end,
            tried_again=self._tried_again,
            state_dir=self._choices.folder,
        )
        if policy.suspended is not None:
            log.error(
                "the shipped policy serves until yours changes, the service is stopped, or "
                "sebastian policy retry",
                policy=name,
                why=policy.suspended,
            )
        return policy

    def stopped(self) -> None:
        """The service was stopped: what its policy did is forgotten."""
        self._choices.forget()

    def _made(self) -> Policy:
        """Being made counts as a choice that a worker may not survive."""
        self._begin()
        try:
            return own_policy(self._settings) or LeastLoaded()
        finally:
            self._end()

    def _tried_again(self) -> Policy | None:
        """The policy, made anew, if somebody has asked for that since the last time."""
        asked_at = self._choices.asked_to_retry_at()
        if asked_at == self._retried_at:
            return None
        self._retried_at = asked_at
        log.info("the policy is tried again", policy=self._settings.assign.policy)
        try:
            return self._made()
        except SettingsError as error:
            log.error("the policy cannot be made", error=str(error))  # noqa: TRY400
            return None

    def _begin(self) -> None:
        self._choices.begin()
        self._timer.start()

    def _end(self) -> None:
        self._timer.stop()
        self._choices.end()

    def _suspect(self) -> str | None:
        return f"the policy {self._settings.assign.policy}" if self._choices.under_way else None
