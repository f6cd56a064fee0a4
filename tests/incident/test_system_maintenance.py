"""Maintenance on the `_system` chain: ids by place, ends that only shorten, what was kept quiet."""

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.incident import Record
from holdfast.incident.system import (
    MAINTENANCE_ADDED,
    MAINTENANCE_ENDED,
    OPENING_LET_GO,
    OPENING_SUPPRESSED,
    SystemState,
    fold_system,
)
from holdfast.kernel import format_at
from tests.scene import DANA

AT = datetime(2030, 1, 1, tzinfo=UTC)


def folded(*events: tuple[str, dict[str, Any]]) -> SystemState:
    return fold_system(
        Record(
            incident_id="_system",
            seq=n,
            kind=kind,
            at=AT + timedelta(minutes=n),
            actor=DANA,
            data=data,
        )
        for n, (kind, data) in enumerate(events, start=1)
    )


def added(hours: float = 2, scope: str = "shop") -> tuple[str, dict[str, Any]]:
    return MAINTENANCE_ADDED, {
        "scope": scope,
        "starts_at": format_at(AT),
        "ends_at": format_at(AT + timedelta(hours=hours)),
        "because": "disks",
    }


def ended(window_id: str) -> tuple[str, dict[str, Any]]:
    return MAINTENANCE_ENDED, {"window_id": window_id, "because": "done"}


def test_windows_are_numbered_in_the_order_in_which_they_were_announced() -> None:
    state = folded(added(), ("from_the_future", {}), added(scope="stock"))

    assert {name: (w.scope, w.seq, w.by) for name, w in state.maintenance.items()} == {
        "MW-1": ("shop", 1, "dana"),
        "MW-2": ("stock", 3, "dana"),
    }


def test_ending_a_window_only_ever_makes_it_shorter() -> None:
    state = folded(added(), ended("MW-1"), ended("MW-1"), ended("MW-9"))
    assert state.maintenance["MW-1"].ends_at == AT + timedelta(minutes=2)
    assert state.maintenance["MW-1"].ended_by == "dana"

    over = folded(added(hours=0.01), ended("MW-1"))
    assert over.maintenance["MW-1"].ends_at == AT + timedelta(hours=0.01)
    assert over.maintenance["MW-1"].ended_by is None


def test_what_was_kept_quiet_is_listed_once_for_each_window() -> None:
    def quiet(*series: str) -> tuple[str, dict[str, Any]]:
        return OPENING_SUPPRESSED, {"windows": ["MW-1", "weekly-1/2030-01-05"], "series": series}

    state = folded(added(), quiet("up of shop in east"), quiet("up of shop in east", "errors"))
    assert state.suppressed["MW-1"] == ("up of shop in east", "errors")
    assert set(state.suppressed) == {"MW-1", "weekly-1/2030-01-05"}


SERIES = st.lists(st.sampled_from(["up", "errors", "latency"]), min_size=1, max_size=3)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([OPENING_SUPPRESSED, OPENING_LET_GO]), SERIES)))
def test_what_is_still_kept_quiet_is_what_was_not_let_go_since(
    events: list[tuple[str, list[str]]],
) -> None:
    more = {"windows": ["MW-1"], "facts": {"why": "x"}}
    state = folded(*((kind, {"series": series, **more}) for kind, series in events))

    last = {name: kind for kind, series in events for name in series}
    assert set(state.kept_quiet) == {n for n, kind in last.items() if kind == OPENING_SUPPRESSED}


def test_what_an_older_version_kept_quiet_is_counted_and_cannot_be_told() -> None:
    state = folded((OPENING_SUPPRESSED, {"windows": ["MW-1"], "series": ["up"]}))

    assert state.suppressed == {"MW-1": ("up",)}
    assert state.kept_quiet == {}
