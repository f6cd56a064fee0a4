"""`serve` signs what it writes, sends it away, and says when nobody takes it."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from holdfast.app.heads import kept_heads, trusted_keys
from tests.surface import WAIT_S, Installed, installed, target

MORE = """\
heads:
  every_s: {every_s}
  export: [{{file: {file}}}, {{webhook: "http://127.0.0.1:9/s3cret", token: s3cret}}]
"""


@pytest.fixture
def site(tmp_path: Path) -> Installed:
    return installed(tmp_path / "site")


def eventually(holds: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + WAIT_S
    while not holds():
        assert time.monotonic() < deadline, what


def heads_of(path: Path, incident_id: str) -> list[int]:
    kept = kept_heads(path) if path.exists() else []
    return [one.mark.seq for one in kept if one.mark.incident_id == incident_id]


def test_serve_signs_on_a_schedule_exports_and_tells_of_a_receiver_that_is_down(
    site: Installed, tmp_path: Path
) -> None:
    away = tmp_path / "away.jsonl"
    with target() as told:
        site.describe(told.url, more=MORE.format(every_s=0.2, file=away))
        with site.serving() as serving:
            serving.event("tick")
            told.say("queue_age 99\nin_flight 1\n")
            serving.event("record", kind="incident_opened")
            eventually(lambda: heads_of(away, "INC-1"), "no head of INC-1 was exported")
            code, health = serving.health()
            assert (code, health["status"]) == (200, "ok"), "nobody should restart it for this"
            assert "webhook 127.0.0.1:9 can't be reached" in health["heads"][0]
            assert serving.stop() == 0
        said = site.run("incident", "verify", "INC-1", "--json").document

    assert (said["ok"], said["signed_up_to_seq"]) == (True, said["records"]), "all, once it stopped"
    keys = trusted_keys(site.directory)
    assert all(keys[one.key_id].made(one) for one in kept_heads(away))
    told_of = [e for e in serving.events if e.get("event") == "notice"]
    assert len([e for e in told_of if "webhook" in e["text"]]) == 1, "said once, not every round"
    assert "s3cret" not in str(serving.events) + serving.err + str(health)


def test_an_incident_that_ends_is_signed_at_once(site: Installed, tmp_path: Path) -> None:
    away = tmp_path / "away.jsonl"
    with target() as told:
        site.describe(told.url, more=MORE.format(every_s=3600, file=away))
        with site.serving() as serving:
            serving.event("tick")
            told.say("queue_age 99\nin_flight 1\n")
            serving.event("record", kind="incident_opened")
            told.say("queue_age 0\nin_flight 1\n")
            site.run("incident", "dismiss", "INC-1", "--because", "a test of the alarm")
            seq = serving.event("record", kind="dismissed")["seq"]
            eventually(lambda: seq in heads_of(away, "INC-1"), "its last head was not exported")
