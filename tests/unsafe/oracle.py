"""Says of each intent what speaks against it: written from the docs, not from the guard.

Each function is one row of the table in docs/concepts/safety.md, or one sentence beside it. It
looks at the records and at the world at the moment of the intent. Nothing in here calls `policy`;
what is shared are the names of its facts.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from holdfast.incident import Record
from tests.unsafe.case import Around, Case, Objections
from tests.unsafe.history import History, same_place
from tests.unsafe.oracle_limits import LIMITS

ALWAYS_APPROVED = "failover_db"


def objections(
    records: Sequence[Record], intent: Mapping[str, Any], cause: int | None, around: Around
) -> list[str]:
    """List everything that speaks against an intent; nothing where it may be."""
    history = History(records=tuple(records))
    case = Case(history=history, around=around, intent=intent, cause=cause)
    return [text for sentence in SENTENCES for text in sentence(case)]


def against_repeating(records: Sequence[Record], step_id: str, around: Around) -> list[str]:
    """List what speaks against performing an attempt in doubt once more."""
    history = History(records=tuple(records))
    intent = next(r for r in reversed(history.intents()) if r.data["step_id"] == step_id)
    case = Case(history=history, around=around, intent=intent.data, cause=intent.cause)
    found = [*stopped_by_a_person(case), *at_work(case), *handed_over(case)]
    if case.mode == "observe":
        found.append("observe performs nothing")
    if history.outcome(intent) is not None:
        found.append("its outcome is known")
    return found


def stopped_by_a_person(case: Case) -> Objections:
    if case.around.freeze is not None:
        yield "there is a freeze"
    if case.history.held():
        yield "the incident is held"
    if case.history.ended():
        yield "the incident has ended"


def at_work(case: Case) -> Objections:
    if case.around.window is not None:
        yield "people are at work there"


def handed_over(case: Case) -> Objections:
    if case.history.handed_over():
        yield "it is handed over and nobody accepted"


def reserved(case: Case) -> Objections:
    if case.history.unsettled():
        yield "a step of this incident has no known outcome"
    for entry in case.around.log:
        theirs = entry.incident_id != "INC-1" and not entry.settled
        if theirs and entry.target == case.target:
            yield f"{entry.incident_id} has a step on {entry.target} without a known outcome"


def moded(case: Case) -> Objections:
    if case.mode == "observe":
        yield "observe performs nothing"
    if case.mode == "guided" and not case.directed:
        yield "guided: nobody directed it"


def by_a_person(case: Case) -> Objections:
    """The cause of every intent leads to what a person directed, or to a plan."""
    proposed = case.proposal
    approval = case.history.approval(case.intent["step_id"])
    if case.cause not in {proposed.seq, approval.seq if approval else None}:
        yield f"its cause is record {case.cause}, neither its proposal nor its approval"
    root = case.history.at(proposed.cause)
    if root is None:
        yield "nothing led to its proposal"
    elif case.directed:
        if root.kind != "directive_received":
            yield f"a {root.kind} led to it, no directive"
        elif proposed.actor.kind.value != "human" or root.actor.id != proposed.actor.id:
            yield f"{proposed.actor.id} directed it, who is no person"
        elif not str(root.data.get("because") or "").strip():
            yield "nobody said why"
    elif root.kind != "plan_chosen":
        yield f"a {root.kind} led to it, no plan"


def under_charter(case: Case) -> Objections:
    charter = case.history.charter()
    if charter is None:
        if case.directed and case.mode == "guided":
            yield "guided: there is no charter"
        return
    who = case.proposal.actor.id
    if case.around.now >= datetime.fromisoformat(charter["expires_at"]):
        yield "the charter has expired"
    if case.directed and not _speaks(case, charter["commander"], who):
        yield f"{who} is not the commander"
    if not _allowed(case, charter):
        yield "the charter does not allow it"


def _allowed(case: Case, charter: Mapping[str, Any]) -> bool:
    if any(
        each["action"] == case.action and any(_named(name, case.target) for name in each["targets"])
        for each in charter["allowed"]
    ):
        return True
    if case.undoes and case.history.proposal(case.undoes).seq > charter["seq"]:
        return True
    return any(_says(case, each) for each in _boundaries(case))


def across_a_boundary(case: Case) -> Objections:
    for each in _boundaries(case):
        if not _says(case, each):
            yield f"it belongs to {each['authority']}, who did not say so"


def _boundaries(case: Case) -> list[Mapping[str, Any]]:
    charter = case.history.charter()
    own = list(charter.get("boundaries", ())) if charter else []
    standing = [
        {"action": b.action, "target": b.target, "authority": b.authority}
        for b in case.around.world.boundaries
    ]
    return [
        each
        for each in (*own, *standing)
        if each["action"] in {"*", case.action}
        and (each["target"] == "*" or same_place(each["target"], case.target))
    ]


def _says(case: Case, boundary: Mapping[str, Any]) -> bool:
    """Say whether one of the authority directs it, or has approved it in time."""
    if case.directed:
        return _speaks(case, boundary["authority"], case.proposal.actor.id)
    approval = case.history.approval(case.intent["step_id"])
    if approval is None or list(_wrong_with(case, approval)):
        return False
    return _speaks(case, boundary["authority"], approval.actor.id)


def _speaks(case: Case, authority: str, who: str) -> bool:
    return who == authority or who in case.around.world.holders.get(authority, frozenset())


def _named(name: str, target: str) -> bool:
    return name in {"*", target, target.partition("@")[0]}


def live(case: Case) -> Objections:
    """A directive acts on fresh readings."""
    limit = timedelta(seconds=max(2 * case.around.world.timing.sampling_interval_s, 2.0))
    newest = case.around.newest_sample_at
    if case.directed and (newest is None or case.around.now - newest > limit):
        yield "the readings are old"


def approved(case: Case) -> Objections:
    """Where a person has to approve, one did: exactly this, in time, for the first time."""
    why = list(_needs(case))
    if not why:
        return
    approval = case.history.approval(case.intent["step_id"])
    if approval is None:
        yield f"nobody approved it, and {', '.join(why)}"
        return
    yield from _wrong_with(case, approval)


def _needs(case: Case) -> Iterator[str]:
    if case.mode == "supervised" and not case.directed:
        yield "supervised asks for it"
    least = case.around.world.actions[case.action].least_impact
    if "high" in {case.proposal.data["impact"], least}:
        yield "its impact is high"
    if case.action == ALWAYS_APPROVED or case.action in case.around.world.limits.always_approve:
        yield "it is always approved"
    for window in case.around.world.change_freezes:
        if window.starts_at <= case.around.now < window.ends_at:  # type: ignore[union-attr]
            yield "there is a change freeze"


def _wrong_with(case: Case, approval: Record) -> Iterator[str]:
    if approval.actor.kind.value != "human":
        yield f"{approval.actor.id} approved it, who is no person"
    if approval.data["hash"] != case.proposal.data["hash"]:
        yield "another step was approved"
    if approval.at > case.around.now + timedelta(minutes=1):
        yield "the approval is from the future"
    if case.around.now >= datetime.fromisoformat(
        case.history.approval_ends_at(case.intent["step_id"])
    ):
        yield "the approval has expired"
    if any(intent.cause == approval.seq for intent in case.history.intents()):
        yield "the approval was used before"
    charter = case.history.charter()
    four_eyes = case.around.world.limits.four_eyes or bool(charter and charter.get("four_eyes"))
    if four_eyes and case.directed and approval.actor.id == case.proposal.actor.id:
        yield "whoever directed it approved it too"


SENTENCES: tuple[Callable[[Case], Objections], ...] = (
    stopped_by_a_person,
    at_work,
    handed_over,
    reserved,
    moded,
    by_a_person,
    under_charter,
    across_a_boundary,
    live,
    approved,
    *LIMITS,
)
