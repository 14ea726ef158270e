"""Whether a policy of the user's own can be made, found out by a process that may hang or crash.

Run as a module, this is that process: `python -m sebastian_apps.policy.trial package.module:Class`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

from sebastian_apps.policy.load import UnusablePolicy, make_policy, unusable
from sebastian_apps.runtime.watchdog import PATIENCE_SECONDS
from sebastian_apps.settings import Settings

ANSWER_BYTES = 65_536
"""What a pipe holds: an answer is one sentence."""


def try_policy(settings: Settings, seconds: float = PATIENCE_SECONDS) -> None:
    """Have the policy that `assign.policy` names made by another process, in so many seconds.

    As a worker does: it ends one that hangs for so long. Starts nothing where none is named.
    Raises SettingsError, with the place where it is written, if no policy comes of it.
    """
    name = settings.assign.policy
    why = _why_unusable(name, seconds) if name is not None else None
    if why is not None:
        raise unusable(settings, why)


def _why_unusable(name: str, seconds: float) -> str | None:
    """What the pipe holds when the process has ended: whom the policy started may keep it open."""
    reads, writes = os.pipe()
    try:
        command = [sys.executable, "-m", __name__, name]
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=writes, timeout=seconds, check=False
        )
        os.set_blocking(reads, False)
        told = _held_by(reads)
    except subprocess.TimeoutExpired:
        return _hung(name, seconds)
    finally:
        os.close(reads)
        os.close(writes)
    if not told:
        return f"{name} cannot be made: the attempt ended its process ({_end(done.returncode)})"
    why: str | None = json.loads(told)
    return why


def _held_by(pipe: int) -> bytes:
    try:
        return os.read(pipe, ANSWER_BYTES)
    except BlockingIOError:
        return b""


def _hung(name: str, seconds: float) -> str:
    module = name.partition(":")[0]
    return (
        f"{name} was not made within {seconds:g} s, and a worker would be ended there; to see "
        f"where it hangs, run python -c 'import {module}' and end that with Ctrl-C"
    )


def _end(status: int) -> str:
    return signal.Signals(-status).name if status < 0 else f"exit status {status}"


def main() -> None:
    """Make the policy that the command line names, and write why not, or null, as JSON.

    What the policy prints is no answer, and the threads that it started are not waited for.
    """
    answer = os.dup(1)
    os.dup2(2, 1)
    why = None
    try:
        make_policy(sys.argv[1])
    except UnusablePolicy as error:
        why = str(error)
    os.write(answer, json.dumps(why).encode())
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
