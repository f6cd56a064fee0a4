"""The anchors of a Markdown text, as the places where runbooks are read make them.

Lower case, without punctuation, with dashes for spaces, and numbered where a heading comes twice;
an `<a id="...">` counts too.
"""

import re

_HEADING = re.compile(r"^ {0,3}#{1,6}[ \t]+(.+?)[ \t#]*$")
_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})")
_ID = re.compile(r"<[a-z]+\s[^>]*\b(?:id|name)=[\"']([^\"']+)[\"']", re.IGNORECASE)
_LINK = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
_DROPPED = re.compile(r"[^\w\- ]")


def anchors(text: str) -> frozenset[str]:
    """List what `#...` can point to in this text."""
    found: set[str] = set()
    fence: str | None = None
    for row in text.splitlines():
        if mark := _FENCE.match(row):
            fence = mark[1][0] if fence is None else None if mark[1][0] == fence else fence
        elif fence is None:
            found.update(_ID.findall(row))
            if heading := _HEADING.match(row):
                found.add(_free(_slug(heading[1]), found))
    return frozenset(found)


def _slug(heading: str) -> str:
    words = _LINK.sub(r"\1", heading).strip().lower()
    return _DROPPED.sub("", words).replace(" ", "-")


def _free(slug: str, taken: set[str]) -> str:
    number, name = 0, slug
    while name in taken:
        number += 1
        name = f"{slug}-{number}"
    return name
