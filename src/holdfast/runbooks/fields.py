"""Reads the keys of a front matter or a step, one strict reader for each kind of value.

An unknown key is an error, never ignored: `expct` misspelt would be a step without a criterion.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

from holdfast.kernel.canonical import canonical_json
from holdfast.runbooks.durations import parse_duration
from holdfast.runbooks.errors import RunbookError, nearest

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fields:
    """The keys of one block, with where it stands, so that an error can say so."""

    values: Mapping[str, Any]
    path: str
    line: int
    what: str
    lines: Mapping[str, int]

    def only(self, known: Sequence[str]) -> None:
        """Refuse a key that nobody knows."""
        for key in self.values:
            if key not in known:
                self.fail(key, f"unknown key {key!r}; {nearest(key, known)}")

    def fail(self, key: str, text: str) -> NoReturn:
        raise RunbookError(self.path, self.lines.get(key, self.line), f"{self.what}: {text}")

    def word(self, key: str, *, required: bool = False) -> str | None:
        """Read a text of one line; None where the key is absent."""
        value = self.values.get(key)
        if value is None and not required:
            return None
        if not isinstance(value, str) or not value.strip() or "\n" in value.strip():
            found = "is missing" if value is None else f"is {value!r}"
            self.fail(key, f"`{key}` {found}; write a text of one line")
        return value.strip()

    def choice(self, key: str, choices: Sequence[str]) -> str | None:
        value = self.word(key)
        if value is not None and value not in choices:
            self.fail(key, f"`{key}` is {value!r}; choose one of {', '.join(choices)}")
        return value

    def words(self, key: str) -> tuple[str, ...]:
        """Read a list of texts; a single text is a list of one."""
        value = self.values.get(key)
        items = [] if value is None else value if isinstance(value, list) else [value]
        for item in items:
            if not isinstance(item, str) or not item.strip():
                self.fail(key, f"`{key}` holds {item!r}; write texts, in quotes where in doubt")
        return tuple(item.strip() for item in items)

    def word_map(self, key: str) -> dict[str, str]:
        """Read a mapping from text to text."""
        value = self.mapping(key)
        for name, item in value.items():
            if not isinstance(item, str) or not item.strip():
                self.fail(key, f"`{key}.{name}` is {item!r}; write a text")
        return value

    def mapping(self, key: str) -> dict[str, Any]:
        """Read a mapping of plain JSON values."""
        value = self.values.get(key)
        if value is None:
            return {}
        if not isinstance(value, dict):
            self.fail(key, f"`{key}` is {value!r}; write `name: value` lines")
        self._checked(key, value, canonical_json)
        return value

    def count(self, key: str, *, default: int, most: int) -> int:
        value = self.values.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
            self.fail(key, f"`{key}` is {value!r}; write a whole number from 0 to {most}")
        return value

    def seconds(self, key: str, *, default: float, most_s: float, least_s: float = 0.0) -> float:
        value = self._checked(key, self.values.get(key, default), parse_duration)
        if not least_s <= value <= most_s:
            self.fail(key, f"`{key}` is {value:g} s; write {least_s:g} to {most_s:g} seconds")
        return value

    def _checked(self, key: str, value: object, read: Callable[[object], T]) -> T:
        try:
            return read(value)
        except (TypeError, ValueError) as error:
            self.fail(key, f"`{key}`: {error}")


def key_lines(text: str, first_line: int) -> dict[str, int]:
    """Say at which line of the file each key at the left margin stands."""
    lines: dict[str, int] = {}
    for number, row in enumerate(text.splitlines()):
        key = row.partition(":")[0].strip("\"' ")
        if row[:1].strip() and key:
            lines.setdefault(key, first_line + number)
    return lines
