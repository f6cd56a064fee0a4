"""A plain text of what people do during an incident, line by line, read before anything runs.

Rule: pure. A line is a `holdfast` command in somebody's name, a wait for a kind of record,
something that the sandbox does to its platform, or a comment; anything else is refused with its
number.
"""

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from holdfast.kernel import BadInputError

BREAK: Final = "break"
SILENCE: Final = "silence-metrics"
RESTORE: Final = "restore-metrics"
# What the sandbox can be told to do to its platform, and how many words each takes.
DOINGS: Final[Mapping[str, int]] = {
    BREAK: 0,
    SILENCE: 0,
    RESTORE: 0,
    "restart-by-hand": 1,
    "heal": 0,
}
_PREFIX = re.compile(r"(as|refused)\s+([^:]*?)\s*:\s+(.*)", re.DOTALL)
_PLACE = re.compile(r"\{([a-z][a-z0-9_]*)\}")
PROGRAM = "holdfast"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One command line. `refused`: words that its refusal has to hold; None: it has to succeed."""

    number: int
    text: str
    words: tuple[str, ...]
    who: str | None = None
    refused: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """Wait for a record of a kind that comes after the last line that asked or waited for one.

    `saying`: words that its line in the timeline has to hold.
    """

    number: int
    text: str
    kind: str
    saying: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticks:
    """Let Holdfast sample so many times more."""

    number: int
    text: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Doing:
    """Something that the sandbox does: one of DOINGS."""

    number: int
    text: str
    verb: str
    words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Bad:
    """From here on the platform's state is one in which nobody should act."""

    number: int
    text: str
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Succeed:
    """Hand the packet of now to a successor: it has to name this kind of step, and these deeds."""

    number: int
    text: str
    kind: str
    done: tuple[str, ...] = ()


ScriptLine = Ask | Wait | Ticks | Doing | Bad | Succeed


def read_script(text: str, name: str) -> tuple[ScriptLine, ...]:
    """Read a script. A line that ends in a backslash goes on in the next.

    Raises BadInputError with the number of the first line that is none.
    """
    return tuple(_line(number, line, name) for number, line in _joined(text))


def breaks_itself(lines: tuple[ScriptLine, ...]) -> bool:
    """Say whether the script says when the platform is broken; otherwise that comes first."""
    return any(isinstance(line, Doing) and line.verb == BREAK for line in lines)


def silences_metrics(lines: tuple[ScriptLine, ...]) -> bool:
    """Say whether a metric source falls silent in the script, and so has to be ours."""
    return any(isinstance(line, Doing) and line.verb in {SILENCE, RESTORE} for line in lines)


def filled(text: str, words: Mapping[str, str], number: int) -> str:
    """Fill `{name}` where the name is known. Raises BadInputError for one that is not."""

    def put(found: re.Match[str]) -> str:
        if found[1] not in words:
            known = ", ".join(sorted(words))
            raise BadInputError(f"line {number}: nothing is called {{{found[1]}}}; known: {known}")
        return words[found[1]]

    return _PLACE.sub(put, text)


def places(text: str) -> frozenset[str]:
    """Name what has to be filled in."""
    return frozenset(_PLACE.findall(text))


def _joined(text: str) -> Iterator[tuple[int, str]]:
    begun, whole = 0, ""
    for number, line in enumerate(text.splitlines(), 1):
        begun = begun or number
        whole = f"{whole} {line.strip()}".strip()
        if whole.endswith("\\") and not whole.startswith("#"):
            whole = whole.removesuffix("\\").rstrip()
            continue
        if whole and not whole.startswith("#"):
            yield begun, whole
        begun, whole = 0, ""
    if whole:
        yield begun, whole


def _line(number: int, text: str, name: str) -> ScriptLine:
    who, refused, rest = None, None, text
    while found := _PREFIX.fullmatch(rest):
        if found[1] == "as":
            who = found[2]
        else:
            refused = found[2]
        rest = found[3]
    try:
        words = shlex.split(rest)
    except ValueError as error:
        raise _wrong(number, text, name, str(error)) from error
    if words[:1] == [PROGRAM] and len(words) > 1:
        return Ask(number=number, text=text, words=tuple(words[1:]), who=who, refused=refused)
    if who is not None or refused is not None:
        raise _wrong(number, text, name, "only a holdfast command is somebody's")
    return _ours(number, text, name, words)


def _ours(number: int, text: str, name: str, words: list[str]) -> ScriptLine:
    match words:
        case ["wait", kind]:
            return Wait(number=number, text=text, kind=kind)
        case ["wait", count, "ticks"] if count.isdecimal():
            return Ticks(number=number, text=text, count=int(count))
        case ["wait", kind, "saying", *said] if said:
            return Wait(number=number, text=text, kind=kind, saying=" ".join(said))
        case ["sandbox", verb, *more] if DOINGS.get(verb) == len(more):
            return Doing(number=number, text=text, verb=verb, words=tuple(more))
        case ["bad", *state] if state:
            return Bad(number=number, text=text, state=" ".join(state))
        case ["successor", kind]:
            return Succeed(number=number, text=text, kind=kind)
        case ["successor", kind, "not", *done] if done:
            return Succeed(number=number, text=text, kind=kind, done=tuple(done))
        case _:
            known = ", ".join(DOINGS)
            raise _wrong(
                number,
                text,
                name,
                "write `[as NAME:] [refused WORDS:] holdfast ...`, `wait KIND [saying WORDS]`, "
                "`wait N ticks`, "
                f"`sandbox WHAT` ({known}), `bad STATE` or "
                "`successor KIND [not ACTION:TARGET ...]`",
            )


def _wrong(number: int, text: str, name: str, why: str) -> BadInputError:
    return BadInputError(f"{name}, line {number}: {text!r} is no line of a script; {why}")
