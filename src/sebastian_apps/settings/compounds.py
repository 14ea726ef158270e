"""The kinds of value that have parts: the tokens of the webhook and of people, and capacities."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import ClassVar

from attrs import frozen

from sebastian_apps.settings.given import Entries, Given, Items, Scalar, shape_of
from sebastian_apps.settings.kinds import Flaw, Kind, Mismatch, Schema, quoted
from sebastian_apps.settings.scalars import Whole
from sebastian_apps.settings.secret import Secret
from sebastian_core.domain.ids import AgentId

_HIDDEN = "found something else (not shown: it is a secret)"


class Tokens(Kind[tuple[Secret, ...]]):
    """One token or several, each fit to stand in a URL's path; a comma or a space parts them."""

    secret: ClassVar[bool] = True
    _token: ClassVar[str] = r"[A-Za-z0-9._~-]*[A-Za-z0-9][A-Za-z0-9._~-]*"

    @property
    def expected(self) -> str:
        """The characters that need no escape in a path."""
        return "a token of letters, digits, '-', '_', '.' and '~', or a list of them"

    def read(self, given: Given) -> tuple[Secret, ...]:
        """The tokens, each once, in the order given."""
        if isinstance(given, Scalar):
            words = [Scalar(word, given.place) for word in re.split(r"[,\s]+", given.text) if word]
            return self._tokens(words or [given])
        if isinstance(given, Items):
            return self._tokens(given.values)
        raise Mismatch(Flaw(given.place, f"expected {self.expected}, found {shape_of(given)}"))

    def _tokens(self, words: list[Scalar] | tuple[Given, ...]) -> tuple[Secret, ...]:
        message = f"expected {self.expected}, {_HIDDEN}"
        wrong = [word.place for word in words if not self._is_token(word)]
        if wrong:
            raise Mismatch(*(Flaw(place, message) for place in wrong))
        return tuple(dict.fromkeys(Secret(w.text) for w in words if isinstance(w, Scalar)))

    def _is_token(self, word: Given) -> bool:
        return isinstance(word, Scalar) and re.fullmatch(self._token, word.text) is not None

    def show(self, value: tuple[Secret, ...]) -> str:
        """As many stars as tokens."""
        return f"[{', '.join(str(token) for token in value)}]"

    def schema(self) -> Schema:
        """A string or a list of strings."""
        token = {"type": ["string", "number"], "writeOnly": True}
        return {"anyOf": [token, {"type": "array", "items": token}], "writeOnly": True}


class NamedTokens(Kind[Mapping[str, Secret]]):
    """A token for each name; in a variable or its file `sari=TOKEN,budi=TOKEN`."""

    secret: ClassVar[bool] = True
    _name: ClassVar[str] = "[A-Za-z0-9._-]{1,32}"
    _token: ClassVar[str] = "[!-+\\--~]+"

    @property
    def expected(self) -> str:
        """The shape and the characters."""
        return "names with a token each (without spaces and commas)"

    def read(self, given: Given) -> Mapping[str, Secret]:
        """The tokens by name; raises Mismatch with every entry that does not fit."""
        if isinstance(given, Scalar):
            return self._from_pairs(self._pairs_in(given))
        if isinstance(given, Entries):
            return self._from_pairs(given.pairs)
        raise Mismatch(Flaw(given.place, f"expected {self.expected}, found {shape_of(given)}"))

    def _pairs_in(self, given: Scalar) -> list[tuple[Scalar, Given]]:
        words = [word.partition("=") for word in re.split(r"[,\s]+", given.text) if word]
        if not all(token for _, _, token in words):
            message = f"expected {self.expected} like sari=TOKEN,budi=TOKEN, {_HIDDEN}"
            raise Mismatch(Flaw(given.place, message))
        return [(Scalar(a, given.place), Scalar(b, given.place)) for a, _, b in words]

    def _from_pairs(self, pairs: Iterable[tuple[Scalar, Given]]) -> Mapping[str, Secret]:
        tokens: dict[str, Secret] = {}
        flaws: list[Flaw] = []
        for name, given in pairs:
            if not re.fullmatch(self._name, name.text):
                message = "expected a name of at most 32 letters, digits, '-', '_' and '.'"
                flaws.append(Flaw(name.place, f"{message}, {_HIDDEN}"))
            elif name.text in tokens:
                flaws.append(Flaw(name.place, "given twice; a name has one token"))
            elif not isinstance(given, Scalar) or not re.fullmatch(self._token, given.text):
                message = f"expected a token without spaces and commas, {_HIDDEN}"
                flaws.append(Flaw(given.place, message))
            else:
                tokens[name.text] = Secret(given.text)
        if flaws:
            raise Mismatch(*flaws)
        return tokens

    def show(self, value: Mapping[str, Secret]) -> str:
        """As YAML writes it on one line, with stars for the tokens."""
        return "{" + ", ".join(f"{name}: {token}" for name, token in value.items()) + "}"

    def schema(self) -> Schema:
        """An object from names to strings."""
        token: Schema = {"type": ["string", "number"], "writeOnly": True}
        names: Schema = {f"^{self._name}$": token}
        return {"type": "object", "patternProperties": names, "additionalProperties": False}


@frozen(eq=False, repr=False)
class Capacities(Kind[Mapping[AgentId, int]]):
    """How many customers at once, by agent id; in a variable `12=3,15=5`."""

    capacity: Whole

    @property
    def expected(self) -> str:
        """The shape and the range."""
        return f"agent ids with a capacity each ({self.capacity.expected})"

    def read(self, given: Given) -> Mapping[AgentId, int]:
        """The capacities; raises Mismatch with every entry that does not fit."""
        if isinstance(given, Scalar):
            return self._from_text(given)
        if isinstance(given, Entries):
            return self._from_pairs(given.pairs)
        raise Mismatch(Flaw(given.place, f"expected {self.expected}, found {shape_of(given)}"))

    def _from_text(self, given: Scalar) -> Mapping[AgentId, int]:
        words = [word.strip() for word in given.text.split(",") if word.strip()]
        pairs = [re.split(r"\s*[=:]\s*", word, maxsplit=1) for word in words]
        if not all(len(pair) == 2 for pair in pairs):
            message = f"expected {self.expected} like 12=3,15=5, found {quoted(given.text)}"
            raise Mismatch(Flaw(given.place, message))
        return self._from_pairs(
            [(Scalar(a, given.place), Scalar(b, given.place)) for a, b in pairs]
        )

    def _from_pairs(
        self, pairs: list[tuple[Scalar, Scalar]] | tuple[tuple[Scalar, Given], ...]
    ) -> Mapping[AgentId, int]:
        capacities: dict[AgentId, int] = {}
        flaws: list[Flaw] = []
        for name, given in pairs:
            try:
                agent = self._agent(name)
                capacities[agent] = self._capacity(name, given)
            except Mismatch as mismatch:
                flaws.extend(mismatch.flaws)
        if flaws:
            raise Mismatch(*flaws)
        return capacities

    def _agent(self, name: Scalar) -> AgentId:
        if not re.fullmatch(r"[1-9][0-9]{0,17}", name.text):
            message = f"expected an agent's id (a whole number), found {quoted(name.text)}"
            raise Mismatch(Flaw(name.place, message))
        return AgentId(int(name.text))

    def _capacity(self, name: Scalar, given: Given) -> int:
        try:
            return self.capacity.read(given)
        except Mismatch as mismatch:
            flaws = (Flaw(flaw.place, flaw.message, name.text) for flaw in mismatch.flaws)
            raise Mismatch(*flaws) from None

    def show(self, value: Mapping[AgentId, int]) -> str:
        """As YAML writes it on one line."""
        return "{" + ", ".join(f"{agent}: {capacity}" for agent, capacity in value.items()) + "}"

    def holds(self, value: Mapping[AgentId, int]) -> bool:
        """Whether every capacity is in range."""
        return all(self.capacity.holds(capacity) for capacity in value.values())

    def schema(self) -> Schema:
        """An object from ids to integers."""
        numbers: Schema = {"^[1-9][0-9]*$": self.capacity.schema()}
        return {"type": "object", "patternProperties": numbers, "additionalProperties": False}
