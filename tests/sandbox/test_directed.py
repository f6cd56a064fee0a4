"""A script is played line by line, and ends with its number at the first that goes otherwise."""

import sys
from pathlib import Path
from typing import Any, cast

import pytest

from holdfast.kernel import HoldfastError
from holdfast.kernel.clock import SystemClock, format_at
from holdfast.sandbox.blueprint import Blueprint
from holdfast.sandbox.directed import Directed
from holdfast.sandbox.doings import Doings
from holdfast.sandbox.follow import Follower
from holdfast.sandbox.holdfast_process import Event, Events, Holdfast
from holdfast.sandbox.people import People
from holdfast.sandbox.platform import Platform
from holdfast.sandbox.script import read_script
from holdfast.sandbox.succession import Succession

# A stand-in for the program: makes tokens, shows one waiting step, refuses whatever says "no".
PROGRAM = """
import json, os, sys
words = sys.argv[1:]
if words[0] == "token":
    print(json.dumps({"token": "of-" + words[2]}))
elif words[:2] == ["incident", "show"]:
    steps = [{"step_id": "S2", "status": "awaiting_approval", "hash": "bb"}]
    print(json.dumps({"incident_id": "INC-9", "steps": steps}))
elif "no" in words:
    sys.exit("that belongs to the database's team")
else:
    print(os.environ["HOLDFAST_TOKEN"], *words)
"""


class Stage:
    """Everything a script is played with, and what was told of it."""

    def __init__(self, tmp_path: Path) -> None:
        self.events, self.told = Events(), list[Event]()
        argv = (sys.executable, "-c", PROGRAM)
        holdfast = Holdfast(tmp_path, log=tmp_path / "log", argv=argv)
        shape = Blueprint.vary(0)
        self.directed = Directed(
            shape=shape,
            follower=Follower(self.events, self.told.append, lambda _code: None),
            people=People(holdfast, (shape.on_call, shape.dba)),
            doings=Doings(cast("Platform", None), None, lambda: None),
            succession=cast("Succession", None),
            tell=self.told.append,
        )

    def record(self, seq: int, kind: str, text: str = "") -> None:
        at = format_at(SystemClock().now())
        event = {"event": "record", "incident_id": "INC-9", "seq": seq, "kind": kind, "at": at}
        self.events.put({**event, "text": text})

    def play(self, text: str) -> None:
        self.directed.play(read_script(text, "mine"))

    @property
    def answers(self) -> list[Any]:
        return [event["answer"] for event in self.told if event["event"] == "asked"]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    made = Stage(tmp_path_factory.mktemp("stage"))
    made.record(1, "incident_opened")
    return made


def test_each_speaks_with_their_own_token_and_the_names_are_filled_in(stage: Stage) -> None:
    stage.play("holdfast note {incident} hi\nas {dba}: holdfast approve {incident} {step} {hash}")
    assert stage.answers[-2:] == ["of-dana note INC-9 hi", "of-mira approve INC-9 S2 bb"]


def test_a_record_is_waited_for_by_its_kind_and_words_and_an_old_one_does_not_count(
    stage: Stage,
) -> None:
    stage.record(2, "held", "one")
    stage.record(3, "held", "two: more")
    stage.play("wait held saying TWO")
    seen = stage.told[-1]
    assert (seen["kind"], seen["seq"]) == ("held", 3)


def test_a_refusal_that_was_expected_goes_on_and_one_that_was_not_ends_it(stage: Stage) -> None:
    stage.play("refused TEAM: holdfast direct no")
    with pytest.raises(HoldfastError, match=r"script line 2: dana: `holdfast direct no` failed"):
        stage.play("holdfast note a b\nholdfast direct no")
    with pytest.raises(HoldfastError, match=r"script line 1: .* was to be refused, and was not"):
        stage.play("refused TEAM: holdfast direct yes")
    with pytest.raises(HoldfastError, match=r"line 1: .* was refused without 'another reason'"):
        stage.play("refused another reason: holdfast direct no")


def test_nobody_unknown_speaks_and_no_relay_no_silence(stage: Stage) -> None:
    with pytest.raises(HoldfastError, match="nobody here is called 'eve'; there are dana, mira"):
        stage.play("as eve: holdfast note a b")
    with pytest.raises(HoldfastError, match="metrics pass no relay"):
        stage.play("sandbox silence-metrics")


def test_what_was_asked_is_kept_with_its_line(stage: Stage) -> None:
    before = len(stage.directed.played.asked)
    stage.play("# a comment\nholdfast note a b\nbad two regions")
    asked = stage.directed.played.asked[before:]
    assert [(each["line"], each["who"], each["code"]) for each in asked] == [(2, "dana", 0)]
    assert stage.directed.played.bad[-1]["state"] == "two regions"
