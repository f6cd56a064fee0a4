"""A target that goes down is told of once, with the reason; so is its return."""

from datetime import UTC, datetime
from io import StringIO
from pathlib import Path

import numpy as np
import pytest

from holdfast.app.lock import is_serving, only_one
from holdfast.app.targets import Targets
from holdfast.app.watch import Counts, StdoutWatcher
from holdfast.engine import Tick
from holdfast.kernel.errors import RefusedError
from holdfast.sources import ScrapeFailed, ScrapeRow

AT = datetime(2026, 11, 20, tzinfo=UTC)


def row(*reasons: str) -> ScrapeRow:
    failures = tuple(
        ScrapeFailed(service="my-api", region=f"r{n}", url="http://x/", reason=reason)
        for n, reason in enumerate(reasons)
        if reason
    )
    return ScrapeRow(at=AT, values=np.empty(0), failures=failures)


def test_what_changed_is_told_and_what_did_not_is_not() -> None:
    out = StringIO()
    rows = iter([row(), row("hangs"), row("hangs longer", "is gone"), row("", "is gone"), row()])
    counts = Counts()
    targets = Targets(lambda: next(rows), StdoutWatcher(counts, as_json=False, stream=out))
    seen = []
    for _ in range(5):
        targets.tick()
        seen.append(targets.down)

    assert out.getvalue().splitlines() == [
        "my-api in r0 is down: hangs",
        "my-api in r1 is down: is gone",
        "my-api in r0 answers again",
        "my-api in r1 answers again",
    ]
    assert seen[2] == {"my-api@r0": "hangs longer", "my-api@r1": "is gone"}
    assert seen[4] == {}
    assert b'holdfast_target_up{region="r1",service="my-api"} 1.0' in counts.exposition()


def test_a_secret_in_a_reason_is_not_told() -> None:
    out = StringIO()
    watcher = StdoutWatcher(Counts(), as_json=True, stream=out)
    for tell in (watcher.on_trouble, watcher.notice):
        tell("can't reach postgresql://me:hunter2@db/x")
    watcher.on_target("a", "b", up=False, reason="http://me:hunter2@x is down")

    assert "hunter2" not in out.getvalue()
    assert watcher.last_trouble == "can't reach postgresql://me:[redacted]@db/x"


def test_trouble_is_over_after_two_calm_ticks() -> None:
    watcher = StdoutWatcher(Counts(), as_json=True, stream=StringIO())
    seen = [watcher.troubled]
    tick = Tick(
        number=1, at=AT, series=0, warm=0, anomalies=(), bare_rule=False, openings=()
    )  # fmt: skip
    watcher.on_trouble("the disk is full")
    for _ in range(3):
        seen.append(watcher.troubled)
        watcher.on_tick(tick)

    assert seen == [False, True, True, False]


def test_one_serve_holds_the_directory_and_those_who_look_do_not_disturb(tmp_path: Path) -> None:
    assert not is_serving(tmp_path)
    with only_one(tmp_path):
        assert is_serving(tmp_path)
        with pytest.raises(RefusedError, match="another `holdfast serve`"), only_one(tmp_path):
            pass
        assert is_serving(tmp_path)
    assert not is_serving(tmp_path)
    with only_one(tmp_path):
        pass
