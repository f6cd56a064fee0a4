"""The response, attempt by attempt: who, why, the guard's verdict, the outcome, the proof."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from holdfast.incident import Kind, Record
from holdfast.learning.account import Account, Attempt
from holdfast.learning.markdown import ABSENT, bullets, cite, escape, moment

_OUTCOMES = (Kind.STEP_FINISHED, Kind.STEP_RECONCILED, Kind.STEP_SETTLED)
_REFUSALS = (Kind.STEP_BLOCKED, Kind.APPROVAL_DENIED, Kind.APPROVAL_EXPIRED)


def response(account: Account) -> str:
    """Tell the plan, every attempt, and what people did by hand."""
    parts = [_plans(account)]
    parts += [_attempt(attempt) for attempt in account.attempts]
    by_hand = account.all(Kind.MANUAL_ACTION_REPORTED)
    if by_hand:
        parts.append("### By hand\n\n" + bullets(map(_manual, by_hand), none=""))
    if not account.attempts and not by_hand:
        parts.append("No step was proposed and no action by hand is recorded.")
    return "\n\n".join(parts)


def _plans(account: Account) -> str:
    lines = []
    for record in account.all(Kind.PLAN_CHOSEN):
        data = record.data
        if data["runbook"] is None:
            lines.append(f"No plan: {escape(data['why'])}{cite(record.seq)}")
        else:
            lines.append(
                f"Plan: runbook {escape(data['runbook'])}, version {escape(data.get('version'))}, "
                f"mode {escape(data.get('mode'))}. Why: {escape(data['why'])}{cite(record.seq)}"
            )
    return bullets(lines, none=f"Plan: {ABSENT}.")


def _attempt(attempt: Attempt) -> str:
    heading = f"### {escape(attempt.step_id)}, attempt {attempt.number}: {escape(attempt.what)}"
    return f"{heading}\n\n{bullets(_told(attempt), none='')}"


def _told(attempt: Attempt) -> Iterator[str]:
    proposed = attempt.proposed
    who = f"{escape(proposed.actor.id)} ({proposed.actor.kind.value})"
    yield f"Proposed by {who}; {_because(proposed)}"
    yield from map(_approval, attempt.all(Kind.APPROVAL_REQUESTED, Kind.APPROVAL_GRANTED))
    yield from (_refusal(record) for record in attempt.all(*_REFUSALS))
    yield from (
        f"Skipped by {escape(r.actor.id)}{cite(r.seq)}" for r in attempt.all(Kind.STEP_SKIPPED)
    )
    intended = attempt.last(Kind.STEP_INTENDED)
    if intended is None:
        yield "It was not performed: no intent is recorded."
        return
    yield from _intent(intended)
    yield from (
        f"In doubt: {escape(r.data['why'])}{cite(r.seq)}" for r in attempt.all(Kind.STEP_IN_DOUBT)
    )
    outcomes = attempt.all(*_OUTCOMES)
    yield from map(_outcome, outcomes)
    if not outcomes:
        yield "Outcome: none is recorded, so nobody knows what this attempt did."
    yield from _verification(attempt.all(Kind.VERIFICATION_RECORDED))


def _because(proposed: Record) -> str:
    index, because = proposed.data.get("plan_index"), proposed.data.get("because")
    if index is not None and because is None:
        return f"it is step {index + 1} of the plan{cite(proposed.seq, proposed.cause)}"
    return f"because: {escape(because)}{cite(proposed.seq)}"


def _approval(record: Record) -> str:
    if record.kind == Kind.APPROVAL_GRANTED:
        return (
            f"Approved by {escape(record.actor.id)}, because: "
            f"{escape(record.data.get('because'))}{cite(record.seq)}"
        )
    return f"Approval was asked for: {escape(record.data.get('why'))}{cite(record.seq)}"


def _refusal(record: Record) -> str:
    bad = [r for r in record.data["verdict"].get("reasons", ()) if not r["ok"]]
    return f"Refused: {_reasons(bad)}{cite(record.seq)}"


def _intent(intended: Record) -> Iterator[str]:
    data = intended.data
    verdict = data.get("verdict") or {}
    good = [r for r in verdict.get("reasons", ()) if r["ok"]]
    yield (
        f"The guard's verdict: {escape(verdict.get('decision'))}. {_reasons(good)}"
        f"{cite(intended.seq)}"
    )
    yield (
        f"Intended at {moment(intended.at)}, key {escape(data.get('idempotency_key'))}, fence "
        f"{escape(data.get('fence'))}{cite(intended.seq)}"
    )
    criteria = " and ".join(escape(text) for text in data.get("criteria", ()))
    yield f"Recovered was to mean: {criteria or ABSENT}{cite(intended.seq)}"
    yield f"Before it: {_facts(data.get('pre_image') or {})}{cite(intended.seq)}"


def _facts(facts: Mapping[str, Any]) -> str:
    plain = [f"{escape(name)} = {escape(value)}" for name, value in facts.items() if value != ""]
    return ", ".join(plain) or ABSENT


def _outcome(record: Record) -> str:
    data = record.data
    if record.kind == Kind.STEP_SETTLED:
        said = "it happened" if data["happened"] else "it did not happen"
        return (
            f"Settled by {escape(record.actor.id)}: {said}; evidence: "
            f"{escape(data.get('evidence'))}{cite(record.seq)}"
        )
    how = f", reconciled: {escape(data.get('how'))}" if record.kind == Kind.STEP_RECONCILED else ""
    told = escape(data.get("summary") or data.get("evidence"))
    output = f"; output: {escape(data['output'])}" if data.get("output") else ""
    return (
        f"Outcome: {escape(data['outcome'])}{how}; {told}{output}; return code "
        f"{escape(data.get('return_code'))}, error category {escape(data.get('error_category'))}, "
        f"reversible: {escape(data.get('reversible'))}{cite(record.seq)}"
    )


def _verification(records: Sequence[Record]) -> Iterator[str]:
    for record in records:
        reasons = _reasons(record.data.get("reasons", ()))
        yield f"Verification: {escape(record.data['status'])}. {reasons}{cite(record.seq)}"
    if not records:
        yield f"Verification: {ABSENT}."


def _reasons(reasons: Sequence[Mapping[str, Any]]) -> str:
    return "; ".join(_reason(reason) for reason in reasons) or f"The reasons are {ABSENT}."


def _reason(reason: Mapping[str, Any]) -> str:
    names = ("reading", "threshold", "source", "at")
    facts = [f"{name} {escape(reason[name])}" for name in names if reason.get(name) is not None]
    return f"{escape(reason['text'])} ({', '.join(facts)})" if facts else escape(reason["text"])


def _manual(record: Record) -> str:
    data = record.data
    return (
        f"{escape(record.actor.id)} did {escape(data['action'])} on {escape(data['target'])}, "
        f"because: {escape(data.get('because'))}; the target was observed right after: "
        f"{_facts(data.get('observed') or {})}{cite(record.seq)}"
    )
