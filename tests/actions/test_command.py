"""Real programs, run as the configuration names them; what they did is told by their own files."""

import os
import signal
import stat
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from holdfast.actions.child import OUTPUT_BYTES_MAX
from holdfast.actions.command import RunCommand
from holdfast.actions.executable import check_executable
from holdfast.kernel.catalogue import Service
from holdfast.kernel.errors import BadInputError
from holdfast.response.ports import (
    ActionRequest,
    Effect,
    LostReplyError,
    Repeatability,
    TargetUnreachableError,
)
from tests.io_parts import catalogue, request

SERVICES = catalogue(Service(name="shop", regions=("north", "south")), Service(name="cdn"))
Write = Callable[..., str]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a program of our own, as an operator would."""

    def write(text: str, name: str = "tool") -> str:
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\ncd {tmp_path}\n{text}\n")
        path.chmod(0o755)
        return str(path)

    return write


def command(*argv: str, **more: object) -> dict[str, Any]:
    return {"argv": list(argv), "timeout_s": 10.0, **more}


def action(**commands: dict[str, Any]) -> RunCommand:
    return RunCommand(SERVICES, commands)


def attempt(made: RunCommand, target: str = "shop@north", timeout_s: float = 20.0) -> ActionRequest:
    params = {"call": "it"}
    seen = made.observe(target, params)
    return request(
        "command", target, pre_image=seen, params=params, key="INC-1/S1/1", timeout_s=timeout_s
    )


def test_it_gets_its_arguments_key_and_fence_and_almost_nothing_else(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOLDFAST_TOKEN", "hf_person_secret")
    program = write('env > seen; printf "%s\\n" "$@" > arguments; readlink /proc/self/fd/0 > stdin')
    made = action(it=command(program, "--of=${service}", "${region}; rm x", env={"A": "b"}))

    outcome = made.perform(attempt(made))

    seen = dict(line.split("=", 1) for line in (tmp_path / "seen").read_text().splitlines())
    assert (outcome.ok, outcome.effect, outcome.return_code) == (True, Effect.PRESENT, 0)
    assert (tmp_path / "arguments").read_text() == "--of=shop\nnorth; rm x\n"
    assert (tmp_path / "stdin").read_text() == "/dev/null\n"
    assert (seen["HOLDFAST_KEY"], seen["HOLDFAST_FENCE"]) == ("INC-1/S1/1", "1")
    assert (seen["HOLDFAST_INCIDENT"], seen["A"]) == ("INC-1", "b")
    assert "HOLDFAST_TOKEN" not in seen
    assert set(seen) <= {
        "A", "HOLDFAST_KEY", "HOLDFAST_FENCE", "HOLDFAST_INCIDENT", "HOLDFAST_TARGET", "PATH",
        "LANG", "HOME", "PWD", "OLDPWD", "SHLVL", "_",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("code", "effect"), [(0, Effect.PRESENT), (3, Effect.ABSENT), (1, Effect.UNKNOWN)]
)
def test_an_exit_code_says_what_it_says_and_no_more(
    write: Write, code: int, effect: Effect
) -> None:
    made = action(it=command(write(f"echo out; echo err >&2; exit {code}"), refuses=[3]))

    outcome = made.perform(attempt(made))

    assert (outcome.ok, outcome.effect, outcome.return_code) == (code == 0, effect, code)
    assert outcome.output == "out\nerr\n"


def test_one_that_takes_too_long_is_ended_with_all_it_started_and_is_in_doubt(
    write: Write, tmp_path: Path
) -> None:
    program = write("echo began; sleep 30 & echo $! > child; trap '' TERM; wait; sleep 30")
    made = action(it=command(program))
    asked = attempt(made, timeout_s=1.0)
    began = time.monotonic()

    with pytest.raises(LostReplyError, match=r"did not end within 1 s and was ended; .*began"):
        made.perform(asked)

    assert time.monotonic() - began < 10
    assert _is_gone(int((tmp_path / "child").read_text()))


def test_what_it_leaves_behind_is_ended_and_holds_nothing_up(write: Write, tmp_path: Path) -> None:
    made = action(it=command(write("sleep 30 & echo $! > child; echo done")))

    outcome = made.perform(attempt(made))

    assert (outcome.ok, outcome.output) == (True, "done\n")
    assert _is_gone(int((tmp_path / "child").read_text()))


def test_a_daemon_outlives_it_and_holds_nothing_up(write: Write, tmp_path: Path) -> None:
    daemon_of_its_own = "setsid sh -c 'echo $$ > child; exec sleep 30' &"
    made = action(
        it=command(write(f"{daemon_of_its_own} until test -s child; do :; done; echo done"))
    )

    began = time.monotonic()
    outcome = made.perform(attempt(made))

    daemon = int((tmp_path / "child").read_text())
    assert (outcome.ok, outcome.output, time.monotonic() - began < 10) == (True, "done\n", True)
    os.kill(daemon, signal.SIGKILL)


def _is_gone(pid: int) -> bool:
    """Wait until a process has ended; one that nobody has waited for yet has ended too."""
    give_up = time.monotonic() + 5
    while time.monotonic() < give_up:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True
    return False


def test_a_flood_of_output_is_read_and_its_end_is_kept(write: Write) -> None:
    made = action(it=command(write("head -c 3000000 /dev/zero | tr '\\0' x; echo end")))

    output = made.perform(attempt(made)).output

    assert output.endswith("xend\n")
    assert "bytes before this were cut" in output
    assert len(output) < OUTPUT_BYTES_MAX + 100


def test_a_secret_of_its_environment_is_not_in_its_output(write: Write) -> None:
    made = action(it=command(write('echo "with $PASS_KEY"'), env={"PASS_KEY": "sesame-opens"}))

    assert made.perform(attempt(made)).output == "with [redacted]\n"


@pytest.mark.promise("L8")
def test_the_probe_is_a_command_too_and_what_was_there_before_proves_nothing(
    write: Write, tmp_path: Path
) -> None:
    made = action(
        it=command(write("touch done", "it"), probe="look", undo="back"),
        look=command(write("test -e done", "look")),
        back=command(write("rm done", "back")),
    )
    asked = attempt(made)

    before, _, after = made.probe(asked), made.perform(asked), made.probe(asked)
    again = made.probe(attempt(made))
    undone = made.undo(asked)

    assert (before.effect, after.effect) == (Effect.ABSENT, Effect.PRESENT)
    assert again.effect is Effect.UNKNOWN
    assert "so it was before" in again.evidence
    assert undone.ok
    assert not (tmp_path / "done").exists()
    assert made.repeatability is Repeatability.PROBEABLE
    assert action(it=command(write("exit 0"))).repeatability is Repeatability.NONE


def test_a_probe_that_fails_otherwise_tells_nothing(write: Write) -> None:
    made = action(
        it=command(write("exit 0", "it"), probe="look"), look=command(write("exit 2", "look"))
    )

    assert made.probe(attempt(made)).effect is Effect.UNKNOWN


def test_a_program_that_was_exchanged_since_it_was_looked_at_is_not_run(
    write: Write, tmp_path: Path
) -> None:
    made = action(it=command(write("exit 0")))
    asked = attempt(made)
    write("touch run")

    assert made.perform(asked).error_category == "changed_meanwhile"
    assert not (tmp_path / "run").exists()


def test_a_program_that_everybody_may_write_since_is_not_run(write: Write) -> None:
    made = action(it=command(write("exit 0")))
    asked = attempt(made)
    path = Path(asked.pre_image["executable"])
    path.chmod(0o777)

    assert made.observe("shop@north", {"call": "it"})["reachable"] is False
    with pytest.raises(TargetUnreachableError, match="may be written by everybody"):
        made.perform(asked)


def test_a_command_that_was_changed_since_is_not_run(write: Write) -> None:
    asked = attempt(action(it=command(write("exit 0"))))
    changed = action(it=command(asked.pre_image["executable"], "--more"))

    assert changed.perform(asked).error_category == "changed_meanwhile"
    assert changed.probe(asked).effect is Effect.UNKNOWN


def test_what_cannot_be_started_was_certainly_not_run(write: Write, tmp_path: Path) -> None:
    made = action(it=command(write("exit 0"), cwd=str(tmp_path / "nowhere")))

    with pytest.raises(TargetUnreachableError, match="nothing was run"):
        made.perform(attempt(made))


@pytest.mark.parametrize(
    "name",
    ["sh", "bash", "python3", "python3.11", "perl5.36", "env", "sudo", "xargs", "find", "awk", "ssh",
     "busybox", "node", "timeout", "ld-linux-x86-64.so.2", "systemd-run"],
)  # fmt: skip
def test_an_interpreter_is_refused_by_its_name(write: Write, name: str) -> None:
    with pytest.raises(ValueError, match="whose arguments would be the program"):
        check_executable(write("exit 0", name))


def test_an_interpreter_is_refused_behind_links_of_other_names(tmp_path: Path) -> None:
    (tmp_path / "bin").symlink_to("/usr/bin")
    (tmp_path / "second").symlink_to("bin/env")
    (tmp_path / "tool").symlink_to("second")
    (tmp_path / "mine").symlink_to(sys.executable)
    for name in ("tool", "mine", "bin/env"):
        with pytest.raises(ValueError, match="whose arguments would be the program"):
            check_executable(str(tmp_path / name))


def test_an_interpreter_is_refused_by_a_hard_link_of_another_name(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = write("exit 0", "harmless")
    monkeypatch.setattr(sys, "executable", real)
    os.link(real, tmp_path / "tool")

    with pytest.raises(ValueError, match="whose arguments would be the program"):
        check_executable(str(tmp_path / "tool"))


def test_an_interpreter_is_refused_as_a_copy_of_another_name(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", write("exit 0", "harmless"))

    with pytest.raises(ValueError, match=r"is a copy of .*whose arguments would be the program"):
        check_executable(write("exit 0", "tool"))
    assert check_executable(write("exit 1", "other"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a link away")
def test_a_link_of_somebody_else_on_the_way_is_refused(write: Write, tmp_path: Path) -> None:
    program, link = write("exit 0"), tmp_path / "link"
    link.symlink_to(program)
    tmp_path.chmod(0o1777)
    assert check_executable(str(link))
    os.lchown(link, 12345, 12345)

    with pytest.raises(ValueError, match="belongs to another user"):
        check_executable(str(link))


def test_a_path_that_others_can_change_is_refused(write: Write, tmp_path: Path) -> None:
    program = write("exit 0")
    tmp_path.chmod(0o777)
    with pytest.raises(ValueError, match="may be written by everybody"):
        check_executable(program)
    tmp_path.chmod(0o1777)
    assert check_executable(program) == program, "sticky, and the file is ours"
    if os.geteuid() == 0:
        os.chown(program, 12345, 0)
        with pytest.raises(ValueError, match="belongs to another user"):
            check_executable(program)


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("", "absolute"),
        ("tool", "absolute"),
        ("/opt/../bin/true", "absolute"),
        ("/nonexistent/tool", "can't be read"),
        ("/etc/passwd", "no file that can be run"),
        ("/etc", "no file that can be run"),
    ],
)
def test_what_is_no_program_is_refused(path: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        check_executable(path)


def test_links_that_lead_in_a_circle_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")

    with pytest.raises(ValueError, match="more than 40 links"):
        check_executable(str(tmp_path / "a"))


def test_no_file_is_made_readable_for_others_by_it(write: Write, tmp_path: Path) -> None:
    made = action(it=command(write("touch made")))
    made.perform(attempt(made))

    assert stat.S_IMODE((tmp_path / "made").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("target", "params", "field"),
    [
        ("nobody", {"call": "it"}, "target"),
        ("shop@north", {"call": "other"}, "params.call"),
        ("shop@north", {"call": "it", "argv": ["/bin/x"]}, "params.argv"),
        ("cdn", {"call": "it", "values": {"region": "-rf"}}, "params.values.region"),
    ],
)
def test_bad_input_is_refused_before_anything_is_run(
    write: Write, tmp_path: Path, target: str, params: dict[str, object], field: str
) -> None:
    made = action(it=command(write("touch run"), "${region}"))

    with pytest.raises(BadInputError) as refused:
        made.observe(target, params)
    with pytest.raises(TargetUnreachableError, match="nothing was sent"):
        made.perform(replace(request("command", target), params=params))

    assert refused.value.field == field
    assert not (tmp_path / "run").exists()
