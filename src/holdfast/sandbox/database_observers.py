"""Promotions, counted where they happen: in the servers' own files.

Rule: a server writes the history of a new timeline before it takes its first write on it and
never removes it, so each promotion is there once, also of a server that has died since. A copy of
a server brings the same histories along; the same words are the same promotion.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from holdfast.sandbox.effects import DB_PROMOTED, Effect
from holdfast.sandbox.site import Site

HOW = "the histories of timelines in the servers' own files"
_HISTORY = re.compile(r"[0-9A-F]{8}\.history")


def promotions(site: Site) -> tuple[Effect, ...]:
    """List every promotion of a standby since the platform came up, by whomever."""
    seen: dict[tuple[str, str], Effect] = {}
    for directory in (site.standby_directory, site.database_directory):
        for file in _histories(directory):
            told = file.read_text(encoding="utf-8")
            timeline = int(file.stem, 16)
            seen.setdefault(
                (file.name, told),
                Effect(
                    at=datetime.fromtimestamp(file.stat().st_mtime, UTC),
                    kind=DB_PROMOTED,
                    target=site.blueprint.database,
                    detail=f"timeline {timeline} in {directory.name}",
                ),
            )
    return tuple(sorted(seen.values(), key=lambda effect: effect.at))


def _histories(directory: Path) -> Iterator[Path]:
    for file in sorted((directory / "pg_wal").glob("*.history")):
        if _HISTORY.fullmatch(file.name):
            yield file
