"""Preconditions in CEL say whether a step may run on what the checks found.

Only true is true. A field that is missing, a check that did not answer, or an expression that gives
no yes or no can't be told, and what can't be told is never a yes.
"""

import math
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from holdfast.kernel import Reason, format_at, parse_at
from holdfast.kernel.redact import bounded

if TYPE_CHECKING:
    import cel

RULE = "precondition"
NAMES = ("checks", "entity", "region", "instance", "readings", "planes", "incident")
FUNCTIONS = frozenset(
    (
        *("size", "contains", "startsWith", "endsWith", "matches", "min", "max", "type"),
        *("int", "uint", "double", "string", "bool", "duration", "timestamp"),
    )
)
CHARACTERS_MAX = 1000
LOOPS_MAX = 2
_READING_CHARACTERS_MAX = 300
_LOOP = re.compile(r"\.\s*(?:all|exists|exists_one|map|filter)\s*\(", re.ASCII)
_PATH = re.compile(
    r"(?<![\w.\"'])[A-Za-z_]\w*(?:\s*\.\s*[A-Za-z_]\w*|\[\s*\"[^\"]*\"\s*\])*", re.ASCII
)
_PART = re.compile(r"[A-Za-z_]\w*|\"([^\"]*)\"", re.ASCII)
_STRING = re.compile(r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'")
_MISSING = object()


def compile_error(expression: str) -> str | None:
    """Say what is wrong with an expression before it is ever needed; None if nothing is."""
    try:
        program = _compiled(expression)
    except ValueError as error:
        return str(error)
    unknown = [name for name in program.functions() if name.isidentifier()]
    unknown = [name for name in unknown if name not in FUNCTIONS and not name.startswith("_")]
    if unknown:
        return f"unknown function {unknown[0]!r}; known are {', '.join(sorted(FUNCTIONS))}"
    if _LOOP.search(expression):
        return None  # a loop brings names of its own, which can't be told from unknown ones here
    unknown = [name for name in program.variables() if name not in NAMES]
    if unknown:
        return f"unknown name {unknown[0]!r}; known are {', '.join(NAMES)}"
    return None


def evaluate(expression: str, variables: Mapping[str, Any], *, now: datetime) -> Reason:
    """Evaluate one precondition; never raises.

    `variables` holds `checks` (name to result data), `entity`, `region`, `instance`, `readings`,
    `planes` (name to `now` and `intended`) and `incident`. The reason carries the values that were
    looked at and the oldest check's time.
    """
    known = {name: _plain(value) for name, value in variables.items()}
    holds, why = _outcome(expression, known)
    return Reason(
        rule=RULE,
        ok=holds,
        text=f"precondition {why}: {bounded(expression, limit=_READING_CHARACTERS_MAX)}",
        reading=_reading(expression, known),
        threshold="true",
        source=", ".join(f"check {name}" for name in _checks_named(expression, known)) or None,
        at=_oldest_at(expression, known, now),
    )


def _outcome(expression: str, known: Mapping[str, Any]) -> tuple[bool, str]:
    try:
        answer = _compiled(expression).execute(dict(known))
    except KeyError as error:
        return False, f"can't be told (nothing is known of {error.args[0]!r})"
    except (ValueError, TypeError, RuntimeError, ArithmeticError, LookupError) as error:
        return False, f"can't be told ({_first_line(error)})"
    if answer is True:
        return True, "holds"
    if answer is False:
        return False, "does not hold"
    return False, f"can't be told (it gives {answer!r:.60}, neither true nor false)"


@lru_cache(maxsize=512)
def _compiled(expression: str) -> "cel.Program":
    """Compile once. Raises ValueError with one line of why."""
    import cel  # noqa: PLC0415 - it brings a terminal of its own: half of a command's start-up time

    if len(expression) > CHARACTERS_MAX:
        raise ValueError(f"{len(expression)} characters, more than {CHARACTERS_MAX}; split it")
    if len(_LOOP.findall(expression)) > LOOPS_MAX:
        raise ValueError(f"more than {LOOPS_MAX} loops; split it")
    try:
        return cel.compile(expression)
    except ValueError as error:
        raise ValueError(_syntax(error)) from None


def _syntax(error: ValueError) -> str:
    found = re.search(r"<input>:\d+:(\d+): (.*)", str(error))
    if not found:
        return _first_line(error)
    fact = found[2].split(" expecting ")[0].removeprefix("Syntax error: ")
    if "Recursion limit" in fact:
        return "nested too deep; make it flat"
    return f"column {found[1]}: {fact}"


def _first_line(error: Exception) -> str:
    first = str(error).partition("\n")[0]
    return first.partition(". ")[0][:160] or type(error).__name__


def _plain(value: object) -> object:
    """Leave out NaN and infinity, so that they count as missing and not as unequal."""
    if isinstance(value, Mapping):
        items = ((str(key), _plain(item)) for key, item in value.items())
        return {key: item for key, item in items if item is not _MISSING}
    if isinstance(value, list | tuple):
        return [None if (item := _plain(each)) is _MISSING else item for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return _MISSING
    return value


def _paths(expression: str) -> Iterator[tuple[str, ...]]:
    """List the dotted paths of an expression, as written, each once."""
    seen: set[tuple[str, ...]] = set()
    without_text = _STRING.sub(
        lambda found: found[0] if _is_index(expression, found) else '""', expression
    )
    for found in _PATH.finditer(without_text):
        parts = tuple(part[1] or part[0] for part in _PART.finditer(found[0]))
        if parts not in seen:
            seen.add(parts)
            yield parts


def _is_index(expression: str, found: re.Match[str]) -> bool:
    return expression[: found.start()].rstrip().endswith("[")


def _reading(expression: str, known: Mapping[str, Any]) -> str | None:
    shown = []
    for parts in _paths(expression):
        value = _look_up(parts, known)
        if parts[0] in known:
            words = "missing" if value is _MISSING else _short(value)
            shown.append(f"{'.'.join(parts)} is {words}")
    return bounded("; ".join(shown), limit=_READING_CHARACTERS_MAX) or None


def _look_up(parts: tuple[str, ...], known: Mapping[str, Any]) -> object:
    value: object = known
    for part in parts:
        if not isinstance(value, Mapping) or part not in value:
            return _MISSING
        value = value[part]
    return value


def _short(value: object) -> str:
    if isinstance(value, Mapping):
        return f"{len(value)} fields"
    if isinstance(value, list):
        return f"{len(value)} items"
    return f"{value!r:.80}"


def _checks_named(expression: str, known: Mapping[str, Any]) -> tuple[str, ...]:
    checks = known.get("checks")
    if not isinstance(checks, Mapping):
        return ()
    names = dict.fromkeys(
        parts[1] for parts in _paths(expression) if parts[0] == "checks" and len(parts) > 1
    )
    return tuple(name for name in names if name in checks)


def _oldest_at(expression: str, known: Mapping[str, Any], now: datetime) -> str | None:
    """Give the time of the oldest check that was looked at; None where one has no time."""
    if not any(parts[0] == "checks" for parts in _paths(expression)):
        return format_at(now)
    times = []
    for name in _checks_named(expression, known) or tuple(known.get("checks") or ()):
        result = known["checks"][name]
        at = result.get("at") if isinstance(result, Mapping) else None
        try:
            times.append(parse_at(str(at)))
        except ValueError:
            return None
    return format_at(min(times)) if times else None
