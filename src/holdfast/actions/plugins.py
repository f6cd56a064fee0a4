"""Loads actions that somebody else has written, by entry point, and only those that are named.

Nothing runs because it is merely installed: the configuration names a plug-in before a line of it
is imported. What it gives must be an action of that very name, and none that exists already.
"""

from collections.abc import Collection, Iterable, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any, cast

from holdfast.kernel.catalogue import Catalogue
from holdfast.kernel.errors import BadInputError, HoldfastError
from holdfast.kernel.redact import bounded
from holdfast.response.ports import Action, Repeatability

GROUP = "holdfast.actions"
_METHODS = ("observe", "perform", "probe", "undo")
_IMPACTS = ("low", "high")


def load_actions(
    catalogue: Catalogue,
    wanted: Mapping[str, Mapping[str, Any]],
    built_in: Collection[str],
    installed: Iterable[EntryPoint] | None = None,
) -> tuple[Action, ...]:
    """Load the plug-ins of `actions.plugins`. Raises BadInputError for one that can't be used."""
    if not wanted:
        return ()
    found = tuple(entry_points(group=GROUP) if installed is None else installed)
    for name in wanted:
        if name in built_in:
            raise _bad(name, "has the name of a built-in action; give it another name")
    return tuple(_loaded(catalogue, name, given, found) for name, given in wanted.items())


def _loaded(
    catalogue: Catalogue,
    name: str,
    settings: Mapping[str, Any],
    installed: tuple[EntryPoint, ...],
) -> Action:
    matching = [point for point in installed if point.name == name]
    if len(matching) != 1:
        known = ", ".join(sorted({point.name for point in installed})) or "none"
        fact = f"is installed {len(matching)} times" if matching else "is not installed"
        advice = "take away all but one" if matching else "install its package"
        raise _bad(name, f"{fact} (entry points {GROUP!r}: {known}); {advice}")
    try:
        action = matching[0].load()(catalogue, settings)
        why = _why_no_action(action, name)
    except HoldfastError as error:
        raise _bad(name, f"can't be used: {error.message}") from error
    except (Exception, SystemExit) as error:
        # Whatever a stranger's code raises: it is one sentence here, and nothing was started.
        text = bounded(f"{type(error).__name__}: {error}", limit=300)
        where = matching[0].value
        raise _bad(name, f"failed when {where} was loaded: {text}; mend or remove it") from error
    if why:
        raise _bad(name, f"is no action: {why}; see docs/reference/actions.md")
    return cast("Action", action)


def _why_no_action(action: object, name: str) -> str | None:
    if getattr(action, "name", None) != name:
        return f"its name is {getattr(action, 'name', None)!r}, not {name!r}"
    missing = [each for each in _METHODS if not callable(getattr(action, each, None))]
    if missing:
        return f"it has no method {missing[0]}"
    kind = getattr(action, "repeatability", None)
    if not isinstance(kind, Repeatability):
        return f"its repeatability is {kind!r}, not one of {', '.join(Repeatability)}"
    impact = getattr(action, "least_impact", None)
    if impact not in _IMPACTS:
        return f"its least_impact is {impact!r}, not low or high"
    return None


def _bad(name: str, text: str) -> BadInputError:
    return BadInputError(f"actions.plugins.{name} {text}", field=f"actions.plugins.{name}")
