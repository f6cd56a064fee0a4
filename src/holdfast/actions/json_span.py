"""Finds where a value stands in a JSON text, so that it can be exchanged and nothing else touched.

A file that people edit keeps its order, its indentation and what we don't know of. Duplicate keys
are refused: readers disagree about which of them counts.
"""

import json

_SPACE = " \t\n\r"
_decoder = json.JSONDecoder()


def span(text: str, path: tuple[str, ...]) -> tuple[int, int]:
    """Give start and end of the value at `path`. Raises KeyError for an absent name, ValueError."""
    start = _skip(text, 0)
    _, end = _decoder.raw_decode(text, start)
    if _skip(text, end) != len(text):
        raise ValueError("there is something after the end of the document")
    for name in path:
        start, end = _member(text, start, name)
    return start, end


def exchanged(text: str, path: tuple[str, ...], value: object) -> str:
    """Give the text with another value at `path`."""
    start, end = span(text, path)
    return text[:start] + json.dumps(value) + text[end:]


def _member(text: str, start: int, name: str) -> tuple[int, int]:
    """Walk one object's members. The text was read as JSON before, so its syntax is right."""
    if text[start] != "{":
        raise KeyError(name)
    found: list[tuple[int, int]] = []
    at = _skip(text, start + 1)
    while text[at] != "}":
        key, at = _decoder.raw_decode(text, at)
        value_at = _skip(text, _skip(text, at) + 1)  # past the colon
        _, end = _decoder.raw_decode(text, value_at)
        if key == name:
            found.append((value_at, end))
        at = _skip(text, end)
        if text[at] == ",":
            at = _skip(text, at + 1)
    if not found:
        raise KeyError(name)
    if len(found) > 1:
        raise ValueError(f"{name!r} is there {len(found)} times")
    return found[0]


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in _SPACE:
        at += 1
    return at
