"""A text that must not be seen."""

from __future__ import annotations


class Secret:
    """A text that shows itself as `***` wherever it is printed, logged or formatted.

    Only `reveal()` gives the text. Two secrets with the same text are equal.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself, for the one call that needs it."""
        return self._text

    def hidden_parts(self) -> tuple[str, ...]:
        """Every text that must not appear in a log because of this secret."""
        return (self._text,)

    def __str__(self) -> str:
        return "***"

    def __repr__(self) -> str:
        return f"'{self}'"

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        from hmac import compare_digest

        texts = (each.encode("utf-8", "surrogatepass") for each in (self._text, other._text))
        return compare_digest(*texts)

    def __hash__(self) -> int:
        return hash((Secret, self._text))
