"""`python -m benchmarks.handed N PORT MODULE ...`: N processes that take from one socket."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys

_HAND_OVER = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"}
os.execv(sys.executable, [sys.executable, *sys.argv[2:]])
"""


def main(processes: int, port: int, module: str, *arguments: str) -> int:
    """Start them as systemd does, and wait for all; SIGTERM ends them."""
    listener = socket.create_server(("127.0.0.1", port), backlog=2048)
    number = listener.fileno()
    command = [sys.executable, "-c", _HAND_OVER, str(number), "-m", module, *arguments]
    children = [subprocess.Popen(command, pass_fds=(number,)) for _ in range(processes)]
    signal.signal(signal.SIGTERM, lambda *_: [child.terminate() for child in children])
    return max(child.wait() for child in children)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:]))
