"""What runs come to: counted, so that a machine that never acts is noticed, and true of the whole."""

from collections import Counter

from holdfast.incident import Phase, fold
from tests.unsafe.history import History
from tests.unsafe.stage import Stage

SEEN: Counter[str] = Counter()


def count(stage: Stage) -> None:
    """Note what this run has come to, so that a machine that never acts is noticed."""
    history = History(records=stage.records)
    charter_set = history.last("charter_set") is not None
    for intent in history.intents():
        step = history.proposal(intent.data["step_id"])
        SEEN["intents"] += 1
        SEEN["directed under a charter"] += charter_set and step.data["plan_index"] is None
        SEEN["approved"] += history.approval(intent.data["step_id"]) is not None
        SEEN["undone"] += step.data.get("undo_of") is not None
        SEEN["overridden"] += bool(intent.data["override_ids"])
    SEEN["repeated"] += len(history.of("step_repeated"))
    SEEN["refused"] += len(history.of("step_blocked"))
    SEEN["resolved"] += stage.phase() is Phase.RESOLVED


def whole(stage: Stage) -> None:
    """Assert what is true of a whole history, whatever came of it."""
    assert fold(stage.records, "INC-1") == stage.state
    history = History(records=stage.records)
    granted = {r.seq for r in history.of("approval_granted")}
    used = [r.cause for r in history.intents() if r.cause in granted]
    raised = [name for r in history.intents() for name in r.data.get("override_ids", ())]
    assert len(used) == len(set(used)), "an approval counts once"
    assert len(raised) == len(set(raised)), "an override counts once"
    for record in history.of("step_intended", "step_repeated"):
        before = History(records=stage.records[: record.seq - 1])
        assert not before.handed_over(), "nobody acts between a handoff and its acceptance"
