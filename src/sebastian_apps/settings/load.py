"""From a file and the environment to settings, or to everything that is wrong with them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from attrs import Factory, define

from sebastian_apps.settings.checks import ROLES, Need, Role, contradictions, missing
from sebastian_apps.settings.environment import read_environment
from sebastian_apps.settings.given import Entries, Given, Nothing, Scalar, shape_of
from sebastian_apps.settings.kinds import Mismatch
from sebastian_apps.settings.model import Settings, all_keys
from sebastian_apps.settings.nearest import nearest_key, nearest_of, plain_name
from sebastian_apps.settings.options import Key, sections_of
from sebastian_apps.settings.problems import Place, Problem, SettingsError

_GUARDS = frozenset(
    {
        *("webhook.token", "webhook.insecure", "admin.token", "admin.tokens"),
        *("listen.host", "metrics.host", "metrics.port"),
    }
)
"""What decides whether strangers are kept out: unread, nothing can be said of it."""


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
    loading.take_file(path)
    loading.take_environment(environ)
    wanted = {*needs, *(ROLES[role] if role else ())}
    return loading.settings(wanted)


@define
class _Loading:
    """What is known so far."""

    problems: list[Problem] = Factory(list)
    values: dict[str, Any] = Factory(dict)
    places: dict[str, Place] = Factory(dict)
    unread: set[str] = Factory(set)
    file_is_readable: bool = True

    def take_file(self, path: Path | None) -> None:
        """Take what the file says."""
        if path is None:
            return
        from sebastian_apps.settings.yaml_file import read_document

        self.places[""] = Place(str(path))
        try:
            document = read_document(path)
        except SettingsError as error:
            self.problems.extend(error.problems)
            self.file_is_readable = False
            return
        self.problems.extend(document.problems)
        self._take_entries(document.entries)

    def take_environment(self, environ: Mapping[str, str]) -> None:
        """Take what the variables say, over what the file said."""
        environment = read_environment(environ, all_keys())
        self.problems.extend(environment.problems)
        keys = {key.path: key for key in all_keys()}
        for path, given in environment.given.items():
            self._take(keys[path], given)

    def settings(self, needs: Collection[Need]) -> Settings:
        """The settings, if nothing is wrong with them; else raises SettingsError."""
        settings = Settings(places=self.places, **dict(self._sections()))
        self.problems.extend(contradictions(settings, self.unread))
        if self.file_is_readable:
            self.problems.extend(self._missing(settings, needs))
        if self.problems:
            raise SettingsError(self.problems)
        return settings

    def _missing(self, settings: Settings, needs: Collection[Need]) -> Iterator[Problem]:
        clear = [need for need in needs if not ("exposure" in need and self.unread & _GUARDS)]
        return (p for p in missing(settings, clear) if p.key not in self.unread)

    def _sections(self) -> Iterator[tuple[str, Any]]:
        for name, type_ in sections_of(Settings):
            mine = (path for path in self.values if path.startswith(f"{name}."))
            yield name, type_(**{path.partition(".")[2]: self.values[path] for path in mine})

    def _take_entries(self, entries: Entries) -> None:
        sections = [name for name, _ in sections_of(Settings)]
        for name, given in entries.pairs:
            if name.text in sections:
                self._take_section(name, given)
            else:
                self.problems.append(_unknown_at_top(name, sections))

    def _take_section(self, name: Scalar, given: Given) -> None:
        self.places[name.text] = name.place
        if isinstance(given, Nothing):
            return
        if not isinstance(given, Entries):
            message = f"expected keys and values below it, found {shape_of(given)}"
            advice = "; is the space after a colon missing?" if isinstance(given, Scalar) else ""
            self.problems.append(Problem(given.place, name.text, message + advice))
            return
        for key_name, value in given.pairs:
            self._take_named(name.text, key_name, value)

    def _take_named(self, section: str, name: Scalar, given: Given) -> None:
        path = f"{section}.{name.text}"
        key = next((key for key in all_keys() if key.path == path), None)
        if key is None:
            self.problems.append(_unknown_in_section(section, name))
        elif not isinstance(given, Nothing):
            self._take(key, given)

    def _take(self, key: Key, given: Given) -> None:
        try:
            self.values[key.path] = key.option.kind.read(given)
        except Mismatch as mismatch:
            self.unread.add(key.path)
            self.problems.extend(
                Problem(flaw.place, ".".join(filter(None, (key.path, flaw.within))), flaw.message)
                for flaw in mismatch.flaws
            )
        else:
            self.places[key.path] = given.place


def _unknown_in_section(section: str, name: Scalar) -> Problem:
    shown = plain_name(name.text)
    if shown == "?":
        message = "a key that is not a plain word (not shown); is the space after a colon missing?"
        return Problem(name.place, section, message)
    nearest = nearest_key(section, name.text, [key.path for key in all_keys()])
    advice = f"; did you mean {nearest}?" if nearest else _keys_of(section)
    return Problem(name.place, f"{section}.{shown}", f"unknown key{advice}", nearest)


def _keys_of(section: str) -> str:
    names = [key.name for key in all_keys() if key.section == section]
    return f"; {section} has {', '.join(names)}"


def _unknown_at_top(name: Scalar, sections: Collection[str]) -> Problem:
    shown = plain_name(name.text)
    if shown == "?":
        message = "a key that is not a plain word (not shown); is the space after a colon missing?"
        return Problem(name.place, "", message)
    paths = [key.path for key in all_keys()]
    if name.text in paths:
        section, _, leaf = name.text.partition(".")
        return Problem(name.place, shown, f"write {leaf} on a line of its own below {section}:")
    nearest = nearest_of(name.text, sections) or nearest_key("", name.text, paths)
    advice = f"; did you mean {nearest}?" if nearest else f"; there are {', '.join(sections)}"
    return Problem(name.place, shown, f"unknown key{advice}", nearest)
