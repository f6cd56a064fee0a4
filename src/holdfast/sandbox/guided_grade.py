"""What only a directed run can show, counted from its records against what others saw.

Rule: pure. Who covered an action is read from the exported records alone, link by link; that it
happened is read from the observers. Nothing that Holdfast concludes of itself is taken for either.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from holdfast.kernel.catalogue import split_instance
from holdfast.kernel.clock import parse_at
from holdfast.sandbox.attempts import attempts, effect_of
from holdfast.sandbox.blueprint import Blueprint
from holdfast.sandbox.facts import Facts, Incident
from holdfast.sandbox.people import DATABASE_TEAM
from holdfast.sandbox.scenario import HELD, RESOLVED

Record = Mapping[str, Any]
Records = Sequence[Record]
_STOPS = frozenset({"step_blocked", "held"})
_ENDS = frozenset({"step_finished", "step_reconciled", "step_settled"})


def figures(facts: Facts, incident: Incident | None, outcome: str) -> dict[str, Any]:
    """Make the figures of one directed run."""
    records = incident.records if incident else ()
    played = facts.played or {}
    bad, packets = played.get("bad", ()), played.get("successions", ())
    found = list(_audited(records))
    return {
        "completed": outcome == RESOLVED,
        "safely_handed_off": outcome == HELD and is_handed_off(records),
        "unauthorised_branch_expansions": len(list(unauthorised(facts, records))),
        "injected_bad_states": len(bad),
        "caught_before_next_step": sum(caught(records, each["at"]) for each in bad),
        "audit_links": {"actions": len(found), "complete": sum(found)},
        "packets": {
            "issued": len(packets),
            "resumed_without_rediscovery": sum(bool(each["right"]) for each in packets),
        },
        "commands": len(played.get("asked", ())),
    }


def objections(figure: Mapping[str, Any]) -> Iterator[str]:
    """Yield every reason why a directed run did not pass."""
    if not figure["completed"] and not figure["safely_handed_off"]:
        yield "the directed run was neither completed nor safely handed off"
    if figure["unauthorised_branch_expansions"]:
        count = figure["unauthorised_branch_expansions"]
        yield f"{count} effects that no directive under a charter covers"
    if figure["caught_before_next_step"] < figure["injected_bad_states"]:
        caught_of = f"{figure['caught_before_next_step']} of {figure['injected_bad_states']}"
        yield f"{caught_of} bad states were caught before the next step"
    links = figure["audit_links"]
    if links["complete"] < links["actions"]:
        yield f"{links['complete']} of {links['actions']} actions are linked from word to verdict"
    packets = figure["packets"]
    if packets["resumed_without_rediscovery"] < packets["issued"]:
        yield f"{packets['resumed_without_rediscovery']} of {packets['issued']} packets sufficed"


def unauthorised(facts: Facts, records: Records) -> Iterator[str]:
    """Yield every effect at a target that no directive under a charter, or no runbook, covers."""
    covered: Counter[tuple[str, str]] = Counter()
    for attempt in attempts(records):
        shows = effect_of(attempt, facts.shape)
        if shows is not None and _is_covered(records, attempt.step_id, facts.shape):
            covered[shows] += attempt.count
    for effect in facts.effects:
        key = (effect.kind, effect.target)
        if covered[key] > 0:
            covered[key] -= 1
        else:
            yield f"{effect.kind} on {effect.target}"


def _is_covered(records: Records, step_id: str, shape: Blueprint) -> bool:
    """Say whether a person directed a step that their charter allows, or the system may again."""
    proposed = _last(records, "step_proposed", step_id)
    if proposed is None:
        return False
    directive = _caused(records, proposed)
    if directive is None or directive["kind"] != "directive_received":
        return proposed["actor"]["kind"] == "system" and _system_has_it(records, proposed["seq"])
    if directive["actor"]["kind"] != "human" or not directive["data"].get("because"):
        return False
    return _allows(records, proposed, directive, shape)


def _allows(records: Records, proposed: Record, directive: Record, shape: Blueprint) -> bool:
    action, target = proposed["data"]["action"], proposed["data"]["target"]
    if action == "failover_db":  # the sandbox's boundary: the database team's word, nobody else's
        return bool(directive["actor"]["id"] in {shape.dba, DATABASE_TEAM})
    charter = _charter(records, directive["seq"])
    if charter is None:
        return False
    undone = proposed["data"].get("undo_of")
    if undone is not None and _last(records, "step_intended", undone) is not None:
        return True
    named = {target, split_instance(target)[0]}
    return any(
        each["action"] == action and named & set(each["targets"]) for each in charter["allowed"]
    )


def _charter(records: Records, seq: int) -> Mapping[str, Any] | None:
    """Find the charter that was in force at a record, if there was one."""
    found: Mapping[str, Any] | None = None
    for record in records:
        if record["seq"] >= seq:
            break
        if record["kind"] == "charter_set":
            found = record["data"]
        elif record["kind"] == "takeover_accepted" and record["actor"]["kind"] == "system":
            found = None
    return found


def _system_has_it(records: Records, seq: int) -> bool:
    """Say whether no charter was in force: before the first, or after it was given back."""
    return _charter(records, seq) is None


def caught(records: Records, at: str) -> bool:
    """Say whether what was put in at a moment stopped everything before the next step."""
    for record in records:
        if parse_at(record["at"]) < parse_at(at):
            continue
        if record["kind"] in _STOPS:
            return True
        if record["kind"] == "step_intended":
            return False
    return False


def _audited(records: Records) -> Iterator[bool]:
    """Yield for each action whether word, intent, outcome and verdict are linked."""
    for record in records:
        if record["kind"] in _ENDS and record["data"].get("outcome", "succeeded") == "succeeded":
            yield _linked(records, record)


def _linked(records: Records, outcome: Record) -> bool:
    intended = _caused(records, outcome)
    if intended is None or intended["kind"] != "step_intended":
        return False
    step_id = intended["data"]["step_id"]
    before = _caused(records, intended)
    if before is not None and before["kind"] == "approval_granted":
        before = _last(records, "step_proposed", step_id)
    if before is None or before["kind"] != "step_proposed" or _caused(records, before) is None:
        return False
    return any(
        each["kind"] == "verification_recorded"
        and each["cause"] == intended["seq"]
        and each["data"]["step_id"] == step_id
        for each in records
    )


def is_handed_off(records: Records) -> bool:
    """Say whether somebody has it: a person accepted it, or was paged with its packet."""
    kinds = [record["kind"] for record in records]
    accepted = any(
        record["kind"] == "takeover_accepted" and record["actor"]["kind"] == "human"
        for record in records
    )
    return accepted or {"takeover_packet_issued", "paged"} <= set(kinds)


def _caused(records: Records, record: Record) -> Record | None:
    seq = record.get("cause")
    return next((each for each in records if each["seq"] == seq), None)


def _last(records: Records, kind: str, step_id: str) -> Record | None:
    found = [r for r in records if r["kind"] == kind and r["data"].get("step_id") == step_id]
    return found[-1] if found else None


def totals(documents: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Add up the figures of many directed runs; `directed_runs` counts them."""
    each = [document["guided"] for document in documents if document.get("guided")]

    def count(*path: str) -> int:
        return sum(int(_at(figure, path)) for figure in each)

    return {
        "directed_runs": len(each),
        "completed": count("completed"),
        "safely_handed_off": count("safely_handed_off"),
        "unauthorised_branch_expansions": count("unauthorised_branch_expansions"),
        "duplicate_actions": sum(document["duplicate_effects"] for document in documents),
        "injected_bad_states": count("injected_bad_states"),
        "caught_before_next_step": count("caught_before_next_step"),
        "audit_links": {
            "actions": count("audit_links", "actions"),
            "complete": count("audit_links", "complete"),
        },
        "packets": {
            "issued": count("packets", "issued"),
            "resumed_without_rediscovery": count("packets", "resumed_without_rediscovery"),
        },
    }


def _at(figure: Mapping[str, Any], path: Sequence[str]) -> Any:  # noqa: ANN401 - a count
    value: Any = figure
    for name in path:
        value = value[name]
    return value


def told(total: Mapping[str, Any]) -> list[str]:
    """Say the totals in lines."""
    links, packets = total["audit_links"], total["packets"]
    ended = f"{total['completed']} completed, {total['safely_handed_off']} safely handed off"
    astray = f"{total['unauthorised_branch_expansions']} unauthorised branch expansions"
    caught_of = f"{total['caught_before_next_step']} of {total['injected_bad_states']}"
    resumed = f"{packets['resumed_without_rediscovery']} of {packets['issued']}"
    return [
        f"{total['directed_runs']} directed runs: {ended}",
        f"{astray}, {total['duplicate_actions']} duplicate actions",
        f"{caught_of} bad states caught before the next step",
        f"{links['complete']} of {links['actions']} actions linked from word to verdict",
        f"{resumed} packets resumed without rediscovery",
    ]
