"""When the call that undoes another is made, and when it is not: shown with commands and requests."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from holdfast.actions.command import RunCommand
from holdfast.actions.http_call import HttpCall
from holdfast.kernel.catalogue import Service
from holdfast.response.ports import ActionRequest, Effect
from tests.io_parts import catalogue, request

SERVICES = catalogue(Service(name="shop", regions=("north", "south")))
Write = Callable[[str, str], dict[str, Any]]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a program of our own, and give the command that runs it."""

    def write(name: str, text: str) -> dict[str, Any]:
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\ncd {tmp_path}\n{text}\n")
        path.chmod(0o755)
        return {"argv": [str(path)], "timeout_s": 10.0}

    return write


@pytest.fixture
def commands(write: Write) -> dict[str, dict[str, Any]]:
    """Take a host out of the names, look whether it is out, and put it back."""
    return {
        "it": {**write("out", "touch is-out"), "probe": "look", "undo": "back"},
        "look": write("look", "test -e is-out"),
        "back": write("back", "rm is-out; echo >> undone"),
    }


def attempt(action: RunCommand | HttpCall) -> ActionRequest:
    params = {"call": "it"}
    seen = action.observe("shop@north", params)
    return request(action.name, "shop@north", pre_image=seen, params=params, key="INC-1/S1/1")


def test_the_plane_of_a_command_is_what_its_probe_says(
    commands: dict[str, dict[str, Any]],
) -> None:
    action = RunCommand(SERVICES, commands)
    asked = attempt(action)
    before = action.probe(asked).data["planes"]
    action.perform(asked)

    planned = {"plane": "command it shop@north", "now": "look ended with 1"}
    intended = {"intended": "look ends with 0"}
    assert asked.pre_image["planes"] == [{**planned, **intended}]
    assert before == [{**planned, **intended, "reached": False}]
    assert action.probe(asked).data["planes"] == [
        {**planned, **intended, "now": "look ended with 0", "reached": True}
    ]


def test_without_a_probe_no_plane_is_said_to_be_reached_or_not(write: Write) -> None:
    action = RunCommand(SERVICES, {"it": write("it", "exit 0")})
    asked = attempt(action)

    assert asked.pre_image["planes"][0]["now"] == "not looked at"
    assert action.probe(asked).data == {}


def test_it_is_undone_once_and_only_while_its_effect_is_there(
    commands: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    action = RunCommand(SERVICES, commands)
    asked = attempt(action)
    never = action.undo(asked)
    action.perform(asked)

    first, second = action.undo(asked), action.undo(asked)

    assert (never.effect, never.error_category) == (Effect.ABSENT, "nothing_to_undo")
    assert first.ok
    assert (second.effect, second.error_category) == (Effect.ABSENT, "nothing_to_undo")
    assert (tmp_path / "undone").read_text() == "\n"


def test_what_was_so_before_the_step_is_not_undone_by_it(
    commands: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    (tmp_path / "is-out").touch()
    action = RunCommand(SERVICES, commands)
    asked = attempt(action)
    action.perform(asked)

    assert action.undo(asked).error_category == "nothing_to_undo"
    assert (tmp_path / "is-out").exists()


@pytest.mark.parametrize("changed", ["it", "back"])
def test_a_call_that_was_changed_since_undoes_nothing(
    commands: dict[str, dict[str, Any]], changed: str, tmp_path: Path
) -> None:
    action = RunCommand(SERVICES, commands)
    asked = attempt(action)
    action.perform(asked)
    other = {**commands, changed: {**commands[changed], "timeout_s": 11.0}}

    undone = RunCommand(SERVICES, other).undo(asked)

    assert (undone.effect, undone.error_category) == (Effect.ABSENT, "changed_since")
    assert (tmp_path / "is-out").exists()


def test_a_probe_that_cannot_look_undoes_nothing(
    commands: dict[str, dict[str, Any]], write: Write
) -> None:
    action = RunCommand(SERVICES, commands)
    asked = attempt(action)
    action.perform(asked)
    write("look", "exit 2")

    assert action.undo(asked).error_category == "unclear"


def test_a_request_is_judged_the_same() -> None:
    off = {"url": "http://127.0.0.1:1/off", "method": "POST", "expect_status": [200]}
    look = {"url": "http://127.0.0.1:1/state", "expect_status": [200]}
    action = HttpCall(SERVICES, {"it": {**off, "probe": look, "undo": "off"}, "off": off})
    asked = attempt(action)
    longer = {**off, "method": "PUT"}

    unseen = action.undo(asked)
    changed = HttpCall(SERVICES, {"it": {**off, "probe": look, "undo": "off"}, "off": longer})

    assert (unseen.effect, unseen.error_category) == (Effect.ABSENT, "unclear")
    assert "nothing was sent" in unseen.summary
    assert changed.undo(asked).error_category == "changed_since"
