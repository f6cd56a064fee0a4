"""Takes secrets out of text before it reaches the ledger, a page or a model.

Patterns, not promises: what looks like a credential is replaced by a mark that
says so. It errs on the side of hiding.
"""

import re

MARK = "[redacted]"

_KEY = r"(?:pass(?:word|wd)?|secret|token|api[_-]?key|access[_-]?key|authorization|credential)"
_RULES: tuple[tuple[re.Pattern[str], str], ...] = (
    (
        re.compile(
            r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?-----END [A-Z ]*PRIVATE KEY-----", re.DOTALL
        ),
        MARK,
    ),
    (re.compile(r"(?i)\b(bearer|basic)\s+[a-z0-9._~+/=-]{8,}"), rf"\1 {MARK}"),
    (re.compile(r"(://[^/\s:@]*:)[^@\s/]+@"), rf"\1{MARK}@"),
    (
        re.compile(
            rf"(?i)([\"']?\b[\w-]*{_KEY}[\w-]*[\"']?\s*[=:]\s*)(\"[^\"]*\"|'[^']*'|[^\s,;&]+)"
        ),
        rf"\1{MARK}",
    ),
    (re.compile(r"\bhf_[a-z]+_[A-Za-z0-9_-]{16,}"), MARK),
    (re.compile(r"\bAKIA[0-9A-Z]{16}\b"), MARK),
    (re.compile(r"\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"), MARK),
)


def redact(text: str) -> str:
    """Return `text` with everything that looks like a credential replaced."""
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    return text


def bounded(text: str, *, limit: int = 2000) -> str:
    """Redact `text` and cut it to `limit` characters, saying how much was cut."""
    # A lone surrogate (bytes that were no UTF-8) has no place in JSON.
    clean = redact(text.encode("utf-8", "replace").decode("utf-8"))
    if len(clean) <= limit:
        return clean
    return f"{clean[:limit]}… [{len(clean) - limit} more characters cut]"
