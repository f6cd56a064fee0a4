"""Plays a script on a running platform: each line in its order, each answer as it comes.

Rule: people speak through the command line with their own tokens; what is waited for is a record
that the product tells of. The first line that does not go as it says ends the script, with its
number.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, assert_never

from holdfast.kernel import HoldfastError
from holdfast.kernel.clock import SystemClock, format_at, parse_at
from holdfast.sandbox.blueprint import Blueprint
from holdfast.sandbox.doings import Doings
from holdfast.sandbox.follow import Follower
from holdfast.sandbox.holdfast_process import Answer, Event, Holdfast
from holdfast.sandbox.people import People
from holdfast.sandbox.script import (
    Ask,
    Bad,
    Doing,
    ScriptLine,
    Succeed,
    Ticks,
    Wait,
    filled,
    places,
)
from holdfast.sandbox.succession import Succession

ASK_TIMEOUT_S = 60.0
WAIT_S = 60.0
_STEP_PLACES = frozenset({"step", "hash"})


@dataclass(slots=True, kw_only=True)
class Played:
    """What came of a script: each line that asked, each bad state, each packet handed over."""

    asked: list[dict[str, Any]] = field(default_factory=list)
    bad: list[dict[str, Any]] = field(default_factory=list)
    successions: list[dict[str, Any]] = field(default_factory=list)

    def as_data(self) -> dict[str, Any]:
        return asdict(self)


class Directed:
    """One script under way. `play` returns when its last line has gone as it says."""

    def __init__(
        self,
        *,
        shape: Blueprint,
        follower: Follower,
        people: People,
        doings: Doings,
        succession: Succession,
        tell: Callable[[Event], None],
    ) -> None:
        self._shape = shape
        self._follower = follower
        self._people = people
        self._doings = doings
        self._succession = succession
        self._tell = tell
        self._clock = SystemClock()
        self._since: datetime | None = None
        self._after: Mapping[str, int] = {}
        self._last: Answer | None = None
        self.played = Played()

    def play(self, lines: tuple[ScriptLine, ...]) -> None:
        """Play every line. Raises HoldfastError at the first that does not go as it says."""
        for line in lines:
            try:
                self._one(line)
            except HoldfastError as error:
                raise HoldfastError(f"script line {line.number}: {error.message}") from error

    def _one(self, line: ScriptLine) -> None:
        match line:
            case Ask():
                self._ask(line)
            case Wait():
                self._wait(line)
            case Ticks():
                last = self._follower.ticks + line.count
                self._follower.until(lambda: self._follower.ticks >= last, WAIT_S)
            case Doing():
                words = self._fill(line, line.words)
                self._say(" ".join(("sandbox", line.verb, *words)))
                self._played_bad(self._doings.do(line.verb, words))
            case Bad():
                self._played_bad(line.state)
            case Succeed():
                self._succeed(line)
            case _:
                assert_never(line)

    # --- asking -----------------------------------------------------------

    def _ask(self, line: Ask) -> None:
        who = filled(line.who or "{commander}", self._names(), line.number)
        if who not in self._people:
            known = ", ".join(self._people.names)
            raise HoldfastError(f"nobody here is called {who!r}; there are {known}")
        words = self._fill(line, line.words)
        self._follower.catch_up()
        self._since = self._clock.now()
        answer = self._people[who].call(*words, timeout_s=ASK_TIMEOUT_S)
        self._last = answer
        said = (answer.out + answer.err).strip()
        note = {"line": line.number, "who": who, "command": answer.command, "code": answer.code}
        self.played.asked.append({**note, "at": format_at(self._since)})
        self._tell({"event": "asked", "at": format_at(self._since), **note, "answer": said})
        self._follower.catch_up()
        if line.refused is None and answer.code != 0:
            raise HoldfastError(
                f"{who}: `{answer.command}` failed with exit code {answer.code}: {said[-600:]}"
            )
        if line.refused is not None:
            self._refused(line.refused, answer, said)

    def _refused(self, words: str, answer: Answer, said: str) -> None:
        if answer.code == 0:
            raise HoldfastError(f"`{answer.command}` was to be refused, and was not: {said[-300:]}")
        if words.casefold() not in " ".join(said.split()).casefold():
            raise HoldfastError(f"`{answer.command}` was refused without {words!r}: {said[-600:]}")

    def _fill(self, line: ScriptLine, words: tuple[str, ...]) -> list[str]:
        names = self._names()
        wanted = frozenset().union(*(places(word) for word in words))
        if "incident" in wanted:
            names["incident"] = self._incident()
        if "seen" in wanted:
            names["seen"] = self._seen()
        if wanted & _STEP_PLACES:
            names |= self._step()
        return [filled(word, names, line.number) for word in words]

    def _names(self) -> dict[str, str]:
        shape = self._shape
        names = {key: value for key, value in asdict(shape).items() if isinstance(value, str)}
        names |= {f"region_{n}": region for n, region in enumerate(shape.regions, 1)}
        return names | {"commander": shape.on_call}

    def _incident(self) -> str:
        """Name the incident that the fault made; wait until there is one."""
        if not self._follower.until(lambda: bool(self._opened()), WAIT_S):
            raise HoldfastError(f"no incident was opened within {WAIT_S:.0f} s")
        return self._opened()[0]

    def _opened(self) -> list[str]:
        since = self._doings.broken_at
        return [
            str(event["incident_id"])
            for event in self._follower.seen
            if event["kind"] == "incident_opened"
            and (since is None or parse_at(event["at"]) >= since)
        ]

    def _step(self) -> dict[str, str]:
        """Read the last step, and the hash of the one that waits for an approval."""
        shown = self._show()
        steps = shown["steps"]
        if not steps:
            raise HoldfastError(f"{shown['incident_id']} has no step; see `incident show`")
        waiting = [step for step in steps if step["status"] == "awaiting_approval"]
        return {
            "step": str((waiting or steps)[-1]["step_id"]),
            "hash": str(waiting[-1]["hash"]) if waiting else "",
        }

    def _seen(self) -> str:
        """Read from the last answer, a dry run's, the digest of what it saw."""
        try:
            digest = str((self._last.document() if self._last else {})["seen"])
        except (KeyError, TypeError) as error:
            raise HoldfastError(
                "the line before tells no `seen`; make it a dry run with --json"
            ) from error
        return digest

    def _show(self) -> dict[str, Any]:
        incident_id = self._incident()
        return self._somebody().ask("incident", "show", incident_id, "--json")

    def _somebody(self) -> Holdfast:
        return self._people[self._shape.on_call]

    # --- waiting ----------------------------------------------------------

    def _wait(self, line: Wait) -> None:
        saying = filled(line.saying, self._names(), line.number).casefold()

        def found() -> Event | None:
            for event in self._follower.seen:
                told = str(event["text"]).casefold()
                if event["kind"] == line.kind and self._is_new(event) and saying in told:
                    return event
            return None

        if not self._follower.until(lambda: found() is not None, WAIT_S):
            last = self._follower.last_text or "none"
            raise HoldfastError(
                f"no record {line.text.removeprefix('wait ')!r} came within {WAIT_S:.0f} s; "
                f"the last one: {last}"
            )
        event = found()
        if event is not None:
            self._after = {**self._after, str(event["incident_id"]): int(event["seq"])}

    def _is_new(self, event: Event) -> bool:
        if self._since is not None and parse_at(event["at"]) < self._since:
            return False
        return int(event["seq"]) > self._after.get(str(event["incident_id"]), 0)

    def _packet(self) -> dict[str, Any]:
        return self._somebody().ask("incident", "packet", self._incident(), "--json")

    # --- what the sandbox does ----------------------------------------------

    def _played_bad(self, state: str | None) -> None:
        if state is not None:
            self.played.bad.append({"state": state, "at": format_at(self._clock.now())})

    def _succeed(self, line: Succeed) -> None:
        done = self._fill(line, line.done)
        named = self._succession.named(self._packet())
        right = {named["kind"], named["packet_says"]} == {line.kind}
        right = right and set(done) <= set(named["not_again"])
        found = {"line": line.number, "wanted": line.kind, "not_again": done, "named": named}
        self.played.successions.append({**found, "right": right})
        self._say(f"a successor with the packet alone names: {named['kind']}")
        if not right:
            raise HoldfastError(
                f"a successor with the packet alone was to name {line.kind} and not to repeat "
                f"{', '.join(done) or 'anything'}; it named {json.dumps(named)[:600]}"
            )

    def _say(self, text: str) -> None:
        self._tell({"event": "moved", "at": format_at(self._clock.now()), "text": text})
