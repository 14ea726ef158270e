"""A YAML file, read with the line and column of everything in it."""

from __future__ import annotations

from pathlib import Path

import yaml
from attrs import field, frozen
from yaml import MappingNode, Node, ScalarNode, SequenceNode, YAMLError
from yaml.error import Mark

from sebastian_apps.settings.given import Entries, Given, Items, Nothing, Scalar
from sebastian_apps.settings.nearest import plain_name
from sebastian_apps.settings.problems import Place, Problem, SettingsError

_PLAIN_TAGS = frozenset(
    f"tag:yaml.org,2002:{name}"
    for name in ("str", "int", "float", "bool", "null", "timestamp", "map", "seq", "merge", "value")
)

_REASONS = (
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
"""PyYAML's words (which may repeat what was written) and ours (which never do)."""

_BEGINNING_MATTERS = ("unexpected end of stream", "could not find expected ':'")


_TOO_DEEP = "is not YAML: lists or braces stand in each other far too deep"


@frozen(eq=False, repr=False)
class Document:
    """What a file holds, and what is wrong with its form although it can be read."""

    entries: Entries
    problems: tuple[Problem, ...] = ()


def read_document(path: Path) -> Document:
    """Read a YAML file into plain shapes; raises SettingsError if it cannot be read at all."""
    text = _text_of(path)
    root = _compose(text, str(path))
    if root is None:
        return Document(Entries((), Place(str(path))))
    reader = _Reader(str(path))
    given = reader.read(root, "")
    if isinstance(given, Nothing):
        given = Entries((), given.place)
    if not isinstance(given, Entries):
        message = "expected keys and values like `listen:`, found something else"
        raise SettingsError([*reader.problems, Problem(given.place, "", message)])
    return Document(given, tuple(reader.problems))


def _text_of(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise _unusable(Place(str(path), line), "is not UTF-8 text") from None
    except FileNotFoundError:
        advice = "write one (sebastian config init), or name another with -c"
        raise _unusable(Place(str(path)), f"file not found; {advice}") from None
    except IsADirectoryError:
        raise _unusable(Place(str(path)), "is a directory; name the file in it") from None
    except OSError as error:
        reason = (error.strerror or "unknown reason").lower()
        raise _unusable(Place(str(path)), f"cannot be read: {reason}") from None


def _unusable(place: Place, message: str) -> SettingsError:
    return SettingsError([Problem(place, "", message)])


def _compose(text: str, source: str) -> Node | None:
    try:
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        column = error.position - before.rfind("\n")
        place = Place(source, before.count("\n") + 1, column)
        raise _unusable(place, "a control character; it cannot stand in YAML") from None
    except YAMLError as error:
        raise _unusable(_place_of_error(error, source), _reason(error)) from None
    except RecursionError:
        raise _unusable(Place(source), _TOO_DEEP) from None


def _place_of_error(error: YAMLError, source: str) -> Place:
    mark: Mark | None = getattr(error, "problem_mark", None)
    if any(words in _complaint(error) for words in _BEGINNING_MATTERS):
        mark = getattr(error, "context_mark", None) or mark
    return Place(source, mark.line + 1, mark.column + 1) if mark else Place(source)


def _reason(error: YAMLError) -> str:
    complaint = _complaint(error)
    ours = (reason for words, reason in _REASONS if words in complaint)
    return f"is not YAML: {next(ours, 'cannot be understood from here on')}"


def _complaint(error: YAMLError) -> str:
    return f"{getattr(error, 'context', '') or ''} {getattr(error, 'problem', '') or ''}"


@frozen(eq=False, repr=False)
class _Reader:
    """Turns YAML's nodes into plain shapes; an anchor that is used often is read once."""

    source: str
    problems: list[Problem] = field(factory=list)
    _known: dict[int, Given] = field(factory=dict)
    _open: set[int] = field(factory=set)

    def read(self, node: Node, path: str) -> Given:
        """The shape of a node; whatever has no plain shape becomes nothing, with a problem."""
        if id(node) in self._known:
            return self._known[id(node)]
        if id(node) in self._open:
            return self._strange(node, path, "an anchor that contains itself")
        self._open.add(id(node))
        given = self._shape(node, path)
        self._open.discard(id(node))
        self._known[id(node)] = given
        return given

    def _shape(self, node: Node, path: str) -> Given:
        if node.tag not in _PLAIN_TAGS:
            return self._strange(node, path, "a YAML tag (text that begins with ! needs quotes)")
        place = self._place(node)
        if isinstance(node, MappingNode):
            return Entries(tuple(self._pairs(node, path)), place)
        if isinstance(node, SequenceNode):
            return Items(tuple(self.read(item, path) for item in node.value), place)
        return self._scalar(node, path)

    def _scalar(self, node: Node, path: str) -> Scalar | Nothing:
        if self._is_bare_anchor(node):
            return self._strange(node, path, "an anchor (text that begins with & needs quotes)")
        if node.tag.endswith(":null") or not node.value:
            return Nothing(self._place(node))
        return Scalar(node.value, self._place(node))

    def _is_bare_anchor(self, node: Node) -> bool:
        mark = node.start_mark
        return not node.value and (mark.buffer or "")[mark.pointer : mark.pointer + 1] == "&"

    def _pairs(self, node: Node, path: str) -> list[tuple[Scalar, Given]]:
        first: dict[str, int] = {}
        pairs: list[tuple[Scalar, Given]] = []
        for name_node, value_node in node.value:
            name = self._name(name_node, path)
            if name is None:
                continue
            full = f"{path}.{plain_name(name.text)}" if path else plain_name(name.text)
            if name.text in first:
                message = f"given twice; the first one is in line {first[name.text]}"
                self.problems.append(Problem(name.place, full, message))
                continue
            first[name.text] = name.place.line or 0
            pairs.append((name, self.read(value_node, full)))
        return pairs

    def _name(self, node: Node, path: str) -> Scalar | None:
        if not isinstance(node, ScalarNode):
            self._strange(node, path, "a key that is not a word")
            return None
        return Scalar(node.value, self._place(node))

    def _strange(self, node: Node, path: str, found: str) -> Nothing:
        place = self._place(node)
        self.problems.append(Problem(place, path, f"expected a plain value, found {found}"))
        return Nothing(place)

    def _place(self, node: Node) -> Place:
        return Place(self.source, node.start_mark.line + 1, node.start_mark.column + 1)
