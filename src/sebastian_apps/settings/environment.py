"""Settings from environment variables, and from the files that some of them name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from attrs import frozen

from sebastian_apps.settings.given import Scalar
from sebastian_apps.settings.nearest import nearest_of
from sebastian_apps.settings.options import Key
from sebastian_apps.settings.problems import Place, Problem

_FILE_LIMIT_BYTES = 65536
_SERVICE_LINK = re.compile(r"QT_\w+_(SERVICE_HOST|SERVICE_PORT\w*|PORT_\d+_(TCP|UDP)\w*)")
_SERVICE_PORT = re.compile(r"(tcp|udp)://")


@frozen(eq=False)
class Environment:
    """What the variables say, by key path, and what is wrong with them."""

    given: Mapping[str, Scalar]
    problems: tuple[Problem, ...]


def read_environment(environ: Mapping[str, str], keys: Iterable[Key]) -> Environment:
    """Collect the variables that set a key; one with an empty value counts as not set."""
    known = list(keys)
    given: dict[str, Scalar] = {}
    problems = list(_unknown(environ, known))
    for key in known:
        found = _read_key(environ, key)
        if isinstance(found, Scalar):
            given[key.path] = found
        elif found:
            problems.append(found)
    return Environment(given, tuple(problems))


def _read_key(environ: Mapping[str, str], key: Key) -> Scalar | Problem | None:
    names = [name for name in (*key.variables, *key.file_variables) if environ.get(name)]
    if not names:
        return None
    name, *others = names
    if others:
        return Problem(Place(name), key.path, f"set together with {others[0]}; keep one of them")
    if name in key.file_variables:
        return _read_file(name, environ[name], key)
    return Scalar(environ[name], Place(name))


def _read_file(variable: str, path: str, key: Key) -> Scalar | Problem | None:
    try:
        with Path(path).open("rb") as file:
            content = file.read(_FILE_LIMIT_BYTES + 1)
        text = content.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError:
        return Problem(Place(variable), key.path, "the file that it names is not UTF-8 text")
    except (OSError, ValueError) as error:
        reason = (getattr(error, "strerror", None) or "not a path").lower()
        return Problem(Place(variable), key.path, f"the file that it names: {reason}")
    if not text.strip() or len(content) > _FILE_LIMIT_BYTES:
        message = "the file that it names is empty or has more than 64 KiB"
        return Problem(Place(variable), key.path, message)
    return Scalar(text, Place(variable))


def _unknown(environ: Mapping[str, str], keys: list[Key]) -> Iterator[Problem]:
    known = {name for key in keys for name in (*key.variables, *key.file_variables)}
    ours = tuple(sorted({f"QT_{key.section.upper()}_" for key in keys}))
    for name, value in environ.items():
        if name in known or not name.startswith("QT_") or _is_service_link(name, value):
            continue
        if name.startswith(ours):
            yield _unknown_variable(name, nearest_of(name, sorted(known)))
        elif meant := _nearly(name, known):
            yield _unknown_variable(name, meant)


def _nearly(name: str, known: set[str]) -> str | None:
    """The variable that was meant if only a letter or two are wrong; others belong to Qt itself."""
    by_rest = {each.removeprefix("QT_"): each for each in sorted(known)}
    like = nearest_of(name.removeprefix("QT_"), by_rest, at_least=0.85)
    return by_rest[like] if like else None


def _unknown_variable(name: str, nearest: str | None) -> Problem:
    advice = f"; did you mean {nearest}?" if nearest else ""
    return Problem(Place(name), "", f"unknown variable{advice}", nearest)


def _is_service_link(name: str, value: str) -> bool:
    """Whether Kubernetes or a container link made the variable, for a neighbour called `qt-…`."""
    by_name = _SERVICE_LINK.fullmatch(name) is not None
    return by_name or (name.endswith("_PORT") and _SERVICE_PORT.match(value) is not None)
