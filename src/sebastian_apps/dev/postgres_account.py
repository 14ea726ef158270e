"""Whom an embedded PostgreSQL runs as, and from where: PostgreSQL refuses to be root."""

import os
import pwd
import shutil
import subprocess
from pathlib import Path
from typing import Any

from attrs import field, frozen

_TRY_TO_WRITE = ': >"$0/writable" && rm "$0/writable"'
_TRY_TO_EXECUTE = 'test -x "$0"'


@frozen
class Account:
    """The user that PostgreSQL's programs run as: ours, or `nobody` where we are root."""

    uid: int = field(factory=os.geteuid)
    prefix: tuple[str, ...] = ()
    options: dict[str, Any] = field(factory=dict)

    def own(self, path: Path) -> None:
        """Make this user the owner of `path`, which must exist."""
        if path.stat().st_uid != self.uid:
            os.chown(path, self.uid, -1)

    def command(self, program: Path, *arguments: str) -> list[str]:
        return [*self.prefix, str(program), *arguments]

    def can(self, script: str, path: Path) -> bool:
        """Whether a shell script succeeds for this user, with `path` as its `$0`."""
        command = [*self.prefix, "/bin/sh", "-c", script, str(path)]
        try:
            done = subprocess.run(command, capture_output=True, check=False, **self.options)
        except OSError:
            return False
        return done.returncode == 0


def account_for(directory: Path) -> Account:
    """The account that can write in `directory`, of which it becomes the owner."""
    if os.geteuid() != 0:
        return Account()
    plain, privileged = _nobody(), _nobody_who_reaches_everything()
    plain.own(directory)
    return plain if plain.can(_TRY_TO_WRITE, directory) else privileged


def reachable_installation(account: Account, installation: Path, scratch: Path) -> Path:
    """Where `account` can run PostgreSQL: where it is, or a copy of it under `scratch`.

    PostgreSQL asks `access(2)` about its own programs, which privileges do not help: root's home,
    with a checkout in it, is closed to anybody else.
    """
    postgres = installation / "bin" / "postgres"
    if os.geteuid() != 0 or _nobody().can(_TRY_TO_EXECUTE, postgres):
        return installation
    package = installation.parent
    libraries = package.with_name(f"{package.name}.libs")
    copy = scratch / package.name / installation.name
    shutil.copytree(installation, copy, symlinks=True, dirs_exist_ok=True)
    if libraries.is_dir():
        shutil.copytree(libraries, scratch / libraries.name, dirs_exist_ok=True)
    return copy


def _nobody() -> Account:
    entry = pwd.getpwnam("nobody")
    options = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": [], "cwd": "/"}
    return Account(entry.pw_uid, options=options)


def _nobody_who_reaches_everything() -> Account:
    """`nobody` who may pass through root's closed folders on the way to its own."""
    entry = pwd.getpwnam("nobody")
    prefix = (
        "setpriv",
        f"--reuid={entry.pw_uid}",
        f"--regid={entry.pw_gid}",
        "--clear-groups",
        "--inh-caps=+dac_override",
        "--ambient-caps=+dac_override",
    )
    return Account(entry.pw_uid, prefix, {"cwd": "/"})
