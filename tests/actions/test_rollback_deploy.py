import fcntl
import threading
from pathlib import Path

import pytest

from holdfast.actions import RollbackDeploy
from holdfast.kernel.errors import BadInputError
from holdfast.response.ports import (
    Effect,
    LostReplyError,
    Repeatability,
    TargetUnreachableError,
)
from tests.io_parts import point, request
from tests.release_parts import Moves, attempt, current, described


def test_the_link_is_put_back_once(rollback: RollbackDeploy, directory: Path, moves: Moves) -> None:
    asked = attempt(rollback)

    outcome = rollback.perform(asked)

    assert asked.pre_image["to"] == "v1"
    assert asked.pre_image["reversible"] == "put the link back to v2"
    assert (outcome.ok, outcome.effect) == (True, Effect.PRESENT)
    assert current(directory) == "v1"
    assert moves.count() == 1
    assert rollback.repeatability is Repeatability.IDEMPOTENT


def test_a_repeat_with_the_same_key_is_answered_and_not_done_again(
    rollback: RollbackDeploy, directory: Path, moves: Moves
) -> None:
    asked = attempt(rollback)
    rollback.perform(asked)

    again = rollback.perform(asked)

    assert (again.ok, again.effect) == (True, Effect.PRESENT)
    assert "already done, not repeated" in again.summary
    assert moves.count() == 1


def test_a_late_repeat_after_somebody_deployed_anew_does_nothing(
    rollback: RollbackDeploy, directory: Path, moves: Moves
) -> None:
    asked = attempt(rollback)
    rollback.perform(asked)
    point(directory, "v2")

    again = rollback.perform(asked)

    assert again.effect is Effect.PRESENT
    assert current(directory) == "v2"
    assert moves.count() == 2


def test_two_workers_with_the_same_key_move_the_link_once(directory: Path, moves: Moves) -> None:
    asked = attempt(RollbackDeploy(described(directory)))
    together = threading.Barrier(8)
    outcomes = []

    def work() -> None:
        worker = RollbackDeploy(described(directory))
        together.wait(10)
        outcomes.append(worker.perform(asked))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert moves.count() == 1
    assert {(o.ok, o.effect) for o in outcomes} == {(True, Effect.PRESENT)}
    assert current(directory) == "v1"


def test_two_steps_with_different_keys_cannot_both_move_the_link(
    directory: Path, moves: Moves
) -> None:
    rollback = RollbackDeploy(described(directory))
    first, second = attempt(rollback, "i/s/1"), attempt(rollback, "j/s/1")

    outcomes = [rollback.perform(first), rollback.perform(second)]

    assert [o.ok for o in outcomes] == [True, False]
    assert outcomes[1].error_category == "changed_meanwhile"
    assert outcomes[1].effect is Effect.ABSENT
    assert moves.count() == 1


@pytest.mark.parametrize("deployed", ["v3", "v1", "v2"])
def test_a_link_that_changed_since_it_was_looked_at_is_left_alone(
    deployed: str, rollback: RollbackDeploy, directory: Path
) -> None:
    asked = attempt(rollback)
    point(directory, deployed)  # v2 too: set anew, it is another decision of somebody

    outcome = rollback.perform(asked)
    late = rollback.perform(asked)

    assert (outcome.ok, outcome.effect) == (False, Effect.ABSENT)
    assert outcome.error_category == late.error_category == "changed_meanwhile"
    assert current(directory) == deployed


def test_while_somebody_holds_the_lock_the_effect_is_unknown(
    rollback: RollbackDeploy, directory: Path
) -> None:
    asked = request("rollback_deploy", "api", pre_image=rollback.observe("api", {}), timeout_s=0.1)
    with (directory / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(LostReplyError, match="held by someone else"):
            rollback.perform(asked)

    assert current(directory) == "v2"


def test_an_undo_puts_the_link_back_once_and_only_if_it_is_still_ours(
    rollback: RollbackDeploy, directory: Path, moves: Moves
) -> None:
    asked = attempt(rollback)
    rollback.perform(asked)

    first, second = rollback.undo(asked), rollback.undo(asked)
    late = rollback.perform(asked)

    assert (first.ok, second.ok) == (True, True)
    assert late.effect is Effect.PRESENT
    assert current(directory) == "v2"
    assert moves.count() == 2


def test_an_undo_after_somebody_deployed_does_nothing(
    rollback: RollbackDeploy, directory: Path
) -> None:
    asked = attempt(rollback)
    rollback.perform(asked)
    point(directory, "v3")

    undone = rollback.undo(asked)

    assert (undone.effect, undone.error_category) == (Effect.ABSENT, "changed_since")
    assert current(directory) == "v3"


def test_an_undo_leaves_the_same_release_alone_once_somebody_deployed_it_anew(
    rollback: RollbackDeploy, directory: Path
) -> None:
    asked = attempt(rollback)
    rollback.perform(asked)
    point(directory, "v1")

    undone = rollback.undo(asked)

    assert undone.error_category == "changed_since"
    assert "set to v1 anew" in undone.summary
    assert current(directory) == "v1"


def test_the_plane_is_the_link_as_it_is_and_as_it_is_to_be(
    rollback: RollbackDeploy, directory: Path
) -> None:
    asked = attempt(rollback)
    [before] = rollback.probe(asked).data["planes"]
    rollback.perform(asked)
    [after] = rollback.probe(asked).data["planes"]

    planned = {"plane": "release link api", "now": "v2", "intended": "v1"}
    assert asked.pre_image["planes"] == [planned]
    assert before == {**planned, "reached": False}
    assert after == {**planned, "now": "v1", "reached": True}
    assert rollback.observe("api", {"to": "v9"})["planes"] == []


def test_an_undo_of_what_never_happened_is_refused(rollback: RollbackDeploy) -> None:
    assert rollback.undo(attempt(rollback)).error_category == "nothing_to_undo"


@pytest.mark.parametrize("version", ["../v1", "..", "v1/../v2", "/etc", "", ".hidden", "a b", 3])
def test_a_version_that_is_no_plain_name_is_refused(
    version: object, rollback: RollbackDeploy
) -> None:
    with pytest.raises(BadInputError, match="no plain version name"):
        rollback.observe("api", {"to": version})


def test_a_release_that_is_a_link_out_of_the_directory_is_not_rolled_back_to(
    rollback: RollbackDeploy, directory: Path, tmp_path: Path
) -> None:
    (directory / "v0").symlink_to(tmp_path)

    seen = rollback.observe("api", {"to": "v0"})
    outcome = rollback.perform(request("rollback_deploy", "api", pre_image=seen))

    assert seen["to"] is None
    assert outcome.error_category == "no_previous_release"
    assert "v0 is not a directory" in outcome.summary


def test_a_release_that_vanished_since_the_look_is_not_rolled_back_to(
    rollback: RollbackDeploy, directory: Path
) -> None:
    asked = attempt(rollback)
    (directory / "v1" / "app.py").unlink()

    outcome = rollback.perform(asked)

    assert (outcome.ok, outcome.effect) == (False, Effect.ABSENT)
    assert outcome.error_category == "release_incomplete"
    assert current(directory) == "v2"


def test_the_history_decides_where_there_is_one(directory: Path) -> None:
    rollback = RollbackDeploy(
        described(directory, history="deployments"),
        previous_release=lambda service, version: ("v3", f"{service} ran v3 before {version}"),
    )

    assert rollback.observe("api", {})["to"] == "v3"


def test_a_history_that_cannot_be_read_is_not_replaced_by_a_guess(directory: Path) -> None:
    def gone(service: str, version: str) -> tuple[str | None, str]:
        raise ConnectionError("the database is gone")

    rollback = RollbackDeploy(described(directory, history="deployments"), previous_release=gone)

    seen = rollback.observe("api", {})
    assert seen["to"] is None
    assert seen["why"] == "the deployment history can't be read: the database is gone"


def test_a_step_that_names_another_running_version_does_nothing(rollback: RollbackDeploy) -> None:
    seen = rollback.observe("api", {"from": "v3"})

    assert seen["to"] is None
    assert "api runs v2, not v3" in seen["why"]


def test_a_link_that_leads_out_of_the_directory_is_not_touched(
    rollback: RollbackDeploy, directory: Path
) -> None:
    point(directory, "../elsewhere")

    seen = rollback.observe("api", {})

    assert seen["reachable"] is False
    assert "is left alone" in seen["why"]


def test_where_there_is_no_directory_nothing_was_done(tmp_path: Path) -> None:
    rollback = RollbackDeploy(described(tmp_path / "gone"))
    seen = rollback.observe("api", {})

    assert seen["reachable"] is False
    with pytest.raises(TargetUnreachableError, match="nothing was changed"):
        rollback.perform(request("rollback_deploy", "api", pre_image={"current": "v2", "to": "v1"}))


@pytest.mark.parametrize(
    ("target", "params", "says"),
    [
        ("api@north", {}, "name the service without @region"),
        ("store", {}, "not under release control"),
        ("api", {"version": "v1"}, "no parameter 'version'; known: from, to"),
    ],
)
def test_what_cannot_be_rolled_back_is_refused_with_the_way_out(
    target: str, params: dict[str, str], says: str, rollback: RollbackDeploy
) -> None:
    with pytest.raises(BadInputError, match=says):
        rollback.observe(target, params)
