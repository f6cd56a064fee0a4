"""Loads queries.sql: a `-- name --` line, lines that say why, the SQL."""

import re
from functools import cache
from importlib.resources import files

_HEADING = re.compile(r"^-- (\w+) --\n((?:-- .+\n)+)", re.MULTILINE)


@cache
def load() -> dict[str, str]:
    """Return every named query."""
    text = files("holdfast.ledger").joinpath("queries.sql").read_text(encoding="utf-8")
    _, *parts = _HEADING.split(text)
    return dict(zip(parts[::3], (sql.strip() for sql in parts[2::3]), strict=True))
