"""Pages as they leave the house: each call has a key of its own, each repeat the same one."""

from pytest_httpserver import HTTPServer

from holdfast.app.pager import ContactPager
from holdfast.incident import Kind, State, fold
from holdfast.kernel.catalogue import Contact
from tests.commanded_scene import chartered
from tests.scene import Scene, up_to_plan

TEAM = Contact(id="team", name="The team", page=("webhook",))


def test_a_second_call_of_the_same_level_is_another_page_and_a_repeat_is_none(
    httpserver: HTTPServer,
) -> None:
    httpserver.expect_request("/page", method="POST").respond_with_data("thanks")
    pager = ContactPager(httpserver.url_for("/page"))
    scene = Scene()
    up_to_plan(scene)
    chartered(scene)
    states: list[State] = []
    for why in ("no runbook fits", "dana has said nothing for 10 min"):
        scene.add(Kind.ESCALATED, {"level": 1, "why": why, "since": "now"})
        states.append(fold(scene.records, "INC-1"))
    for state in (*states, states[-1]):
        pager.send(state, TEAM, level=1, why="w", packet={}, markdown="# INC-1")

    first, second, again = [sent.headers["Idempotency-Key"] for sent, _ in httpserver.log]
    assert first != second == again
