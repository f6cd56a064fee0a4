"""The would-have-done report: each comparison from a small ledger, and nothing that isn't known."""

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import pytest

from holdfast.incident import Kind, Record
from holdfast.kernel import format_at
from holdfast.learning import Report, would_have, would_have_text
from holdfast.learning.by_people import is_rollback
from holdfast.learning.would_have import NEVER_KNOWN, Compared, Told
from tests.scene import (
    DANA,
    START,
    Scene,
    checked,
    diagnosed,
    held,
    opened,
    planned,
    proposed,
    reason,
    signal,
    up_to_plan,
)

Change = Mapping[str, Any]
DAY = timedelta(days=1)


def watching(incident_id: str = "INC-1") -> Scene:
    """An incident in mode observe, up to its plan."""
    scene = Scene(incident_id)
    opened(scene, mode="observe")
    checked(scene)
    diagnosed(scene)
    planned(scene)
    return scene


def shown(
    scene: Scene,
    *,
    step_id: str = "S1",
    approval: bool = False,
    **more: Any,  # noqa: ANN401 - any key of the record
) -> Record:
    """A step that only the mode observe stood in the way of."""
    proposed(scene, step_id=step_id, **more)
    grounds = [reason("observe: nothing is performed", ok=False, rule="observe")]
    if approval:
        grounds.append(reason("it has high impact", ok=False, rule="impact"))
    verdict = {"decision": "refuse", "would_have": True, "reasons": grounds}
    data = {"step_id": step_id, "verdict": verdict, "why": "mode observe: nothing was done"}
    return scene.add(Kind.STEP_BLOCKED, data)


def did(scene: Scene, action: str, target: str, *, after_s: float = 240.0) -> Record:
    data = {"action": action, "target": target, "because": "it hung", "observed": {}}
    return scene.add(Kind.MANUAL_ACTION_REPORTED, data, actor=DANA, after_s=after_s)


def back(scene: Scene, *, after_s: float = 60.0) -> None:
    """Every series comes back, and Holdfast says so."""
    for region in ("east", "west"):
        found = signal(region, state="returned", value=0.003, reason="back")
        scene.add(Kind.SIGNAL_ATTACHED, {"signal": found, "baselines": {}}, after_s=after_s)
    scene.add(Kind.RESOLVED, {"why": "every series is back", "by_step": None}, after_s=60)


def deployed(version: str, previous: str | None, after_s: float, **more: object) -> Change:
    return {
        "id": f"d-{version}-{after_s:g}",
        "at": format_at(START + timedelta(seconds=after_s)),
        "kind": "deploy",
        "service": "shop-api",
        "version": version,
        "previous": previous,
        "author": "ravi",
        "summary": f"release {version}",
        **more,
    }


def report(*scenes: Scene, changes: Sequence[Change] = ()) -> Report:
    chains = [scene.records for scene in scenes]
    return would_have(chains, changes, since=START - DAY, until=START + DAY)


def only(scene: Scene, changes: Sequence[Change] = ()) -> Told:
    (told,) = report(scene, changes=changes).incidents
    return told


def test_a_person_who_did_the_same_agreed_and_it_says_how_much_earlier() -> None:
    scene = watching()
    shown(scene)
    did(scene, "rollback_deploy", "shop-api")
    back(scene)

    (step,) = only(scene).steps
    assert step.compared is Compared.AGREED
    assert step.earlier_s == 240.0
    assert "dana did rollback_deploy on shop-api" in step.why
    assert report(scene).figures()["minutes_earlier_median"] == 4.0


def test_a_deployment_that_puts_the_earlier_version_back_is_a_rollback_nobody_has_to_report() -> (
    None
):
    scene = watching()
    step_at = shown(scene).at
    back(scene, after_s=600)
    changes = [deployed("2.4.0", "2.3.9", -90), deployed("2.3.9", "2.4.0", 300)]

    told = only(scene, changes)
    (step,) = told.steps
    assert step.compared is Compared.AGREED
    assert step.earlier_s == (START + timedelta(seconds=300) - step_at).total_seconds()
    assert told.people[0].by == "ravi"
    assert told.changes == ()


def test_a_rollback_after_the_trouble_was_gone_makes_the_step_needless() -> None:
    scene = watching()
    shown(scene)
    back(scene, after_s=10)
    scene.add(Kind.NOTE, {"text": "still looking"}, actor=DANA, after_s=3600)
    changes = [deployed("2.4.0", "2.3.9", -90), deployed("2.3.9", "2.4.0", 600)]

    (step,) = only(scene, changes).steps
    assert step.compared is Compared.NEEDLESS
    assert "by then the trouble was gone" in step.why


def test_what_is_only_reported_after_the_end_agrees_without_a_figure() -> None:
    scene = watching()
    shown(scene)
    back(scene, after_s=10)
    scene.records.pop()  # not resolved yet
    did(scene, "rollback_deploy", "shop-api@east")

    (step,) = only(scene).steps
    assert step.compared is Compared.AGREED
    assert step.earlier_s is None
    assert "how much earlier is not recorded" in step.why


@pytest.mark.parametrize(
    ("action", "target", "compared"),
    [
        ("rollback_deploy", "shop-api@west", Compared.AGREED),
        ("rollback_deploy", "shop-db", Compared.OTHER_TARGET),
        ("restart_service", "shop-api", Compared.DIFFERENT),
    ],
)
def test_something_else_is_not_agreement(action: str, target: str, compared: Compared) -> None:
    scene = watching()
    shown(scene)
    did(scene, action, target)

    (step,) = only(scene).steps
    assert step.compared is compared
    assert "it hung" in step.why


def test_the_opposite_is_named_as_such() -> None:
    scene = watching()
    shown(scene, action="drain_pool", target="shop-api@east")
    did(scene, "undrain_pool", "shop-api@east")

    assert only(scene).compared is Compared.CONTRADICTING


def test_trouble_that_ends_without_anybody_made_the_step_needless() -> None:
    scene = watching()
    shown(scene)
    back(scene)

    told = only(scene)
    assert told.compared is Compared.NEEDLESS
    assert "nobody reported anything" in told.steps[0].why
    assert "it ended 2 min 0 s after the step" in told.steps[0].why


def test_where_something_was_changed_meanwhile_nobody_can_tell() -> None:
    scene = watching()
    shown(scene)
    back(scene)
    told = only(scene, [deployed("2.5.0", "2.4.0", 20)])

    assert told.compared is Compared.UNCLEAR
    assert "deploy d-2.5.0-20 of shop-api" in told.steps[0].why
    assert only(scene, [deployed("2.5.0", "2.4.0", 20, service="mail")]).compared is (
        Compared.NEEDLESS
    )


def test_while_it_goes_on_nothing_is_judged() -> None:
    scene = watching()
    shown(scene)

    assert only(scene).compared is Compared.STILL_OPEN


@pytest.mark.parametrize("how", ["dismissed", "labelled"])
def test_on_a_false_alarm_the_step_would_have_been_wrong_whatever_people_did(how: str) -> None:
    scene = watching()
    shown(scene)
    did(scene, "rollback_deploy", "shop-api")
    if how == "dismissed":
        scene.add(Kind.DISMISSED, {"why": "a load test"}, actor=DANA)
    else:
        back(scene)
        scene.add(Kind.LABELLED, {"label": "false_alarm", "because": "a load test"}, actor=DANA)

    told = only(scene)
    assert told.compared is Compared.FALSE_ALARM
    assert "a load test" in told.steps[0].why


def test_people_who_acted_where_nothing_would_have_been_done_is_missed_with_the_reason() -> None:
    scene = Scene("INC-2")
    opened(scene, mode="observe")
    checked(scene)
    diagnosed(scene)
    why = "no runbook fits high_error_rate on shop-api"
    planned(scene, None, steps=[], why=why)
    held(scene, why)
    did(scene, "restart_service", "shop-api")

    told = only(scene)
    assert told.compared is Compared.MISSED
    assert why in told.why
    assert report(scene).figures()["missed"] == 1


def test_a_blip_that_nobody_touched_is_quiet_on_either_side() -> None:
    scene = Scene()
    opened(scene, mode="observe")
    checked(scene)
    scene.add(Kind.DISMISSED, {"why": "false alarm: no check found trouble"})

    assert only(scene).compared is Compared.QUIET


def test_an_alert_that_says_resolved_is_no_end_of_the_trouble() -> None:
    scene = watching()
    shown(scene)
    alert = signal("east", name="alert", state="returned", series="alert Slow of shop-api in east")
    scene.add(Kind.SIGNAL_ATTACHED, {"signal": alert, "baselines": {}})

    assert only(scene).gone_at is None
    assert only(scene).compared is Compared.STILL_OPEN


def test_what_was_really_performed_is_no_part_of_it() -> None:
    scene = Scene()
    up_to_plan(scene)

    assert report(scene).incidents == ()


def test_only_what_happened_in_the_time_is_told() -> None:
    scene = watching()
    shown(scene)

    later = would_have([scene.records], [], since=START + DAY, until=START + 2 * DAY)
    assert later.incidents == ()
    did(scene, "restart_service", "shop-api", after_s=DAY.total_seconds())
    later = would_have([scene.records], [], since=START + DAY, until=START + 2 * DAY)
    assert [told.incident_id for told in later.incidents] == ["INC-1"]


@pytest.mark.parametrize(
    ("before", "version", "rolls_back"),
    [
        ([("2", "1")], "1", True),
        ([("1", None), ("2", None)], "1", True),
        ([("1", None), ("2", None)], "2", False),
        ([("2", "1")], "3", False),
        ([], "1", False),
    ],
)
def test_a_rollback_is_a_version_that_was_there_before_the_last_one(
    *, before: list[tuple[str, str | None]], version: str, rolls_back: bool
) -> None:
    known = [deployed(new, old, n) for n, (new, old) in enumerate(before)]

    assert is_rollback(deployed(version, None, 99), known) is rolls_back


def full() -> Report:
    agreed, needless, wrong = watching("INC-1"), watching("INC-2"), watching("INC-3")
    shown(agreed, approval=True)
    did(agreed, "rollback_deploy", "shop-api")
    shown(needless)
    back(needless)
    shown(wrong)
    did(wrong, "restart_service", "shop-db|x")
    chains = [scene.records for scene in (agreed, needless, wrong)]
    return would_have(
        chains,
        [deployed("2.5.0", "2.4.0", 20)],
        since=START - DAY,
        until=START + DAY,
        unread=["deployments can't be read"],
    )


def test_the_page_has_the_figures_what_speaks_against_it_and_each_incident() -> None:
    text = would_have_text(full())

    assert NEVER_KNOWN in text
    assert "| Steps that would have been performed | 3 |" in text
    assert "**Not read, so it is missing here:** deployments can't be read" in text
    wrong = text.partition("## What would have been wrong")[2].partition("## Incidents")[0]
    assert "INC-3: rollback_deploy on shop-api may have been wrong or not needed" in wrong
    assert "INC-1" not in wrong
    assert "rollback_deploy on shop-api, after an approval (#7)" in text
    assert "Reported at 2030-01-01" in text
    assert "shop-db\\|x" in text, "what came from outside is no markup"
    assert not re.search(r"would have (helped|recovered|resolved)(?! can't)", text)


def test_the_data_agrees_with_the_page() -> None:
    data = full().as_data()

    assert data["note"] == NEVER_KNOWN
    assert data["figures"]["incidents"] == len(data["incidents"]) == 3
    assert data["figures"]["agreed"] == 1
    assert data["figures"]["different"] == 1
    assert data["unread"] == ["deployments can't be read"]
    (step,) = data["incidents"][0]["steps"]
    assert (step["compared"], step["after_approval"]) == ("agreed", True)


def test_a_time_in_which_nothing_happened_says_so() -> None:
    text = would_have_text(report())

    assert "None in this time." in text
    assert "Nothing that is recorded speaks against any of it." in text
