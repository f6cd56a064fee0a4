"""Tokens from the command line: shown once, listed without their secrets, refused with reasons."""

import pytest

from tests.cli.conftest import Holdfast
from tests.surface import Installed, refused


def test_a_token_is_made_listed_used_and_revoked(
    here: Installed, holdfast: Holdfast, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = holdfast("token", "create", "omar", "--scope", "read", "--scope", "propose", "--json")
    token = made.document["token"]
    listed = holdfast("token", "list")
    assert "omar" in listed.out
    assert token not in listed.out
    assert {row["name"] for row in holdfast("token", "list", "--json").document["tokens"]} >= {
        "omar"
    }

    monkeypatch.setenv("HOLDFAST_TOKEN", token)
    assert holdfast("freeze", "--because", "maintenance").code == 0
    refused(holdfast("thaw", "--because", "done"), 1, "`thaw` is refused", "'direct'")
    refused(holdfast("token", "list"), 1, "'admin'")

    monkeypatch.setenv("HOLDFAST_TOKEN", here.token or "")
    token_id = made.document["token_id"]
    assert holdfast("token", "revoke", token_id, "--because", "left the team").code == 0
    monkeypatch.setenv("HOLDFAST_TOKEN", token)
    refused(holdfast("freeze", "--because", "x"), 1, "is revoked")

    kinds = [
        r["body"]["kind"]
        for r in map(
            __import__("json").loads, holdfast("incident", "export", "_system").out.splitlines()
        )
    ]
    assert kinds.count("request_refused") == 3


def test_a_table_shows_a_new_token_with_its_end(here: Installed, holdfast: Holdfast) -> None:
    said = holdfast("token", "create", "bot", "--kind", "agent", "--on-behalf-of", "dana")

    assert "of bot (agent), scopes read, until " in said.out
    assert "shown this once" in said.out
    assert "export HOLDFAST_TOKEN=hf_agent_" in said.out


@pytest.mark.parametrize(
    ("words", "code", "fact"),
    [
        (("token", "create", "bot", "--kind", "agent", "--scope", "direct"), 2, "'direct'"),
        (("token", "create", "x", "--kind", "king"), 2, "'king'"),
        (("token", "create", "x", "--days", "0"), 2, "--days"),
        (("token", "create", "x", "--days", "nan"), 2, "--days"),
        (("token", "revoke", "nope", "--because", "x"), 1, "token list"),
    ],
    ids=str,
)
def test_what_makes_no_sense_is_refused(
    words: tuple[str, ...], code: int, fact: str, here: Installed, holdfast: Holdfast
) -> None:
    refused(holdfast(*words), code, fact)


@pytest.mark.parametrize("token", ["garbage", "hf_person_00000000_" + "x" * 43, "\udcff\udcfe"])
def test_a_token_that_is_none_is_refused_and_not_repeated(
    token: str, here: Installed, holdfast: Holdfast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOLDFAST_TOKEN", token)

    line = refused(holdfast("freeze", "--because", "x"), 1, "HOLDFAST_TOKEN is not known here")
    assert token not in line


def test_no_token_at_all_says_where_one_comes_from(
    here: Installed, holdfast: Holdfast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HOLDFAST_TOKEN")

    refused(holdfast("freeze", "--because", "x"), 1, "HOLDFAST_TOKEN is not set", "holdfast init")
