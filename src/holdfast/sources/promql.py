"""What must be known of a PromQL text before it is sent: where a region goes, what it reads.

Not a parser: an engine has one, and dialects differ. It finds the series that a query names, so
that the engine can be asked in the same breath whether any of them still has samples; a rate over
five minutes would otherwise speak for minutes after its target has gone.
"""

import re

REGION = "{region}"
_QUOTED = r""""(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`"""
_BRACES = rf"\{{(?:[^}}\"'`]|{_QUOTED})*\}}"
_TOKEN = re.compile(
    rf"(?P<skip>\s+|#[^\n]*|{_QUOTED}|\[[^\]]*\]|(?:\d|\.\d)(?:[eE][+-]\d|[\w.])*)"
    rf"|(?P<name>[A-Za-z_:][\w:]*)|(?P<braces>{_BRACES})|(?P<other>.)",
    re.DOTALL,
)
_MATCHER = re.compile(rf"(=~|!~)(\s*)({_QUOTED})")
_LABELS_FOLLOW = frozenset({"by", "without", "on", "ignoring", "group_left", "group_right"})
_GROUPING = frozenset({"by", "without"})
_WORDS = frozenset(
    {"and", "or", "unless", "atan2", "bool", "offset", "inf", "nan"}
    | {"default", "if", "ifnot", "keep_metric_names"}  # MetricsQL
)
_SAYS_WHAT_ABSENCE_MEANS = re.compile(r"\b(?:vector|absent|absent_over_time)\s*\(")
_Tokens = list[tuple[str, str]]


def in_region(query: str, region: str) -> str:
    """Fill in a region's name; in a regular expression its dots are only dots.

    Names of regions are checked where the catalogue is read: none holds a quote.
    """
    literal = region.replace(".", "[.]")
    within = _MATCHER.sub(
        lambda found: found[1] + found[2] + found[3].replace(REGION, literal), query
    )
    return within.replace(REGION, region)


def selectors(query: str) -> tuple[str, ...]:
    """List the series that a query reads, each once: `http_requests_total{job="shop"}`."""
    tokens: _Tokens = [
        (str(match.lastgroup), match.group())
        for match in _TOKEN.finditer(query)
        if match.lastgroup != "skip"
    ]
    found: dict[str, None] = {}
    place = 0
    while place < len(tokens):
        kind, text = tokens[place]
        after = tokens[place + 1] if place + 1 < len(tokens) else ("", "")
        if kind == "name" and text.lower() in _LABELS_FOLLOW and after[1] == "(":
            place = _end_of_labels(tokens, place + 1)
        elif kind == "braces":
            found[text] = None
        elif kind == "name" and _is_metric(text, after[1]):
            whole = text + after[1] if after[0] == "braces" else text
            place += after[0] == "braces"
            found[whole] = None
        place += 1
    return tuple(found)


def _is_metric(name: str, after: str) -> bool:
    is_word = name.lower() in _WORDS | _LABELS_FOLLOW
    return not is_word and after != "(" and after.lower() not in _GROUPING


def _end_of_labels(tokens: _Tokens, place: int) -> int:
    while place < len(tokens) and tokens[place][1] != ")":
        place += 1
    return place


def fresh(query: str, lookback_s: float) -> str:
    """Ask for the query's answer only while one of its series has a sample that is no older.

    A query of one series that says itself what absence means (`... or vector(0)`) is left as it
    is, and so is one that reads no series.
    """
    read = selectors(query)
    if not read or (len(read) == 1 and _SAYS_WHAT_ABSENCE_MEANS.search(query)):
        return query
    newest = " or ".join(f"(max(timestamp({each})) > time() - {lookback_s:g})" for each in read)
    # The line break ends a comment that the query may end with.
    return f"({query}\n) and on() ({newest})"
