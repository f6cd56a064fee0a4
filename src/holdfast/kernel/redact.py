"""Takes secrets out of text before it reaches the ledger, a page or a model.

Patterns, not promises: what looks like a credential is replaced by a mark that
says so. It errs on the side of hiding. Text comes from anywhere, so each rule
reads a run of characters once: its time grows with the length and no faster.
"""

import re

MARK = "[redacted]"

_KEY = r"(?:pass(?:word|wd)?|secret|token|api[_-]?key|access[_-]?key|authorization|credential)"
_RULES: tuple[tuple[re.Pattern[str], str], ...] = (
    (
        # One whose end was cut off is a key all the same.
        re.compile(
            r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)",
            re.DOTALL,
        ),
        MARK,
    ),
    (re.compile(r"(?i)\b(bearer|basic)\s+[a-z0-9._~+/=-]{8,}"), rf"\1 {MARK}"),
    (re.compile(r"(://[^/\s:@]*:)[^@\s/]+@"), rf"\1{MARK}@"),
    (
        re.compile(
            rf"(?i)((?<![\w-])(?=[\w-]*?{_KEY})[\w-]++[\"']?\s*+[=:]\s*+)"
            r"(\"[^\"]*\"|'[^']*'|[^\s,;&]+)"
        ),
        rf"\1{MARK}",
    ),
    (re.compile(r"\bhf_[a-z]+_[A-Za-z0-9_-]{16,}"), MARK),
    (re.compile(r"\bAKIA[0-9A-Z]{16}\b"), MARK),
    (
        re.compile(
            r"(?<![\w-])(?=[\w-]++\.[\w-]{8,}+\.)([\w-]*?)\beyJ[\w-]{8,}+\.[\w-]{8,}+\.[\w-]*"
        ),
        rf"\1{MARK}",
    ),
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


def first_cause(error: BaseException) -> str:
    """Give the words of the first cause, redacted and bounded: a driver wraps it, and the wrapping
    says nothing.
    """
    while True:
        inner = (*getattr(error, "exceptions", ()), getattr(error, "exception", None), *error.args)
        causes = [each for each in inner if isinstance(each, BaseException)]
        if not causes:
            break
        error = causes[0]
    return bounded(" ".join(str(error).split()) or type(error).__name__, limit=300)
