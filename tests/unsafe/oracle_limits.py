"""The part of the oracle that counts: how often, how many, how old, how much at once.

The numbers are those of the docs, written down once more.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

from holdfast.response.store import LoggedAction
from tests.unsafe.case import Case, Objections
from tests.unsafe.history import same_place

TEN_MINUTES, HOUR = timedelta(minutes=10), timedelta(hours=1)
RESTARTS_MOST, INSTANCES_MOST = 2, 3
SHARE_MOST = 0.5
WHOLE_SERVICE = {"rollback_deploy", "disable_flag", "failover_db", "clear_cache", "drain_queue"}


def with_criteria(case: Case) -> Objections:
    if not [text for text in case.intent["criteria"] if text.strip()]:
        yield "nothing says what recovered would mean"


def as_assumed(case: Case) -> Objections:
    """What the oracle can tell of a precondition: one that is never so, is not so."""
    if "false" in case.proposal.data.get("when", ()):
        yield "its precondition does not hold"


def retried(case: Case) -> Objections:
    plan = case.history.runbook()
    index = case.proposal.data.get("plan_index")
    if index is None or plan is None:
        return
    tried = [
        intent
        for intent in case.history.intents()
        if intent.seq > plan["seq"]
        and case.history.proposal(intent.data["step_id"]).data.get("plan_index") == index
    ]
    if len(tried) > plan["steps"][index]["retries"]:
        yield f"it was tried {len(tried)} times"


def too_often(case: Case) -> Objections:
    now = case.around.now
    here = _done_here(case)
    moments = [at for _, at, _ in here]
    pause = timedelta(seconds=case.proposal.data["cooldown_s"])
    if moments and now < max(moments) + pause and not case.raised("cooldown"):
        yield "it was acted on a moment ago"
    restarts = [at for action, at, _ in here if action == "restart_service" and _within(at, now)]
    restarted = case.action == "restart_service" and len(restarts) >= RESTARTS_MOST
    if restarted and not case.raised("restarts_per_target"):
        yield f"{len(restarts)} restarts in ten minutes"


def _within(at: datetime, now: datetime, span: timedelta = TEN_MINUTES) -> bool:
    return at > now - span


def _done_here(case: Case) -> list[tuple[str, datetime, int | None]]:
    """List what was intended on the very target, or done there by hand."""
    service = case.around.world.catalogue.services.get(case.service)
    alone = service is not None and len(service.regions) == 1
    intended = [
        (entry.action, entry.at, _added(case, entry))
        for entry in case.around.log
        if entry.target == case.target or (alone and same_place(entry.target, case.target))
    ]
    return [*intended, *case.history.done_by_hand(case.target)]


def _added(case: Case, entry: LoggedAction) -> int | None:
    mine = [r for r in case.history.intents() if r.data["step_id"] == entry.step_id]
    if entry.incident_id != "INC-1" or not mine:
        return None
    by = mine[-1].data["params"].get("by")
    return by if isinstance(by, int) else None


def too_many(case: Case) -> Objections:
    now = case.around.now
    if case.action == "scale_up" and not case.undoes:
        before = [
            INSTANCES_MOST if by is None else by
            for action, at, by in _done_here(case)
            if action == "scale_up" and _within(at, now, HOUR)
        ]
        wanted = case.intent["params"].get("by")
        known = isinstance(wanted, int) and wanted >= 1
        if not known:
            yield "nobody knows how many it adds"
        elif sum(before) + wanted > INSTANCES_MOST and not case.raised("instances_added_max"):
            yield "more than three instances"
    own = [e for e in case.around.log if e.incident_id == "INC-1" and _within(e.at, now, HOUR)]
    if len(own) >= case.around.world.limits.actions_per_incident and not case.raised(
        "actions_per_incident"
    ):
        yield "the incident acts too often"
    of_all = [e for e in case.around.log if _within(e.at, now, HOUR)]
    if len(of_all) >= case.around.world.limits.actions_per_installation and not case.raised(
        "actions_per_installation"
    ):
        yield "the installation acts too often"


def too_old(case: Case) -> Objections:
    if case.action != "rollback_deploy" or case.undoes:
        return
    age = case.around.now - case.around.deployed_at
    if age < timedelta(minutes=-1):
        yield "the release is from the future"
    if age > HOUR and not case.raised("rollback_age_max_s"):
        yield "the release is old"


def too_much(case: Case) -> Objections:
    share = case.around.pool_share
    emptied = share is not None and share > SHARE_MOST and not case.undoes
    if emptied and not case.raised("pool_share_max"):
        yield "too much of the pool would be out"
    service = case.around.world.catalogue.services.get(case.service)
    everywhere = set(service.regions) if service else set()
    flying = {
        target.partition("@")[2] for target in _in_flight(case) if target.startswith(case.service)
    } - {"", case.region}
    if len(everywhere) < 2 or (case.action in WHOLE_SERVICE and not flying):
        return
    touched = ({case.region} if case.region else everywhere) | flying
    if len(touched) / len(everywhere) > SHARE_MOST and not case.raised("region_share_max"):
        yield "too many regions at once"


def _in_flight(case: Case) -> list[str]:
    theirs = [e.target for e in case.around.log if e.incident_id != "INC-1" and not e.settled]
    return [*case.history.not_proven(), *theirs]


def overridden(case: Case) -> Objections:
    """An override raises a limit once, for a while, where it says."""
    given = {each.override_id: each for each in case.around.overrides}
    for name in case.intent.get("override_ids", ()):
        if name not in given:
            yield f"nobody gave the override {name}"
        elif name in case.history.overrides_used():
            yield f"the override {name} was used before"
        elif case.around.now >= given[name].expires_at:
            yield f"the override {name} has ended"
        elif given[name].target not in {None, case.target}:
            yield f"the override {name} is for {given[name].target}"


LIMITS: tuple[Callable[[Case], Objections], ...] = (
    with_criteria,
    as_assumed,
    retried,
    too_often,
    too_many,
    too_old,
    too_much,
    overridden,
)
