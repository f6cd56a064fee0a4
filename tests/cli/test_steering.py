"""mode and override from the command line: who may, what makes sense, and what is recorded."""

import json
from typing import Any

import pytest

from tests.cli.conftest import Holdfast
from tests.surface import Installed, refused


def recorded(holdfast: Holdfast) -> list[dict[str, Any]]:
    """Read the `_system` chain as anybody can."""
    rows = holdfast("incident", "export", "_system").out.splitlines()
    return [json.loads(row)["body"] for row in rows]


def test_a_mode_is_set_and_taken_back_without_a_running_serve(
    here: Installed, holdfast: Holdfast
) -> None:
    here.describe()
    assert holdfast("mode", "observe", "--because", "an audit").out == (
        "all: at most observe from now on\n"
    )
    for scope in ("my-api", "service:my-api"):
        said = holdfast("mode", "guided", "--scope", scope, "--because", "storage", "--json")
        assert said.document["scope"] == "service:my-api"
    refused(
        holdfast("mode", "configured", "--scope", "my-db", "--because", "x"), 2, "'service:my-db'"
    )
    back = holdfast("mode", "configured", "--because", "the audit is over")
    assert back.out == "all: as configured again\n"
    refused(holdfast("mode", "configured", "--because", "x"), 1, "scopes with one: service:my-api")

    found = [r for r in recorded(holdfast) if r["kind"].startswith("mode_")]
    assert [r["kind"] for r in found] == ["mode_set", "mode_set", "mode_set", "mode_cleared"]
    assert found[0]["data"] == {"scope": "all", "mode": "observe", "because": "an audit"}
    assert holdfast("incident", "verify", "_system").code == 0


def test_what_is_sent_twice_under_a_key_is_set_once_whatever_happened_since(
    here: Installed, holdfast: Holdfast
) -> None:
    here.describe()
    freeze = ("freeze", "--because", "storage", "--idempotency-key", "k1")
    thaw = ("thaw", "--because", "done", "--idempotency-key", "k2")
    lower = ("mode", "observe", "--because", "an audit", "--idempotency-key", "k3")
    for words in (freeze, thaw, lower):
        first = holdfast(*words)
        assert (first.code, holdfast(*words)) == (0, first)
    holdfast(*freeze)

    kinds = [record["kind"] for record in recorded(holdfast)]
    assert [kinds.count(kind) for kind in ("frozen", "thawed", "mode_set")] == [1, 1, 1]
    refused(holdfast(*thaw[:2], "another word", *thaw[3:]), 1, "used for something else")
    refused(holdfast("freeze", "--because", "x" * 10_001), 2, "at most 10000")
    refused(holdfast("freeze", "--because", "\udcff"), 2, "because is no text in UTF-8")


@pytest.mark.parametrize(
    ("words", "code", "fact"),
    [
        (("mode", "fast", "--because", "x"), 2, "configured"),
        (("mode", "observe", "--scope", "region:eu", "--because", "x"), 2, "'region:eu'"),
        (("mode", "observe", "--scope", "", "--because", "x"), 2, "scope"),
        (("mode", "observe", "--scope", "service:my-ap", "--because", "x"), 2, "my-api"),
        (("mode", "observe", "--scope", "runbook:x", "--because", "x"), 2, "no runbook here"),
        (("mode", "INC-9", "observe", "--because", "x"), 1, "is not known"),
        (("mode", "INC-1", "observe", "--scope", "my-api", "--because", "x"), 2, "too much"),
        (("mode", "a", "b", "c", "--because", "x"), 2, "too much"),
        (("mode", "observe"), 2, "--because"),
        (("override", "INC-9", "cooldown", "--because", "x"), 1, "is not known"),
        (("override", "INC-1", "coldown", "--because", "x"), 2, "'cooldown'"),
        (("override", "INC-1", "always_approve", "--because", "x"), 2, "can't be raised"),
        (("override", "INC-1", "cooldown"), 2, "--because"),
    ],
    ids=lambda value: " ".join(value[:3]) if isinstance(value, tuple) else str(value),
)
def test_what_makes_no_sense_is_refused_and_sets_nothing(
    words: tuple[str, ...], code: int, fact: str, here: Installed, holdfast: Holdfast
) -> None:
    here.describe()

    refused(holdfast(*words), code, fact)
    kinds = {record["kind"] for record in recorded(holdfast)}
    assert not kinds & {"mode_set", "override_granted"}


@pytest.mark.parametrize(
    ("kind", "scopes", "words", "why"),
    [
        ("agent", ("propose",), ("mode", "observe"), "an agent's token can never direct"),
        ("agent", ("propose",), ("override", "INC-1", "cooldown"), "an agent's token can never"),
        ("service", ("propose",), ("mode", "configured"), "a service's token can never"),
        ("person", ("approve",), ("mode", "observe"), "'direct'"),
        ("person", ("direct",), ("override", "INC-1", "cooldown"), "'approve'"),
    ],
)
def test_who_may_not_set_it_is_refused_on_the_record(
    kind: str,
    scopes: tuple[str, ...],
    words: tuple[str, ...],
    why: str,
    here: Installed,
    holdfast: Holdfast,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wanted = [word for scope in scopes for word in ("--scope", scope)]
    made = holdfast("token", "create", "bot", "--kind", kind, *wanted, "--json")
    monkeypatch.setenv("HOLDFAST_TOKEN", made.document["token"])

    refused(holdfast(*words, "--because", "x"), 1, f"`{words[0]}", "is refused", why)
    last = recorded(holdfast)[-1]
    assert (last["kind"], last["actor"]["id"]) == ("request_refused", "bot")
    assert words[0] in last["data"]["what"]
