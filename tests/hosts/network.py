"""Hosts of our own: network namespaces around a switch, each on a cable that can be cut.

All of it lies in namespaces that are made here, named after this process, and removed at the end:
no address, link or route of the machine itself is touched.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from enum import StrEnum
from pathlib import Path

from attrs import frozen

_CLONE_NEWNET = 0x40000000
_PREFIX_LENGTH = 24
_SWITCH = "switch"


class NoNamespaces(Exception):
    """Network namespaces cannot be made here; the sentence says why."""


class Cut(StrEnum):
    """How a host loses the network; either way nobody is told by a reset or an ICMP message."""

    SWALLOWED = "its packets are swallowed"
    UNPLUGGED = "its cable is pulled"


@frozen
class Host:
    """A network namespace with one address, on one port of the switch."""

    name: str
    address: str
    namespace: str
    mac: str

    def command(self, *command: str) -> list[str]:
        """The same command, on this host."""
        return ["ip", "netns", "exec", self.namespace, *command]

    @contextmanager
    def entered(self) -> Iterator[None]:
        """This thread, and the threads and processes that it starts, are on this host meanwhile."""
        with Path("/proc/thread-self/ns/net").open() as before:
            _enter(Path("/run/netns") / self.namespace)
            try:
                yield
            finally:
                _set_namespace(before.fileno())


@frozen
class Network:
    """The hosts, and the switch that they hang on."""

    switch: str
    hosts: dict[str, Host]

    def __getitem__(self, name: str) -> Host:
        return self.hosts[name]

    def cut(self, name: str, how: Cut) -> None:
        """From now on nothing passes from or to this host."""
        self._set_port(name, "down" if how is Cut.UNPLUGGED else "nomaster")

    def heal(self, name: str, how: Cut) -> None:
        """Take back this cut."""
        self._set_port(name, *(("up",) if how is Cut.UNPLUGGED else ("master", _SWITCH)))

    def _set_port(self, name: str, *change: str) -> None:
        _ip("-n", self.switch, "link", "set", name, *change)


@contextmanager
def network(*names: str) -> Iterator[Network]:
    """Hosts of these names (of at most 15 characters), gone at the end whatever happens.

    Raises NoNamespaces where they cannot be made.
    """
    _check_that_it_may_be()
    with ExitStack() as stack:
        switch = _namespace(stack, _SWITCH)
        _ip("-n", switch, "link", "add", _SWITCH, "type", "bridge")
        _ip("-n", switch, "link", "set", _SWITCH, "up")
        hosts = [
            Host(name, f"192.0.2.{number}", _namespace(stack, name), f"02:00:00:00:00:{number:02x}")
            for number, name in enumerate(names, 1)
        ]
        for host in hosts:
            _plug_in(host, switch)
        for host in hosts:
            _introduce(host, hosts)
        yield Network(switch, {host.name: host for host in hosts})


def _check_that_it_may_be() -> None:
    if shutil.which("ip") is None:
        raise NoNamespaces("there is no program `ip` (Debian's iproute2)")
    if os.geteuid() != 0:
        raise NoNamespaces("network namespaces want root")


def _namespace(stack: ExitStack, name: str) -> str:
    namespace = f"sebastian-{os.getpid()}-{name}"
    _ip("netns", "add", namespace)
    stack.callback(_ip, "netns", "delete", namespace)
    return namespace


def _plug_in(host: Host, switch: str) -> None:
    here = ("-n", host.namespace)
    peer = ("type", "veth", "peer", "name", host.name, "netns", switch)
    _ip(*here, "link", "add", "eth0", "address", host.mac, *peer)
    _ip("-n", switch, "link", "set", host.name, "master", _SWITCH, "up")
    _ip(*here, "address", "add", f"{host.address}/{_PREFIX_LENGTH}", "dev", "eth0")
    for device in ("lo", "eth0"):
        _ip(*here, "link", "set", device, "up")


def _introduce(host: Host, hosts: Sequence[Host]) -> None:
    """Let it know the others for good: whoever is cut off is not found out to be unreachable."""
    for other in hosts:
        if other is not host:
            known = (other.address, "lladdr", other.mac, "dev", "eth0", "nud", "permanent")
            _ip("-n", host.namespace, "neighbour", "add", *known)


def _ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise NoNamespaces(f"`ip {' '.join(arguments)}` failed: {done.stderr.strip()}")


def _enter(path: Path) -> None:
    with path.open() as namespace:
        _set_namespace(namespace.fileno())


def _set_namespace(descriptor: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, _CLONE_NEWNET):
        raise NoNamespaces(f"setns failed: {os.strerror(ctypes.get_errno())}")
