"""Fills in a step's variables, strictly: an unknown one is an error and a value is a plain name.

A value lands in criteria, preconditions and targets; plain names can't change what those mean.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from holdfast.kernel import BadInputError
from holdfast.runbooks.errors import nearest
from holdfast.runbooks.model import RunbookStep

_PLACE = re.compile(r"\$\{([^{}]*)\}|\$\{")
_PLAIN = re.compile(r"[A-Za-z0-9._@-]+", re.ASCII)


def render(step: RunbookStep, variables: Mapping[str, str | None]) -> RunbookStep:
    """Replace `${entity}`, `${region}`, `${instance}` and `${incident}` everywhere in a step.

    Raises BadInputError for a variable that is unknown, has no value, or is no plain name.
    """

    def fill(text: str) -> str:
        return render_text(text, variables, what=f"step {step.title!r}")

    return replace(
        step,
        target=fill(step.target),
        params={key: _fill_value(value, fill) for key, value in step.params.items()},
        when=tuple(fill(text) for text in step.when),
        expect=tuple(fill(text) for text in step.expect),
        undo=fill(step.undo) if step.undo is not None else None,
    )


def render_text(text: str, variables: Mapping[str, str | None], *, what: str) -> str:
    """Fill in one text; see `render`."""
    return _PLACE.sub(lambda found: _value(found, variables, what), text)


def texts_of(step: RunbookStep) -> Iterator[str]:
    """List every text of a step in which variables are filled in."""
    yield from (step.target, *step.when, *step.expect)
    yield from filter(None, [step.undo])
    yield from _texts_in(step.params)


def variables_in(text: str) -> tuple[str, ...]:
    """List the names in `${...}`; one that is never closed has the name ``."""
    return tuple(found[1] or "" for found in _PLACE.finditer(text))


def _value(found: re.Match[str], variables: Mapping[str, str | None], what: str) -> str:
    name = found[1]
    if name is None:
        raise BadInputError(f"{what}: `${{` is never closed; write ${{entity}}")
    if name not in variables:
        raise BadInputError(f"{what}: unknown variable ${{{name}}}; {nearest(name, variables)}")
    value = variables[name]
    if value is None:
        raise BadInputError(
            f"{what}: ${{{name}}} has no value in this incident; "
            "use ${entity}, or hold until the region is known"
        )
    if not _PLAIN.fullmatch(value):
        raise BadInputError(
            f"{what}: ${{{name}}} is {value!r}, no plain name; "
            "use letters, digits, dots, dashes, underscores and @"
        )
    return value


def _fill_value(value: object, fill: Callable[[str], str]) -> object:
    if isinstance(value, str):
        return fill(value)
    if isinstance(value, list):
        return [_fill_value(item, fill) for item in value]
    if isinstance(value, dict):
        return {key: _fill_value(item, fill) for key, item in value.items()}
    return value


def _texts_in(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts_in(item)
