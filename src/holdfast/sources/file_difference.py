"""Says in one line how a file differs from what it was.

A flag file (flagd's JSON) is told flag by flag, any other JSON or YAML by the names of its keys,
everything else by the number of lines. Values are told for flags alone: elsewhere one may be a
secret.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Any

import yaml

from holdfast.runbooks.strict_yaml import StrictLoader

NAMED_MAX = 6
_TOLD = ("state", "defaultVariant")
_ABSENT = object()


def can_be_read(name: str, content: bytes) -> bool:
    """Say whether a file is what its name says; one that is being written is not, for a moment."""
    return not _is_data(name) or _data(name, content) is not _ABSENT


def difference(name: str, before: bytes, after: bytes) -> str | None:
    """Tell what changed; None where only the layout or a comment did."""
    if _is_data(name):
        old, new = _data(name, before), _data(name, after)
        if new is _ABSENT:
            return f"{_lines(before, after)}; it can't be read as {_suffix(name)} now"
        if old is not _ABSENT:
            return None if old == new else _of_data(old, new)
    return _lines(before, after)


def _suffix(name: str) -> str:
    return PurePath(name).suffix.lower().removeprefix(".")


def _is_data(name: str) -> bool:
    return _suffix(name) in {"json", "yaml", "yml"}


def _data(name: str, content: bytes) -> object:
    try:
        text = content.decode()
        if _suffix(name) == "json":
            return json.loads(text)
        loader = StrictLoader(text)
        try:
            return loader.get_single_data()
        finally:
            loader.dispose()
    except (ValueError, RecursionError, yaml.YAMLError):
        return _ABSENT


def _of_data(old: object, new: object) -> str:
    flags_before, flags_after = _flags(old), _flags(new)
    if flags_before is not None and flags_after is not None and flags_before != flags_after:
        return _cut(list(_of_flags(flags_before, flags_after)), "; ", "flags")
    keys_before, keys_after = dict(_leaves(old, "")), dict(_leaves(new, ""))
    both = [key for key in keys_after if key in keys_before]
    kinds = (
        ("changed", [key for key in both if keys_before[key] != keys_after[key]]),
        ("added", [key for key in keys_after if key not in keys_before]),
        ("removed", [key for key in keys_before if key not in keys_after]),
    )
    told = [f"{word} {_cut(keys, ', ', 'keys')}" for word, keys in kinds if keys]
    return "; ".join(told) or "changed"


def _flags(data: object) -> Mapping[str, Mapping[str, Any]] | None:
    flags = data.get("flags") if isinstance(data, Mapping) else None
    if not isinstance(flags, Mapping):
        return None
    return flags if all(isinstance(flag, Mapping) for flag in flags.values()) else None


def _of_flags(
    before: Mapping[str, Mapping[str, Any]], after: Mapping[str, Mapping[str, Any]]
) -> Iterator[str]:
    for name in dict.fromkeys((*before, *after)):
        if name not in before:
            yield f"flag {name} added ({_standing(after[name])})"
        elif name not in after:
            yield f"flag {name} removed"
        elif before[name] != after[name]:
            yield f"flag {name}: {', '.join(_of_flag(before[name], after[name]))}"


def _standing(flag: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {flag[key]}" for key in _TOLD if key in flag) or "empty"


def _of_flag(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    for key in _TOLD:
        if before.get(key) != after.get(key):
            yield f"{key} {before.get(key)} -> {after.get(key)}"
    for key in dict.fromkeys((*before, *after)):
        if key in _TOLD or before.get(key) == after.get(key):
            continue
        yield f"{key} {_word(before.get(key), after.get(key))}"


def _word(before: object, after: object) -> str:
    if not before:
        return "added"
    return "changed" if after else "removed"


def _leaves(data: object, path: str) -> Iterator[tuple[str, object]]:
    """List the dotted names of all values; a list is one value."""
    if isinstance(data, Mapping) and data:
        for key, value in data.items():
            yield from _leaves(value, f"{path}.{key}" if path else str(key))
    else:
        yield path or "the whole", data


def _cut(told: Sequence[str], between: str, noun: str) -> str:
    text = between.join(told[:NAMED_MAX])
    more = len(told) - NAMED_MAX
    return f"{text}{between}and {more} more {noun}" if more > 0 else text


def _lines(before: bytes, after: bytes) -> str:
    """Count the lines that only one of them has, in whatever order: an alignment takes minutes."""
    old, new = Counter(before.splitlines()), Counter(after.splitlines())
    count = max((old - new).total(), (new - old).total())
    if count == 0:
        return "the order of its lines changed" if before.split() != after.split() else "changed"
    return f"{count} line{'' if count == 1 else 's'} changed"
