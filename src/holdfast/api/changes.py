"""Reads changes that somebody tells: deployments, flags, configuration, schema, machines.

Strict about what a diagnosis leans on (kind, time, service, words); a service that
nobody knows is taken as it is written.
"""

import hashlib
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from holdfast.api.reading import as_lines, as_list, as_mapping, as_moment, as_words, bad
from holdfast.diagnosis import TOLD
from holdfast.kernel.canonical import canonical_json
from holdfast.kernel.clock import format_at
from holdfast.kernel.redact import bounded

KINDS = ("deploy", "config", "flag", "infra", "schema")
AT_ONCE_MAX = 100
_AHEAD = timedelta(minutes=5)
_NAME_MAX, _SUMMARY_MAX, _DIFF_MAX, _FILES_MAX = 200, 2000, 20_000, 200
_OPTIONAL = {"author": _NAME_MAX, "version": _NAME_MAX, "previous": _NAME_MAX, "region": _NAME_MAX}


def read_changes(document: object, now: datetime) -> tuple[Mapping[str, Any], ...]:
    """Read one change or a list of them. Raises BadInputError with the field's path."""
    if not isinstance(document, list):
        return (_change(document, "", now),)
    if not 0 < len(document) <= AT_ONCE_MAX:
        advice = f"send 1 to {AT_ONCE_MAX} changes at once"
        raise bad("the body", f"a list of {len(document)}", advice)
    return tuple(_change(each, f"[{index}].", now) for index, each in enumerate(document))


def _change(value: object, place: str, now: datetime) -> dict[str, Any]:
    body = as_mapping(value, place.removesuffix(".") or "the body")
    kind = body.get("kind")
    if kind not in KINDS:
        raise bad(f"{place}kind", kind, f"send one of {', '.join(KINDS)}")
    change: dict[str, Any] = {
        "at": format_at(_moment(body.get("at"), f"{place}at", now)),
        "kind": kind,
        "service": as_words(body.get("service"), f"{place}service", _NAME_MAX),
        "summary": as_words(body.get("summary"), f"{place}summary", _SUMMARY_MAX),
        "author": "",
    }
    for name, most in _OPTIONAL.items():
        if body.get(name) is not None:
            change[name] = as_words(body[name], f"{place}{name}", most)
    if body.get("files") is not None:
        change["files"] = _files(body["files"], f"{place}files")
    if body.get("diff") is not None:
        change["diff"] = bounded(as_lines(body["diff"], f"{place}diff"), limit=_DIFF_MAX)
    return {"id": _id(body.get("id"), f"{place}id", change), **change, "source": TOLD}


def _moment(value: object, field: str, now: datetime) -> datetime:
    if value is None:
        return now
    at = as_moment(value, field)
    if at > now + _AHEAD:
        raise bad(field, value, "it is in the future: tell of a change once it is made")
    return at


def _files(value: object, field: str) -> list[str]:
    files = as_list(value, field)
    if len(files) > _FILES_MAX:
        raise bad(field, f"a list of {len(files)}", f"send at most {_FILES_MAX} files")
    return [as_words(each, f"{field}[{index}]", _SUMMARY_MAX) for index, each in enumerate(files)]


def _id(value: object, field: str, change: Mapping[str, Any]) -> str:
    """Without a name of its own a change is known by what it says."""
    if value is not None:
        return as_words(value, field, _NAME_MAX)
    return f"told-{hashlib.sha256(canonical_json(dict(change))).hexdigest()[:16]}"
