"""Which runbook to improve, and how: only where the records say that it fell short.

Where none fitted, a skeleton for this incident type is offered. It has no
executable step, as nobody has proven one yet.
"""

import re
from collections.abc import Iterator

from holdfast.incident import Kind, Record
from holdfast.learning.account import Account
from holdfast.learning.markdown import ABSENT, cite, escape

_PLAIN = re.compile(r"[A-Za-z0-9._@-]{1,80}")

_SKELETON = """\
---
name: {name}
title: {type} on {entity}
match:
  incident_type: [{type}]
services: [{entity}]
---

## Meaning

What this incident type says about {entity}, in two sentences.

## Impact

Who notices, and what they can't do.

## Diagnosis

What to look at first, and what each reading means.

## Mitigation

What ended {incident}. Add a heading with one fenced block marked `yaml step` for each step
that Holdfast may perform; without one this runbook is found and shown, never performed.
"""


def advice(account: Account) -> tuple[str, ...]:
    """List what to change, as Markdown sentences with their records."""
    plan = account.last(Kind.PLAN_CHOSEN)
    if plan is None:
        return (f"Which runbook was considered is {ABSENT}.",)
    found = tuple(_no_plan(plan) if plan.data["runbook"] is None else _plan(account, plan))
    if found:
        return found
    return (f"Nothing recorded speaks for a change of {_name(plan)}.{cite(plan.seq)}",)


def _name(plan: Record) -> str:
    return f"runbook {escape(plan.data['runbook'])} (version {escape(plan.data.get('version'))})"


def _no_plan(plan: Record) -> Iterator[str]:
    if plan.data.get("read"):
        yield (
            f"Runbook {escape(plan.data['read'])} fitted but has no executable step: add one, "
            f"or record why a person must follow it.{cite(plan.seq)}"
        )
    for miss in plan.data.get("near_misses", ()):
        why_not = "; ".join(map(str, miss["why_not"]))
        yield (
            f"Runbook {escape(miss['runbook'])} did not fit ({escape(why_not)}): widen its "
            f"`match` if it should have.{cite(plan.seq)}"
        )
    if not plan.data.get("read"):
        yield f"No runbook fits this incident type: write one (skeleton below).{cite(plan.seq)}"


def _plan(account: Account, plan: Record) -> Iterator[str]:
    for attempt in account.attempts:
        if attempt.proposed.data.get("plan_index") is None:
            continue
        what = escape(attempt.what)
        blocked = attempt.last(Kind.STEP_BLOCKED)
        for reason in blocked.data["verdict"]["reasons"] if blocked else ():
            if not reason["ok"] and reason["rule"] == "precondition":
                yield (
                    f"In {_name(plan)}, a precondition refused {what}: {escape(reason['text'])}; "
                    f"check it against what was true.{cite(blocked.seq if blocked else None)}"
                )
        verdict = attempt.last(Kind.VERIFICATION_RECORDED)
        if verdict is not None and verdict.data["status"] != "met":
            yield (
                f"In {_name(plan)}, {what} ended with verification {escape(verdict.data['status'])}"
                f": correct its `expect`, or the step itself.{cite(verdict.seq)}"
            )
        outcome = attempt.last(Kind.STEP_FINISHED, Kind.STEP_RECONCILED)
        if outcome is not None and outcome.data["outcome"] != "succeeded":
            yield (
                f"In {_name(plan)}, attempt {attempt.number} of {what} failed: add what would have "
                f"shown that beforehand to its `when`.{cite(outcome.seq)}"
            )


def skeleton(account: Account) -> str | None:
    """Draft a runbook where none fitted; None where one did, or where a name isn't a plain one."""
    plan = account.last(Kind.PLAN_CHOSEN)
    if plan is None or plan.data["runbook"] is not None or plan.data.get("read"):
        return None
    state = account.state
    entity = state.root["entity"] if state.root else next(iter(state.services), None)
    names = (state.incident_type, entity, state.incident_id)
    if not all(isinstance(name, str) and _PLAIN.fullmatch(name) for name in names):
        return None
    type_, entity, incident = names
    name = f"{type_}-on-{entity}".replace("_", "-").replace("@", "-").lower()
    return _SKELETON.format(name=name, type=type_, entity=entity, incident=incident)
