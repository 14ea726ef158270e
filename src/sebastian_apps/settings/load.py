"""From a file and the environment to settings, or to everything that is wrong with them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from attrs import Factory, define

from sebastian_apps.settings.checks import ROLES, Need, Role, contradictions, missing
from sebastian_apps.settings.keys import Key, sections_of
from sebastian_apps.settings.model import Settings, all_keys
from sebastian_apps.settings.nearest import nearest_key, nearest_of, plain_name
from sebastian_apps.settings.problems import ConfigPlace, ConfigProblem, SettingsError
from sebastian_apps.settings.sources import YamlFile, read_variable
from sebastian_apps.settings.values import Raw

#: What decides whether strangers are kept out: unread, nothing can be said of it.
_GUARDS = frozenset(
    {
        *("webhook.token", "webhook.insecure", "admin.token", "admin.tokens"),
        *("listen.host", "metrics.host", "metrics.port"),
    }
)
#: Variables that Kubernetes or a container link makes for a neighbour called `qt-…`.
_SERVICE_LINK = re.compile(
    r"QT_\w+_(SERVICE_HOST|SERVICE_PORT\w*|PORT_\d+_(TCP|UDP)\w*)=.*|[^=]+_PORT=(tcp|udp)://.*",
    re.DOTALL,
)


def load_settings(
    path: Path | None,
    environ: Mapping[str, str],
    *,
    role: Role | None = None,
    needs: Collection[Need] = (),
) -> Settings:
    """Read the settings of a deployment: the environment beats the file, the file the defaults.

    Without a path there is only the environment. A role (or needs) makes the keys required that
    this process cannot do without. Raises SettingsError with everything that is wrong, at once.
    """
    loading = _Loading()
    if path is not None:
        loading.take_file(path)
    loading.take_environment(environ)
    return loading.settings({*needs, *(ROLES[role] if role else ())})


@define
class _Loading:
    """What is known so far: values by section and name, the rest by key path.

    The empty path stands for the file as a whole.
    """

    values: dict[str, dict[str, Any]] = Factory(dict)
    places: dict[str, ConfigPlace] = Factory(dict)
    unread: set[str] = Factory(set)
    problems: list[ConfigProblem] = Factory(list)

    def take_file(self, path: Path) -> None:
        """Take what the file says."""
        self.places[""] = ConfigPlace(str(path))
        file = YamlFile(path)
        with self._telling(""):
            for name, raw in file.read().items():
                self._take_section(name, raw)
            self.problems.extend(file.problems)

    def _take_section(self, section: Raw, raw: Raw) -> None:
        if section.text not in dict(sections_of(Settings)):
            self.problems.append(_unknown(section))
            return
        self.places[section.text] = section.place
        keys = {key.name: key for key in all_keys() if key.section == section.text}
        if isinstance(raw.content, dict):
            for name, value in raw.content.items():
                if name.text not in keys:
                    self.problems.append(_unknown(name, section.text))
                elif value.content is not None:
                    self._take(keys[name.text], value)
        elif raw.content is not None:
            message = f"expected keys and values below it, found {raw.shape}"
            advice = "; is the space after a colon missing?" if raw.text else ""
            self.problems.append(ConfigProblem(raw.place, section.text, message + advice))

    def take_environment(self, environ: Mapping[str, str]) -> None:
        """Take what the variables say, over what the file said."""
        for key in all_keys():
            with self._telling(key.path):
                if raw := read_variable(key, environ):
                    self._take(key, raw)
        self.problems.extend(_unknown_variables(environ))

    def _take(self, key: Key, raw: Raw) -> None:
        with self._telling(key.path):
            value = key.parser.read(raw, key.path)
            self.values.setdefault(key.section, {})[key.name] = value
            self.places[key.path] = raw.place

    @contextmanager
    def _telling(self, path: str) -> Iterator[None]:
        """Keep what is wrong with a key for the end, where everything is told at once."""
        try:
            yield
        except SettingsError as error:
            self.unread.add(path)
            self.problems.extend(error.problems)

    def settings(self, needs: Collection[Need]) -> Settings:
        """The settings, if nothing is wrong with them; else raises SettingsError."""
        made = {name: type_(**self.values.get(name, {})) for name, type_ in sections_of(Settings)}
        settings = Settings(places=self.places, **made)
        self.problems.extend(contradictions(settings, self.unread))
        if "" not in self.unread:
            clear = [need for need in needs if not ("exposure" in need and self.unread & _GUARDS)]
            absent = missing(settings, clear)
            self.problems.extend(each for each in absent if each.key not in self.unread)
        if self.problems:
            raise SettingsError(self.problems)
        return settings


def _unknown(name: Raw, section: str = "") -> ConfigProblem:
    """The problem with a name that is no section, or no key of this one."""
    shown = plain_name(name.text)
    if shown == "?":
        message = "a key that is not a plain word (not shown); is the space after a colon missing?"
        return ConfigProblem(name.place, section, message)
    paths, sections = [key.path for key in all_keys()], [each for each, _ in sections_of(Settings)]
    if section:
        shown = f"{section}.{shown}"
        nearest = nearest_key(section, name.text, paths)
        existing = f"{section} has " + ", ".join(k.name for k in all_keys() if k.section == section)
    elif name.text in paths:
        parent, _, leaf = name.text.partition(".")
        message = f"write {leaf} on a line of its own below {parent}:"
        return ConfigProblem(name.place, shown, message)
    else:
        nearest = nearest_of(name.text, sections) or nearest_key("", name.text, paths)
        existing = f"there are {', '.join(sections)}"
    advice = f"did you mean {nearest}?" if nearest else existing
    return ConfigProblem(name.place, shown, f"unknown key; {advice}", nearest)


def _unknown_variables(environ: Mapping[str, str]) -> Iterator[ConfigProblem]:
    """The problems with variables that were meant for us.

    Those are of a section of ours, or only a letter or two are wrong: others belong to Qt itself.
    """
    keys = all_keys()
    known = sorted({name for key in keys for name in (*key.variables, *key.file_variables)})
    ours = tuple({f"QT_{key.section.upper()}_" for key in keys})
    for name, value in environ.items():
        if name in known or not name.startswith("QT_"):
            continue
        if _SERVICE_LINK.fullmatch(f"{name}={value}"):
            continue
        nearest = nearest_of(name, known)
        if not name.startswith(ours):
            by_rest = {each.removeprefix("QT_"): each for each in known}
            like = nearest_of(name.removeprefix("QT_"), by_rest, at_least=0.85)
            if not like:
                continue
            nearest = by_rest[like]
        advice = f"; did you mean {nearest}?" if nearest else ""
        yield ConfigProblem(ConfigPlace(name), "", f"unknown variable{advice}", nearest)
