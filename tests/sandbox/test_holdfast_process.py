"""However the product fails to answer, the sandbox says so within its time and leaves nothing."""

import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from holdfast.kernel import HoldfastError
from holdfast.sandbox.holdfast_process import ENDED, NOISE, Events, Holdfast, Serving
from holdfast.sandbox.processes import started_at

# A stand-in on the wire: it speaks the product's lines and fails in the product's place.
LISTENS = """
import json, signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
print(json.dumps({"event": "listening", "url": "http://127.0.0.1:9/", "pid": 1}), flush=True)
print("no json", flush=True)
%s
"""
WAITS = "signal.sigwait({signal.SIGTERM}); sys.exit(0)"
IGNORES = "print('{}', flush=True); signal.pause()"
Made = Callable[[str], Holdfast]


@pytest.fixture
def made(tmp_path: Path) -> Made:
    """Make an installation whose product is a few lines of Python."""

    def make(program: str) -> Holdfast:
        argv = [sys.executable, "-c", program]
        return Holdfast(tmp_path / "installation", log=tmp_path / "stderr", argv=argv)

    return make


def serve(holdfast: Holdfast, events: Events, pids: list[int] | None = None) -> Serving:
    return holdfast.serve(events, adopt=(pids if pids is not None else []).append)


def test_init_keeps_the_token_and_hands_it_to_every_later_call(made: Made) -> None:
    holdfast = made(
        "import json, os, sys; print(json.dumps({'token': os.environ.get('HOLDFAST_TOKEN', 't1'),"
        " 'dir': os.environ['HOLDFAST_DIR'], 'words': sys.argv[1:]}))"
    )
    holdfast.init()
    answer = holdfast.ask("incident", "list")
    assert answer["token"] == "t1"
    assert answer["dir"] == str(holdfast.directory)
    assert answer["words"] == ["incident", "list"]


def test_the_callers_own_settings_of_holdfast_stay_out(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOLDFAST_DATABASE_URL", "somebody's ledger")
    seen = made("import json, os; print(json.dumps(dict(os.environ)))").ask("x")
    assert "HOLDFAST_DATABASE_URL" not in seen


def test_a_call_that_takes_too_long_is_killed_and_named(made: Made) -> None:
    holdfast = made("import signal; signal.pause()")
    with pytest.raises(HoldfastError, match=r"`holdfast kv get` gave no answer within 0.2 s"):
        holdfast.call("kv", "get", timeout_s=0.2)


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("import sys; sys.exit('the ledger is gone')", "exit code 1: the ledger is gone"),
        ("print('<html>')", "answered no JSON document"),
        ("print('[1]')", "answered list, not a document"),
    ],
)
def test_an_answer_that_is_none_says_what_was_said(made: Made, program: str, words: str) -> None:
    with pytest.raises(HoldfastError, match=words):
        made(program).ask("incident", "list")


def test_serve_is_adopted_tells_its_events_and_stops_when_asked(made: Made) -> None:
    events, pids = Events(), list[int]()
    serving = serve(made(LISTENS % WAITS), events, pids)
    assert pids == [serving.pid]
    assert serving.url == "http://127.0.0.1:9"
    assert serving.running
    assert serving.stop() == 0
    seen = [events.get_nowait() for _ in range(events.qsize())]
    assert [event["event"] for event in seen] == ["listening", NOISE, ENDED]
    assert seen[-1]["code"] == 0


def test_serve_that_does_not_stop_is_killed(made: Made) -> None:
    events = Events()
    serving = serve(made(LISTENS % IGNORES), events)
    while events.get(timeout=10) != {}:
        pass
    assert serving.stop(timeout_s=0.2) == -signal.SIGKILL
    assert started_at(serving.pid) is None


def test_serve_that_dies_is_an_event_with_its_signal(made: Made) -> None:
    events = Events()
    serving = serve(made(LISTENS % "signal.raise_signal(signal.SIGKILL)"), events)
    while (event := events.get(timeout=10)).get("event") != ENDED:
        pass
    assert event["code"] == -signal.SIGKILL
    assert serving.stop() == -signal.SIGKILL


def test_serve_that_never_listens_says_what_it_said(made: Made) -> None:
    holdfast = made("import sys; sys.exit('holdfast.yaml: unknown key')")
    with pytest.raises(HoldfastError, match=r"exit code 1 before it listened.*unknown key"):
        serve(holdfast, Events())


def test_serve_that_can_not_be_adopted_does_not_stay(made: Made) -> None:
    pids = list[int]()

    def refuse(pid: int) -> None:
        pids.append(pid)
        raise HoldfastError("the keeper has ended")

    with pytest.raises(HoldfastError, match="keeper has ended"):
        made(LISTENS % WAITS).serve(Events(), adopt=refuse)
    assert started_at(pids[0]) is None


def test_a_ctrl_c_while_serve_is_started_waits_until_it_is_known(made: Made) -> None:
    pids = list[int]()

    def interrupted(pid: int) -> None:
        signal.raise_signal(signal.SIGINT)
        pids.append(pid)

    with pytest.raises(KeyboardInterrupt):
        made(LISTENS % WAITS).serve(Events(), adopt=interrupted)
    assert started_at(pids[0]) is None
