"""The account that an embedded PostgreSQL runs as, and its rights: PostgreSQL refuses root."""

import os
import pwd
import shutil
import subprocess
from pathlib import Path
from typing import Any

from attrs import field, frozen

_HERE = Path("/proc/self/cwd")
_TRY_TO_EXECUTE = ("/bin/sh", "-c", 'test -x "$0"')


@frozen
class SystemUser:
    """The user that PostgreSQL's programs run as: ours, or `nobody` where we are root.

    `nobody` gets no privilege, and owns nothing but the folders that it must write to: what we
    write ourselves stands elsewhere, where no other process of `nobody` can put a link in its way.
    """

    uid: int = field(factory=os.geteuid)
    options: dict[str, Any] = field(factory=dict)

    @classmethod
    def for_postgres(cls) -> "SystemUser":
        """Ours, or `nobody`."""
        if os.geteuid() != 0:
            return cls()
        entry = pwd.getpwnam("nobody")
        options = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
        return cls(entry.pw_uid, options)

    @property
    def is_ours(self) -> bool:
        """Whether it is the account that we run as ourselves."""
        return self.uid == os.geteuid()

    def make_folder(self, path: Path) -> None:
        """Make a folder of this account, for it alone; one that is there is kept."""
        path.mkdir(mode=0o700, exist_ok=True)
        if path.lstat().st_uid != self.uid:
            os.chown(path, self.uid, -1, follow_symlinks=False)

    def hand_back(self, path: Path) -> None:
        """Make us the owner of a folder that an earlier version gave to this account."""
        if not self.is_ours and path.stat().st_uid == self.uid:
            os.chown(path, os.geteuid(), -1)

    def inside(self, folder: Path) -> tuple[Path, dict[str, Any]]:
        """The path by which a program finds its own folder, and the options to start it with.

        Root's home is closed to `nobody`, with everything below it. If a program is started in such
        a folder it still reaches that one folder, as its working folder.
        """
        named = _HERE if not self.is_ours and _HERE.exists() else folder
        return named, {**self.options, "cwd": folder}

    def can_execute(self, program: Path) -> bool:
        """Whether it may run this program, where that is."""
        command = [*_TRY_TO_EXECUTE, str(program)]
        options = {**self.options, "cwd": "/"}
        return subprocess.run(command, capture_output=True, check=False, **options).returncode == 0


def reachable_installation(account: SystemUser, installation: Path, scratch: Path) -> Path:
    """Where `account` can run PostgreSQL: where it is, or a copy of it under `scratch`.

    Root's home, with a checkout in it, is closed to anybody else.
    """
    if account.is_ours or account.can_execute(installation / "bin" / "postgres"):
        return installation
    package = installation.parent
    libraries = package.with_name(f"{package.name}.libs")
    copy = scratch / package.name / installation.name
    shutil.copytree(installation, copy, symlinks=True, dirs_exist_ok=True)
    if libraries.is_dir():
        shutil.copytree(libraries, scratch / libraries.name, dirs_exist_ok=True)
    return copy
