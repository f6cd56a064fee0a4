"""An unsafe situation: built through the code that meets it, told in Holdfast's own words.

Meeting one gives the sentence that Holdfast said, and how much was performed from the moment on at
which it became unsafe, which must be nothing. The table in the docs is made of that and of nothing
else, so it can't say what the code does not do.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path


class Stop(StrEnum):
    """Where it ends. Most are caught earlier than at the guard, and again by the guard."""

    TOKEN = "token"
    REQUEST = "request"
    CONFIGURATION = "configuration"
    LINT = "lint"
    GUARD = "guard"
    SECOND_LOOK = "second look"
    TARGET = "target"
    PROBE = "probe"
    VERIFICATION = "verification"
    TIMER = "timer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Met:
    """What Holdfast said, whole, and how many things it did all the same."""

    said: str
    done: int = 0


Meet = Callable[[Path], Met]


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """One row. `rule`: the rule of the guard without which it would not be stopped, if one is."""

    name: str
    what: str
    stops: Stop
    way_out: str
    meet: Meet
    rule: str | None = None


@dataclass(slots=True)
class Group:
    """Situations that belong together, in the order in which they are told."""

    title: str
    situations: list[Situation] = field(default_factory=list)

    def unsafe(
        self, what: str, *, stops: Stop, way_out: str, rule: str | None = None
    ) -> Callable[[Meet], Meet]:
        """Make a row of a function that builds the situation in an empty directory."""

        def told(meet: Meet) -> Meet:
            self.situations.append(
                Situation(
                    name=getattr(meet, "__name__", what),
                    what=what,
                    stops=stops,
                    way_out=way_out,
                    meet=meet,
                    rule=rule,
                )
            )
            return meet

        return told


WORDS_MOST = 210
# What differs from run to run gets a stand-in of its own.
_STAND_INS = (
    (re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+(Z|\+00:00)"), "TIME"),
    (re.compile(r"\btoken [0-9a-f]{8}\b"), "token ID"),
    (re.compile(r"\boverride [0-9a-f]{8}\b"), "override ID"),
    (re.compile(r"\b[0-9a-f]{32,64}\b"), "HASH"),
    (re.compile(r"\bhash '[0-9a-f]+'"), "hash 'HASH'"),
    (re.compile(r"\.\.\.[0-9a-f]{6,12}\b"), "...HASH"),
    (re.compile(r"\bends in (\.\.\.)?[0-9a-f]{6,12}\b"), "ends in HASH"),
    (re.compile(r"127\.0\.0\.1:\d+"), "127.0.0.1:PORT"),
)


def shortened(said: str, directory: Path) -> str:
    """Shorten a sentence by rule: stand-ins for what differs, then the words that fit."""
    text = " ".join(said.replace(str(directory), "DIR").split())
    for pattern, stand_in in _STAND_INS:
        text = pattern.sub(stand_in, text)
    if len(text) <= WORDS_MOST:
        return text
    return text[:WORDS_MOST].rsplit(" ", 1)[0].rstrip(",;:(") + " ..."
