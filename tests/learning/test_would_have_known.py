"""The would-have-done report claims nothing that its records can't say."""

from holdfast.incident import Kind
from holdfast.learning import would_have
from holdfast.learning.would_have import Compared
from tests.learning.test_would_have import DAY, back, deployed, did, only, report, shown, watching
from tests.scene import DANA, START, Scene, checked, intended, opened, proposed, signal


def test_without_the_changes_nobody_can_tell_that_a_step_was_needless() -> None:
    scene, quiet = watching(), Scene("INC-2")
    shown(scene)
    back(scene)
    opened(quiet, mode="observe")
    checked(quiet)
    quiet.add(Kind.DISMISSED, {"why": "false alarm: no check found trouble"})
    chains = [scene.records, quiet.records]
    blind = would_have(chains, [], since=START - DAY, until=START + DAY, unread=["away"])

    assert [told.compared for told in blind.incidents] == [Compared.UNCLEAR] * 2
    assert "could not be read" in blind.incidents[0].why
    assert report(scene, quiet).figures()["needless"] == 1


def test_what_holdfast_did_itself_after_the_mode_was_raised_is_no_end_by_itself() -> None:
    scene = watching()
    shown(scene)
    proposed(scene, step_id="S2")
    intended(scene, step_id="S2")
    back(scene)
    scene.records.pop()  # not resolved yet

    (step,) = only(scene).steps
    assert step.compared is Compared.UNCLEAR
    assert "Holdfast itself performed this later: rollback_deploy on shop-api" in step.why


def test_what_somebody_did_after_the_trouble_was_gone_was_not_done_instead() -> None:
    scene = watching()
    shown(scene, action="restart_service")
    back(scene, after_s=10)
    scene.add(Kind.NOTE, {"text": "still looking"}, actor=DANA, after_s=3600)
    changes = [deployed("2.4.0", "2.3.9", -90), deployed("2.3.9", "2.4.0", 600)]

    assert only(scene, changes).compared is Compared.NEEDLESS


def test_a_trouble_that_came_back_is_gone_only_when_all_that_came_back_is() -> None:
    scene = watching()
    shown(scene)
    back(scene)
    signals = [signal("east"), signal("west")]
    scene.add(Kind.REOPENED, {"why": "it is back", "count": 1, "signals": signals})
    over = signal("east", state="returned", reason="back")
    scene.add(Kind.SIGNAL_ATTACHED, {"signal": over, "baselines": {}})

    assert only(scene).gone_at is None


def test_what_was_not_over_at_the_last_report_is_told_again_when_it_is() -> None:
    scene = watching()
    shown(scene)
    back(scene, after_s=0.6 * DAY.total_seconds())

    (told,) = would_have([scene.records], [], since=START + DAY, until=START + 2 * DAY).incidents
    assert told.compared is Compared.NEEDLESS


def test_a_release_that_goes_from_region_to_region_is_no_rollback() -> None:
    scene = watching()
    shown(scene)
    changes = [
        deployed("2.4.0", "2.3.9", -90, region="east"),
        deployed("2.3.9", "2.3.8", 30, region="west"),
    ]

    assert only(scene, changes).people == ()


def test_how_long_an_approval_would_have_taken_is_not_known_so_no_figure_is_given() -> None:
    scene = watching()
    shown(scene, approval=True)
    did(scene, "rollback_deploy", "shop-api")

    (step,) = only(scene).steps
    assert step.compared is Compared.AGREED
    assert "approval would have been asked for 4 min 0 s before that was reported" in step.why
    assert step.earlier_s is None
    assert report(scene).figures()["minutes_earlier_median"] is None
