"""A server process that never outlives the program that started it."""

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from attrs import define

_WATCHDOG = 'read -r _; kill -s "$1" "$2"; kill -s CONT "$2"'


@define
class OwnedProcess:
    """A child process with all its descendants.

    It runs in a session of its own, so that Ctrl-C in a terminal reaches us and not it. A small
    shell waits on a pipe that only we hold open: when this program dies, however it dies, the
    shell asks the child to stop.
    """

    _child: subprocess.Popen[bytes]
    _watchdog: subprocess.Popen[bytes]
    _stop_signal: signal.Signals

    @classmethod
    def spawn(
        cls,
        command: Sequence[str],
        *,
        log: Path,
        stop_signal: signal.Signals,
        options: Mapping[str, Any] | None = None,
    ) -> Self:
        """Start `command`, its output appended to `log`, which only our account can read.

        `options` are those of `Popen`.
        """
        with open(log, "ab", opener=_private) as output:
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **(options or {}),
            )
        return cls(child, _watch(child.pid, stop_signal), stop_signal)

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def running(self) -> bool:
        return self._child.poll() is None

    def stop(self, timeout_seconds: float = 10.0) -> None:
        """Ask it to stop, frozen or not, and kill it when it has not within the time."""
        self._child.send_signal(self._stop_signal)
        self.thaw()
        try:
            self._child.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            self.kill()
        self._dismiss_watchdog()

    def kill(self) -> None:
        """End it and its descendants at once, without a chance to tidy up."""
        self._signal_all(signal.SIGSTOP)
        self._signal_all(signal.SIGKILL)
        self._child.wait()
        self._dismiss_watchdog()

    def freeze(self) -> None:
        """Stop the clock for it and its descendants: it keeps its connections and is silent."""
        self._signal_all(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it and its descendants go on."""
        self._signal_all(signal.SIGCONT)

    def _signal_all(self, signal_: signal.Signals) -> None:
        if not self.running:
            return
        descendants = _descendants(self.pid)
        self._child.send_signal(signal_)
        for pid in descendants:
            _send(pid, signal_)

    def _dismiss_watchdog(self) -> None:
        self._watchdog.kill()
        self._watchdog.wait()
        if self._watchdog.stdin is not None:
            self._watchdog.stdin.close()


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, mode=0o600)


def _watch(pid: int, stop_signal: signal.Signals) -> subprocess.Popen[bytes]:
    name = stop_signal.name.removeprefix("SIG")
    return subprocess.Popen(
        ["/bin/sh", "-c", _WATCHDOG, "sebastian-watchdog", name, str(pid)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _descendants(pid: int) -> list[int]:
    import psutil

    try:
        return [child.pid for child in psutil.Process(pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _send(pid: int, signal_: signal.Signals) -> None:
    try:
        os.kill(pid, signal_)
    except ProcessLookupError:
        return
