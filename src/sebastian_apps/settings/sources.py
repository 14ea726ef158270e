"""Where values are written: a YAML file, variables, and the files that some variables name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import field, frozen

from sebastian_apps.settings.keys import Key
from sebastian_apps.settings.nearest import plain_name
from sebastian_apps.settings.problems import ConfigPlace, ConfigProblem, SettingsError
from sebastian_apps.settings.values import Raw

if TYPE_CHECKING:
    from yaml import MappingNode, Node, YAMLError

_SECRET_FILE_BYTES = 65536
_PLAIN_TAGS = frozenset(
    f"tag:yaml.org,2002:{name}"
    for name in ("str", "int", "float", "bool", "null", "timestamp", "map", "seq", "merge", "value")
)
#: PyYAML's words (which may repeat what was written) and ours (which never do).
_YAML_SAYS = (
    ("unexpected end of stream", "a quote is opened here and never closed"),
    ("'\\t'", "a tab cannot indent; use spaces"),
    ("cannot start any token", "a value cannot begin with this character; put it in quotes"),
    ("could not find expected ':'", "expected `key: value`; is the space after a colon missing?"),
    (
        "mapping values are not allowed",
        "a colon cannot stand here; check the indentation and the space after each colon, or quote",
    ),
    ("undefined alias", "a value cannot begin with *; put it in quotes"),
    ("expected <block end>", "the indentation does not fit the lines above"),
    ("expected a single document", "a second document begins here; one is enough"),
    ("unknown escape character", "a backslash in double quotes; use single quotes"),
    ("found unknown escape", "a backslash in double quotes; use single quotes"),
)
#: What is told where it begins, not where PyYAML noticed it.
_BEGINNING_MATTERS = ("unexpected end of stream", "could not find expected ':'")


def read_variable(key: Key, environ: Mapping[str, str]) -> Raw | None:
    """What the environment says of a key: in a variable, or in the file that one names.

    An empty variable counts as not set. Raises SettingsError where nothing can be read of it.
    """
    names = [name for name in (*key.variables, *key.file_variables) if environ.get(name)]
    if not names:
        return None
    name, *others = names
    raw = Raw(environ[name], ConfigPlace(name))
    if others:
        raise raw.wrong(key.path, f"set together with {others[0]}; keep one of them")
    if name not in key.file_variables:
        return raw
    try:
        with Path(raw.text).open("rb") as file:
            content = file.read(_SECRET_FILE_BYTES + 1)
        text = content.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError:
        raise raw.wrong(key.path, "the file that it names is not UTF-8 text") from None
    except (OSError, ValueError) as error:
        reason = (getattr(error, "strerror", None) or "not a path").lower()
        raise raw.wrong(key.path, f"the file that it names: {reason}") from None
    if not text.strip() or len(content) > _SECRET_FILE_BYTES:
        raise raw.wrong(key.path, "the file that it names is empty or has more than 64 KiB")
    return Raw(text, raw.place)


@frozen(eq=False)
class YamlFile:
    """A YAML file as its lines and columns say it; `problems` are those with its form."""

    path: Path
    problems: list[ConfigProblem] = field(factory=list)
    _known: dict[int, Raw | None] = field(factory=dict)

    def read(self) -> dict[Raw, Raw]:
        """The names at the top with what stands below each; raises SettingsError."""
        import yaml

        text = self._text()
        try:
            root = yaml.compose(text, Loader=yaml.SafeLoader)
            raw = self._raw(root, "") if root else None
        except yaml.reader.ReaderError as error:
            before = text[: error.position]
            place = self._place(before.count("\n") + 1, error.position - before.rfind("\n"))
            raise _unusable(place, "a control character; it cannot stand in YAML") from None
        except yaml.YAMLError as error:
            raise self._not_yaml(error) from None
        except RecursionError:
            message = "is not YAML: lists or braces stand in each other far too deep"
            raise _unusable(self._place(), message) from None
        if raw is None or raw.content is None:
            return {}
        if not isinstance(raw.content, dict):
            message = "expected keys and values like `listen:`, found something else"
            raise SettingsError([*self.problems, ConfigProblem(raw.place, "", message)])
        return raw.content

    def _text(self) -> str:
        try:
            return self.path.read_bytes().decode("utf-8-sig")
        except UnicodeDecodeError as error:
            place = self._place(error.object[: error.start].count(b"\n") + 1)
            message = "is not UTF-8 text"
        except FileNotFoundError:
            place = self._place()
            message = "file not found; write one (sebastian config init), or name another with -c"
        except IsADirectoryError:
            place, message = self._place(), "is a directory; name the file in it"
        except OSError as error:
            reason = (error.strerror or "unknown reason").lower()
            place, message = self._place(), f"cannot be read: {reason}"
        raise _unusable(place, message)

    def _not_yaml(self, error: YAMLError) -> SettingsError:
        said = f"{getattr(error, 'context', '') or ''} {getattr(error, 'problem', '') or ''}"
        mark = getattr(error, "problem_mark", None)
        if any(words in said for words in _BEGINNING_MATTERS):
            mark = getattr(error, "context_mark", None) or mark
        place = self._place(mark.line + 1, mark.column + 1) if mark else self._place()
        ours = (reason for words, reason in _YAML_SAYS if words in said)
        return _unusable(place, f"is not YAML: {next(ours, 'cannot be understood from here on')}")

    def _place(self, line: int | None = None, column: int | None = None) -> ConfigPlace:
        return ConfigPlace(str(self.path), line, column)

    def _raw(self, node: Node, path: str) -> Raw:
        """What a node says; nothing, with a problem, where that is no plain value.

        An anchor that is used often is read once: None stands for one that is being read.
        """
        if id(node) not in self._known:
            self._known[id(node)] = None
            self._known[id(node)] = self._plain(node, path)
        known = self._known[id(node)]
        return known or self._strange(node, path, "an anchor that contains itself")

    def _plain(self, node: Node, path: str) -> Raw:
        from yaml import MappingNode, SequenceNode

        mark = node.start_mark
        place = self._place(mark.line + 1, mark.column + 1)
        if node.tag not in _PLAIN_TAGS:
            return self._strange(node, path, "a YAML tag (text that begins with ! needs quotes)")
        if isinstance(node, MappingNode):
            return Raw(self._pairs(node, path), place)
        if isinstance(node, SequenceNode):
            return Raw([self._raw(item, path) for item in node.value], place)
        if not node.value and (mark.buffer or "")[mark.pointer : mark.pointer + 1] == "&":
            return self._strange(node, path, "an anchor (text that begins with & needs quotes)")
        is_nothing = node.tag.endswith(":null") or not node.value
        return Raw(None if is_nothing else node.value, place)

    def _pairs(self, mapping: MappingNode, path: str) -> dict[Raw, Raw]:
        from yaml import ScalarNode

        pairs: dict[Raw, Raw] = {}
        lines: dict[str, int] = {}
        for node, value in mapping.value:
            if not isinstance(node, ScalarNode):
                self._strange(node, path, "a key that is not a word")
                continue
            line = node.start_mark.line + 1
            name = Raw(node.value, self._place(line, node.start_mark.column + 1))
            full = f"{path}.{plain_name(node.value)}" if path else plain_name(node.value)
            if node.value in lines:
                message = f"given twice; the first one is in line {lines[node.value]}"
                self.problems.append(ConfigProblem(name.place, full, message))
                continue
            lines[node.value] = line
            pairs[name] = self._raw(value, full)
        return pairs

    def _strange(self, node: Node, path: str, found: str) -> Raw:
        place = self._place(node.start_mark.line + 1, node.start_mark.column + 1)
        self.problems.append(ConfigProblem(place, path, f"expected a plain value, found {found}"))
        return Raw(None, place)


def _unusable(place: ConfigPlace, message: str) -> SettingsError:
    return SettingsError([ConfigProblem(place, "", message)])
