"""`serve` under maintenance, with a dead-man's switch: one real process and what is seen of it."""

from collections.abc import Iterator

import pytest

from tests.app.receiver_parts import Receiver, receiver
from tests.cli.conftest import Holdfast
from tests.surface import Installed, target

SECRET = "8d1f-not-to-be-shown"
SICK = "# TYPE requests_total counter\nrequests_total 1\nin_flight 3\nqueue_age 99\n"


@pytest.fixture
def outside() -> Iterator[Receiver]:
    with receiver() as told:
        yield told


def test_serve_keeps_quiet_in_a_window_opens_after_it_and_pings_all_the_while(
    here: Installed, holdfast: Holdfast, outside: Receiver
) -> None:
    with target() as told:
        here.describe(told.url, more=f"dead_man: {{url: '{outside.url}/{SECRET}', every_s: 0.2}}\n")
        words = ("--scope", "my-api", "--for", "2h", "--because", "disks")
        assert holdfast("maintenance", "add", *words).code == 0
        with here.serving() as serving:
            outside.until(1)
            told.say(SICK)
            serving.until(lambda e: "suppressed by maintenance MW-1" in str(e.get("text")))
            assert "\nholdfast_openings_suppressed_total 1.0" in serving.page("/metrics")[1]
            (row,) = holdfast("maintenance", "list", "--json").document["windows"]
            assert row["suppressed"] == ["queue_age of my-api in eu"]
            assert holdfast("incident", "list", "--json").document["incidents"] == []

            assert holdfast("maintenance", "end", "MW-1", "--because", "done").code == 0
            serving.event("record", kind="incident_opened")
            health = serving.health()[1]["dead_man"]
            assert (health["works"], health["why"]) == (True, [])
            assert health["last_ping_at"]
            assert serving.stop() == 0
        assert SECRET not in f"{serving.events} {serving.err} {health}"
