"""Turns what the validator found into fact, value and next step.

The value is shown as it was written, so that what ${NAME} stands for never appears, and not
at all where a secret would stand.
"""

import difflib
import types
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from holdfast.app.yaml_file import YamlFile
from holdfast.kernel.errors import BadInputError
from holdfast.kernel.redact import redact

_SHOWN_MAX = 60
_SECRET = frozenset({"dsn", "url", "webhook", "token", "password", "headers", "env"})
_WRITE: Mapping[str, str] = {
    "int_type": "write a whole number",
    "int_from_float": "write a whole number",
    "float_type": "write a number",
    "finite_number": "write a finite number",
    "string_type": "write text, in quotes where YAML would read a number",
    "bool_type": "write true or false",
    "list_type": "write a list: [a, b]",
    "dict_type": "write `key: value` lines below it",
    "model_type": "write `key: value` lines below it",
    "model_attributes_type": "write `key: value` lines below it",
}
_BOUNDS = {
    "greater_than": ("more than", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("less than", "lt"),
    "less_than_equal": ("at most", "le"),
}
_PATTERNS = {
    "listen": "write HOST:PORT, such as 127.0.0.1:8321",
    "name": "write letters, digits, dots, dashes, at most 63 of them",
    "table": "write a table's name in lower case",
}


def nearest(word: str, known: Iterable[str]) -> str:
    """Suggest what may have been meant, or list all that is known."""
    names = sorted(map(str, known))
    close = difflib.get_close_matches(word, names, n=1)
    return f"did you mean {close[0]!r}?" if close else f"known are {', '.join(names) or 'none'}"


def dotted(field: Sequence[int | str]) -> str:
    """Write a field's path: services.0.metrics."""
    return ".".join(map(str, field))


def bad_field(file: YamlFile, field: Sequence[int | str], text: str) -> BadInputError:
    """Make the error for one field: where it stands, what is wrong."""
    name = dotted(field) or "the whole file"
    return BadInputError(f"{file.at(field)}: {name} {text}", field=dotted(field) or None)


def explain(error: ValidationError, model: type[BaseModel], file: YamlFile) -> BadInputError:
    """Explain the first thing that is wrong, and say how many more there are."""
    first = error.errors(include_url=False)[0]
    field = [part for part in first["loc"] if part != "[key]"]
    text = _text(first, field, model, file)
    more = error.error_count() - 1
    return bad_field(file, field, text + (f" (and {more} more)" if more else ""))


def _text(
    found: Mapping[str, Any], field: list[int | str], model: type[BaseModel], file: YamlFile
) -> str:
    kind, context = found["type"], found.get("ctx", {})
    if kind == "extra_forbidden":
        known = _fields_at(model, field[:-1])
        return f"is no setting; {nearest(str(field[-1]), known)}"
    if kind == "missing":
        return "is missing; add it"
    if kind == "value_error":
        return f"can't be used: {context['error']}"
    return f"is {_shown(file.value(field), field)}; {_write(found, field)}"


def _write(found: Mapping[str, Any], field: Sequence[int | str]) -> str:
    kind, context = found["type"], found.get("ctx", {})
    if kind in _BOUNDS:
        words, key = _BOUNDS[kind]
        return f"write {words} {context[key]:g}"
    if kind == "literal_error":
        return f"write {context['expected']}"
    if kind == "string_pattern_mismatch" and str(field[-1]) in _PATTERNS:
        return _PATTERNS[str(field[-1])]
    words = str(found["msg"])
    return _WRITE.get(kind, words[0].lower() + words[1:])


def _shown(value: object, field: Sequence[int | str]) -> str:
    if _SECRET & set(map(str, field)):
        return "not right (its value is not shown: it may hold a password)"
    text = redact(repr(value))
    return text if len(text) <= _SHOWN_MAX else text[: _SHOWN_MAX - 1] + "…"


def _fields_at(model: type[BaseModel], field: Sequence[int | str]) -> list[str]:
    """List the fields that are known at a place: walks the models along the path."""
    here: Any = model
    for part in field:
        if isinstance(here, type) and issubclass(here, BaseModel):
            found = here.model_fields.get(str(part))
            here = _unwrapped(found.annotation) if found else None
        elif get_origin(here) in {dict, list}:
            here = _unwrapped(get_args(here)[-1])
    known = isinstance(here, type) and issubclass(here, BaseModel)
    return [found.alias or name for name, found in here.model_fields.items()] if known else []


def _unwrapped(annotation: Any) -> Any:  # noqa: ANN401 - any type expression
    if get_origin(annotation) in {Union, types.UnionType}:
        return next(each for each in get_args(annotation) if each is not type(None))
    return annotation
