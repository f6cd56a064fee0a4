"""The built-in limits: configurable within a range, never absent.

A configuration can make them tighter or wider; none can be switched off, because each stands for an
incident that somebody's automation made worse.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from typing import Any

from holdfast.kernel import BadInputError

# Actions that touch every region by their nature: one release link, one flag, one primary. What a
# request or a command touches nobody can tell from outside, so a person approves each of them.
WHOLE_SERVICE_ACTIONS = frozenset(
    {
        "rollback_deploy",
        "disable_flag",
        "failover_db",
        "clear_cache",
        "drain_queue",
        "http",
        "command",
    }
)
ALWAYS_APPROVED = frozenset({"failover_db"})

_RANGES: Mapping[str, tuple[float, float]] = {
    "restarts_per_target": (0, 10),
    "restart_window_s": (60, 86_400),
    "instances_added_max": (0, 100),
    "instances_window_s": (60, 86_400),
    "rollback_age_max_s": (60, 86_400),
    "readings_max_age_s": (1, 3_600),
    "region_share_max": (0.01, 1),
    "pool_share_max": (0.01, 1),
    "actions_per_incident": (1, 1_000),
    "actions_per_installation": (1, 10_000),
    "actions_window_s": (60, 86_400),
}
_WHOLE_NUMBERS = frozenset(
    {
        "restarts_per_target",
        "instances_added_max",
        "actions_per_incident",
        "actions_per_installation",
    }
)
_WORD_SETS = frozenset({"whole_service_actions", "always_approve"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What no runbook and no directive passes. Raises BadInputError for a value out of range."""

    restarts_per_target: int = 2
    restart_window_s: float = 600.0
    instances_added_max: int = 3
    instances_window_s: float = 3600.0
    rollback_age_max_s: float = 3600.0
    readings_max_age_s: float = 120.0
    region_share_max: float = 0.5
    pool_share_max: float = 0.5
    actions_per_incident: int = 20
    actions_per_installation: int = 60
    actions_window_s: float = 3600.0
    whole_service_actions: frozenset[str] = WHOLE_SERVICE_ACTIONS
    always_approve: frozenset[str] = ALWAYS_APPROVED
    four_eyes: bool = False

    def __post_init__(self) -> None:
        for name, (least, most) in _RANGES.items():
            _check_number(name, getattr(self, name), least, most)
        missing = ALWAYS_APPROVED - self.always_approve
        if missing:
            names = ", ".join(sorted(missing))
            raise _bad("always_approve", f"lacks {names}, which always needs approval", "add it")

    @staticmethod
    def from_mapping(data: Mapping[str, Any], *, source: str = "holdfast.yaml") -> "Limits":
        """Read the `limits` of a configuration; what is absent keeps its default."""
        known = {each.name for each in fields(Limits)}
        unknown = sorted(set(data) - known)
        if unknown:
            raise BadInputError(
                f"{source}: limits.{unknown[0]} is unknown; known are {', '.join(sorted(known))}",
                field=f"limits.{unknown[0]}",
            )
        try:
            return Limits(**{name: _read(name, value) for name, value in data.items()})
        except BadInputError as error:
            raise BadInputError(f"{source}: {error.message}", field=error.field) from None


def _read(name: str, value: object) -> Any:  # noqa: ANN401 - each field has a type of its own
    if name in _WORD_SETS:
        return _words(name, value)
    if name == "four_eyes" and not isinstance(value, bool):
        raise _bad(name, f"is {value!r}", "write true or false")
    return value


def _words(name: str, value: object) -> frozenset[str]:
    is_list = isinstance(value, Collection) and not isinstance(value, str)
    if not is_list or not all(isinstance(word, str) and word for word in value):  # type: ignore[attr-defined]
        raise _bad(name, f"is {value!r}", "write a list of action names")
    words = frozenset(str(word) for word in value)  # type: ignore[attr-defined]
    return words | ALWAYS_APPROVED if name == "always_approve" else words


def _check_number(name: str, value: object, least: float, most: float) -> None:
    kinds = int if name in _WHOLE_NUMBERS else int | float
    if isinstance(value, bool) or not isinstance(value, kinds) or not least <= value <= most:
        what = "a whole number" if name in _WHOLE_NUMBERS else "a number"
        raise _bad(name, f"is {value!r}", f"write {what} from {least:g} to {most:g}")


def _bad(name: str, fact: str, advice: str) -> BadInputError:
    return BadInputError(f"limits.{name} {fact}; {advice}", field=f"limits.{name}")
