"""Reads the alerts of Prometheus rule files, each with its line: `groups`, `rules`, `alert`.

Recording rules and unknown fields are passed over. A file that is no rule file is an error: silence
about it would look like a good answer.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from holdfast.app.yaml_file import YamlFile, read_yaml
from holdfast.kernel.errors import BadInputError

_RUNBOOK_URL = "runbook_url"


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertRule:
    """One alert of a rule file."""

    name: str
    path: Path
    line: int
    labels: Mapping[str, str] = field(default_factory=dict)
    runbook_url: str | None = None


def read_rules(paths: Sequence[Path]) -> tuple[AlertRule, ...]:
    """Read every alert of these files. Raises BadInputError with file and line."""
    return tuple(rule for path in paths for rule in _rules(read_yaml(path)))


def _rules(file: YamlFile) -> Iterator[AlertRule]:
    groups = file.data.get("groups") if isinstance(file.data, Mapping) else None
    if not isinstance(groups, list):
        raise BadInputError(
            f"{file.path} has no list `groups`, so it is no rule file of Prometheus; name another"
        )
    for group_no, group in enumerate(groups):
        rules = group.get("rules") if isinstance(group, Mapping) else None
        for rule_no, rule in enumerate(rules if isinstance(rules, list) else ()):
            if isinstance(rule, Mapping) and isinstance(rule.get("alert"), str):
                place: list[int | str] = ["groups", group_no, "rules", rule_no, "alert"]
                yield _alert(rule, file.path, file.at(place))


def _alert(rule: Mapping[str, Any], path: Path, place: str) -> AlertRule:
    number = place.rpartition(":")[2]
    url = _texts(rule.get("annotations")).get(_RUNBOOK_URL)
    return AlertRule(
        name=rule["alert"],
        path=path,
        line=int(number) if number.isdigit() else 1,
        labels=_texts(rule.get("labels")),
        runbook_url=url,
    )


def _texts(value: object) -> dict[str, str]:
    """Keep what is text. A template is filled in only when the alert fires."""
    if not isinstance(value, Mapping):
        return {}
    texts = {str(key): item for key, item in value.items() if isinstance(item, str)}
    return {key: item for key, item in texts.items() if "{{" not in item}
