"""What a runbook error says: where, the fact, the value, and what to do next."""

import difflib
from collections.abc import Iterable

from holdfast.kernel import BadInputError


class RunbookError(BadInputError):
    """A runbook that can't be read. Carries the path and the line."""

    def __init__(self, path: str, line: int, text: str) -> None:
        super().__init__(f"{path}:{line}: {text}")
        self.path = path
        self.line = line
        self.text = text


def nearest(word: str, known: Iterable[str]) -> str:
    """Suggest what may have been meant: ` did you mean X?`, or all that is known."""
    names = sorted(known)
    close = difflib.get_close_matches(word, names, n=1)
    return f"did you mean {close[0]!r}?" if close else f"known are {', '.join(names)}"
