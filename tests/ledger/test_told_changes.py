"""Changes that were told: every store keeps them, once, and gives the newest of them in order."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from holdfast.kernel import LedgerUnavailableError
from holdfast.kernel.clock import format_at
from holdfast.response.store import Ledger
from tests.ledger.ledger_parts import START
from tests.ledger.twins import Twin


def change(name: str, after_s: float = 0.0, **more: object) -> dict[str, Any]:
    return {
        "id": name,
        "at": format_at(START + timedelta(seconds=after_s)),
        "kind": "deploy",
        "service": "shop",
        "summary": "ünïcode",
        "author": "ann",
        **more,
    }


def ids(changes: tuple[Mapping[str, Any], ...]) -> list[str]:
    return [one["id"] for one in changes]


def test_a_change_is_kept_once_as_it_was_told_first(ledger: Ledger) -> None:
    first = change("c-1", files=["a.py"], diff="-a\n+b")

    assert ledger.put_change(first) is True
    assert ledger.put_change(change("c-1", 9.0, summary="another")) is False
    assert ledger.changes_since(START) == (first,)


def test_changes_come_oldest_first_from_a_moment_on(ledger: Ledger) -> None:
    for name, after_s in (("c-3", 3.0), ("c-1", 1.0), ("c-b", 2.0), ("c-B", 2.0)):
        ledger.put_change(change(name, after_s))

    assert ids(ledger.changes_since(START)) == ["c-1", "c-B", "c-b", "c-3"]
    assert ids(ledger.changes_since(START + timedelta(seconds=2))) == ["c-B", "c-b", "c-3"]
    assert ledger.changes_since(START + timedelta(seconds=4)) == ()


def test_of_too_many_changes_the_newest_are_given(ledger: Ledger) -> None:
    for second in range(5):
        ledger.put_change(change(f"c-{second}", second))

    assert ids(ledger.changes_since(START, limit=2)) == ["c-3", "c-4"]


def test_a_change_outlives_the_process(durable: Twin) -> None:
    durable.ledger.put_change(change("c-1"))
    again = durable.reopened()

    assert ids(again.changes_since(START)) == ["c-1"]
    assert again.put_change(change("c-1")) is False


def test_a_change_is_not_said_to_be_kept_by_a_closed_store(ledger: Ledger) -> None:
    ledger.close()
    with pytest.raises(LedgerUnavailableError):
        ledger.put_change(change("c-1"))
