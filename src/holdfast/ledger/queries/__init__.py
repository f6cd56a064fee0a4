"""Loads the named queries of one store: a `-- name --` line, lines that say why, the SQL."""

import re
from functools import cache
from importlib.resources import files
from typing import Literal

_HEADING = re.compile(r"^-- (\w+) --\n((?:-- .+\n)+)", re.MULTILINE)


@cache
def load(dialect: Literal["sqlite", "postgres"]) -> dict[str, str]:
    """Return every named query of `dialect`."""
    text = files("holdfast.ledger.queries").joinpath(f"{dialect}.sql").read_text(encoding="utf-8")
    _, *parts = _HEADING.split(text)
    return dict(zip(parts[::3], (sql.strip() for sql in parts[2::3]), strict=True))
