"""The one on call, as a run plays them, acts by the command line and by what it shows."""

import json
import sys
from pathlib import Path

import pytest

from holdfast.kernel import HoldfastError
from holdfast.sandbox.blueprint import Blueprint
from holdfast.sandbox.holdfast_process import Holdfast
from holdfast.sandbox.operator import Operator
from holdfast.sandbox.scenario import Move

# A stand-in for the program: shows two steps, and writes down what else it was asked.
PROGRAM = """
import json, pathlib, sys
steps = [{"step_id": "S1", "status": "blocked", "hash": "aa"},
         {"step_id": "S2", "status": %r, "hash": "bb"}]
if sys.argv[1] == "incident":
    print(json.dumps({"steps": steps}))
else:
    pathlib.Path(%r).write_text(json.dumps(sys.argv[1:]))
    print("{}") if "INC-9" not in sys.argv else sys.exit("the incident is over")
"""
APPROVE = Move(do="approve", after="approval_requested", because="the standby has everything")
DIRECT = Move(
    do="direct",
    after="held",
    action="disable_flag",
    target="{api}",
    params={"flag": "{flag}"},
    expect=('up{{service="{api}"}} == 1 for 3s in each region',),
    because="it was widened before {worker} began to fail",
)


def operator(tmp_path: Path, *, status: str = "awaiting_approval") -> Operator:
    program = PROGRAM % (status, str(tmp_path / "asked"))
    holdfast = Holdfast(tmp_path, log=tmp_path / "log", argv=(sys.executable, "-c", program))
    return Operator(holdfast, Blueprint.vary(0))


def asked(tmp_path: Path) -> list[str]:
    found: list[str] = json.loads((tmp_path / "asked").read_text(encoding="utf-8"))
    return found


def test_an_approval_names_the_waiting_step_and_its_hash(tmp_path: Path) -> None:
    said = operator(tmp_path).do(APPROVE, "INC-1")
    assert asked(tmp_path)[:5] == ["approve", "INC-1", "S2", "--hash", "bb"]
    assert "approve S2" in said


def test_with_no_step_waiting_nothing_is_approved(tmp_path: Path) -> None:
    with pytest.raises(HoldfastError, match="no step of INC-1 waits for an approval"):
        operator(tmp_path, status="verified").do(APPROVE, "INC-1")
    assert not (tmp_path / "asked").exists()


def test_a_directive_is_filled_with_the_platforms_names(tmp_path: Path) -> None:
    operator(tmp_path).do(DIRECT, "INC-1")
    assert asked(tmp_path) == [
        "direct",
        "INC-1",
        "disable_flag",
        "checkout-api",
        "--because",
        "it was widened before checkout-worker began to fail",
        "--param=flag=slim-jobs",
        '--expect=up{service="checkout-api"} == 1 for 3s in each region',
        "--json",
    ]


def test_a_refusal_is_told_with_the_products_words(tmp_path: Path) -> None:
    with pytest.raises(HoldfastError, match=r"could not direct on INC-9 .*the incident is over"):
        operator(tmp_path).do(DIRECT, "INC-9")
