"""Builds the checks that others wrote, found by the entry point group `holdfast.checks`.

Only those that the configuration names: nothing runs because it is merely installed. An entry
point is a factory `(catalogue, settings) -> Check`, and the check's name is the entry point's.
"""

from collections.abc import Collection, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from holdfast.kernel.catalogue import Catalogue
from holdfast.kernel.errors import BadInputError
from holdfast.kernel.redact import bounded
from holdfast.response.ports import Check

GROUP = "holdfast.checks"


def plugin_checks(
    catalogue: Catalogue, plugins: Mapping[str, Mapping[str, Any]], taken: Collection[str] = ()
) -> tuple[Check, ...]:
    """Build each named check. Raises BadInputError for one that is not there or is no check.

    `taken` are the names of Holdfast's own checks: runbooks rely on what those mean.
    """
    for name in plugins:
        if name in taken:
            raise _bad(name, "has the name of a built-in check; give it another name")
    return tuple(_built(name, catalogue, settings) for name, settings in plugins.items())


def _built(name: str, catalogue: Catalogue, settings: Mapping[str, Any]) -> Check:
    factory = _loaded(name, _entry_point(name))
    try:
        check = factory(catalogue, settings)
    except BadInputError as error:
        raise _bad(name, error.message, error.field) from error
    except Exception as error:
        text = bounded(f"{type(error).__name__}: {error}", limit=300)
        raise _bad(name, f"can't be built: {text}; mend its settings or the plug-in") from error
    if getattr(check, "name", None) != name or not callable(getattr(check, "run", None)):
        raise _bad(
            name, f"makes {type(check).__name__}, which is no check with `name` {name!r} and `run`"
        )
    return check  # type: ignore[no-any-return]  # what is asked of a Check is looked at above


def _entry_point(name: str) -> EntryPoint:
    found = entry_points(group=GROUP)
    for each in found:
        if each.name == name:
            return each
    known = ", ".join(sorted(each.name for each in found)) or "none"
    raise _bad(
        name, f"is not installed; installed are: {known}; install the package that brings it"
    )


def _loaded(name: str, point: EntryPoint) -> Any:  # noqa: ANN401 - whatever the package has there
    try:
        factory = point.load()
    except Exception as error:
        text = bounded(f"{type(error).__name__}: {error}", limit=300)
        raise _bad(name, f"can't be loaded from {point.value}: {text}") from error
    if not callable(factory):
        raise _bad(name, f"is no factory: {point.value} can't be called")
    return factory


def _bad(name: str, text: str, field: str | None = None) -> BadInputError:
    place = f"checks.plugins.{name}"
    return BadInputError(f"{place} {text}", field=f"{place}.{field}" if field else place)
