"""The first postmortem, in Markdown, from the ledger alone.

Blameless in the field's sense: it says what happened, under which conditions and
on which grounds each decision was made; people complete it. Every sentence cites
its record as `#n`, so that it can be checked in the timeline at the end.
"""

import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from holdfast.incident import Kind, Record, line
from holdfast.incident.timeline import one_line
from holdfast.learning.account import Account, account_of
from holdfast.learning.diagnosis_told import diagnosis
from holdfast.learning.impact import SeriesImpact, impact
from holdfast.learning.markdown import ABSENT, bullets, cite, escape, figure, moment, table
from holdfast.learning.response_told import response
from holdfast.learning.review import review
from holdfast.learning.runbook_advice import advice, skeleton
from holdfast.learning.statistics import durations, seconds

_BRIEF = 200


def postmortem(records: Sequence[Record], chain: Mapping[str, Any]) -> str:
    """Write the postmortem of one incident.

    `chain` is the verdict over its hash chain (`ok`, `records`, `head_hash`, `problem`).
    Raises BadInputError where there are no records or those of several incidents.
    """
    account = account_of(records, chain)
    sections = [f"## {title}\n\n{write(account)}" for title, write in SECTIONS]
    return "\n\n".join([_head(account), *sections]) + "\n"


def _head(account: Account) -> str:
    state = account.state
    warning = ""
    if not account.chain.get("ok"):
        warning = (
            f"\n\n**The ledger of this incident does not verify: "
            f"{escape(account.chain.get('problem'))}. Trust nothing below from record "
            f"{escape(account.chain.get('first_bad_seq'))} on.**"
        )
    return (
        f"# Postmortem {escape(state.incident_id)}: {escape(state.title or None)}{warning}\n\n"
        "Written from the ledger. `#n` is the number of the record that a sentence follows from; "
        f"what no record says is {ABSENT}. It is about conditions and decisions, not about blame."
    )


def _summary(account: Account) -> str:
    state = account.state
    endings = account.all(*_ENDINGS)
    rows = (
        ("Phase", _phase(account)),
        ("Type, severity", f"{escape(state.incident_type)}, {escape(state.severity)}"),
        ("Services", escape(", ".join(state.services) or None)),
        ("Regions", escape(", ".join(state.regions) or None)),
        ("Most likely cause", escape(state.root["entity"]) if state.root else ABSENT),
        ("Started", moment(state.started_at)),
        ("Opened", moment(state.opened_at)),
        ("Resolved", moment(state.resolved_at)),
        ("Mode, owner", f"{escape(state.mode)}, {escape(state.owner)}"),
        ("Pages delivered", str(state.pages)),
        ("Label", escape(state.label["label"]) if state.label else ABSENT),
    )
    told = (
        f"{record.kind.capitalize()} at {moment(record.at)}: {escape(_brief(record.data['why']))}"
        f"{cite(record.seq)}"
        for record in endings
    )
    how = bullets(told, none=f"How it ended is {ABSENT}; it is not over.")
    return f"{_story(account)}\n\n{table(('Fact', 'Value'), rows)}\n\n{how}"


def _brief(text: str) -> str:
    """Shorten a reason for the summary; the timeline has it in full."""
    return textwrap.shorten(one_line(text), _BRIEF, placeholder=" …")


def _story(account: Account) -> str:
    """Tell it in a few sentences, each only where a record says so."""
    state, took = account.state, durations(account.state)
    told = []
    if account.opened is not None:
        told.append(f"Found {seconds(took.detect_s)} after it began{cite(account.opened.seq)}.")
    if state.root is not None:
        root = f"{state.root['mechanism']} of {state.root['entity']}, {state.root['confidence']}"
        told.append(f"Inferred cause: {escape(root)}{cite(state.diagnosis_seq)}.")
    for attempt in account.attempts:
        outcome = attempt.last(Kind.STEP_FINISHED, Kind.STEP_RECONCILED, Kind.STEP_SETTLED)
        intended = attempt.last(Kind.STEP_INTENDED)
        if intended is not None:
            ended = outcome.data.get("outcome") or _settled(outcome) if outcome else "no outcome"
            seq = (outcome or intended).seq
            told.append(f"Done: {escape(attempt.what)}, {escape(ended)}{cite(seq)}.")
    if state.resolved_at is not None:
        proof = cite(*(record.seq for record in account.all(Kind.RESOLVED)[-1:]))
        told.append(f"Recovered {seconds(took.recover_s)} after it began{proof}.")
    if again := account.all(Kind.REOPENED):
        times = "once" if len(again) == 1 else f"{len(again)} times"
        came = cite(*(record.seq for record in again))
        told.append(f"It came back {times} after it was taken for resolved{came}.")
    return " ".join(told) or f"What happened is {ABSENT}."


def _settled(outcome: Record) -> str:
    return "settled as " + ("happened" if outcome.data["happened"] else "not happened")


def _phase(account: Account) -> str:
    state = account.state
    held = f", held: {escape(state.held['why'])}{cite(state.held.get('seq'))}" if state.held else ""
    return state.phase.value + held


def _impact(account: Account) -> str:
    found = impact(account)
    if not found:
        return f"Which series were out of range is {ABSENT}."
    head = ("Series", "Severity", "Normal range", "Worst recorded", "Out of range for", "Records")
    return (
        f"{table(head, (_impact_row(one) for one in found))}\n\n"
        f"How many users or requests were affected is {ABSENT}."
    )


def _impact_row(one: SeriesImpact) -> tuple[str, ...]:
    bounds = one.low is not None or one.high is not None
    normal = f"{figure(one.low)} to {figure(one.high)}" if bounds else ABSENT
    times = one.times_the_range
    worst = figure(one.worst) + (f" ({times:.1f} times the upper bound)" if times else "")
    return (
        escape(one.series),
        escape(one.severity),
        normal,
        worst,
        seconds(one.lasted_s),
        ", ".join(f"#{seq}" for seq in one.seqs),
    )


def _detection(account: Account) -> str:
    opened, took = account.opened, durations(account.state)
    if opened is None:
        return f"How it was found is {ABSENT}."
    opened_by = escape(account.state.opened_by or None)
    started, at = moment(account.state.started_at), moment(opened.at)
    from_to = f"from the start of the trouble ({started}) to the opening ({at})"
    lines = [
        f"Time to detect: {seconds(took.detect_s)}, {from_to}{cite(opened.seq)}",
        f"Opened by {opened_by}; why: {escape(opened.data.get('why'))}{cite(opened.seq)}",
    ]
    lines += [
        f"{escape(line(record))}{cite(record.seq)}" for record in account.all(Kind.SIGNAL_ATTACHED)
    ]
    return bullets(lines, none="")


def _times(account: Account) -> str:
    took = durations(account.state)
    rows = (
        ("To detect", seconds(took.detect_s), "start of the trouble to opening"),
        ("To acknowledge", seconds(took.acknowledge_s), "opening to a person's acknowledgement"),
        ("To act", seconds(took.act_s), "opening to the first intent"),
        (
            "To recover",
            seconds(took.recover_s),
            "start to proven recovery, sustain window included",
        ),
    )
    return table(("Time", "Took", "From, to"), rows)


def _went(*, good: bool) -> Callable[[Account], str]:
    def write(account: Account) -> str:
        told = (f"{f.text}{cite(*f.seqs)}" for f in review(account) if f.good is good)
        return bullets(told, none="Nothing recorded says so.")

    return write


def _runbook(account: Account) -> str:
    told = bullets(advice(account), none="")
    draft = skeleton(account)
    return told if draft is None else f"{told}\n\n````markdown\n{draft}````"


def _actions(account: Account) -> str:
    owner = escape(", ".join(account.owners) or None)
    found = {f.action: f.seqs for f in review(account) if f.action}
    if skeleton(account) is not None:
        plan = account.last(Kind.PLAN_CHOSEN)
        found["Write the missing runbook from the skeleton above"] = (plan.seq,) if plan else ()
    boxes = "\n".join(
        f"- [ ] {action}; owner: {owner}{cite(*seqs)}" for action, seqs in found.items()
    )
    return boxes or "The records suggest none. Add what people decide."


def _timeline(account: Account) -> str:
    rows = (
        (f"#{record.seq}", moment(record.at), escape(line(record))) for record in account.records
    )
    return table(("Record", "At", "What"), rows)


def _ledger(account: Account) -> str:
    chain, state = account.chain, account.state
    whole = "verifies" if chain.get("ok") else f"does NOT verify: {escape(chain.get('problem'))}"
    unknown = (
        f" {state.unknown_kinds} records are of a kind that this version does not know."
        if state.unknown_kinds
        else ""
    )
    signed = chain.get("signed_up_to_seq")
    signature = (
        "no signature covers it" if signed is None else f"signed up to record {escape(signed)}"
    )
    return (
        f"The chain {whole}. Records: {escape(chain.get('records'))}; head: "
        f"`{_hex(chain.get('head_hash'))}`; {signature}.{unknown} "
        f"Check it yourself: `holdfast incident verify {_plain(state.incident_id)}`."
    )


def _hex(value: object) -> str:
    text = str(value)
    return text if value and all(c in "0123456789abcdef" for c in text) else ABSENT


def _plain(incident_id: str) -> str:
    return incident_id if incident_id.replace("-", "").isalnum() else "ID"


_ENDINGS = (Kind.RESOLVED, Kind.DISMISSED, Kind.MERGED, Kind.REOPENED, Kind.CLOSED)

SECTIONS: tuple[tuple[str, Callable[[Account], str]], ...] = (
    ("Summary", _summary),
    ("Impact", _impact),
    ("Detection", _detection),
    ("Diagnosis", diagnosis),
    ("Response", response),
    ("Times", _times),
    ("What went well", _went(good=True)),
    ("What went badly", _went(good=False)),
    ("Runbook to improve", _runbook),
    ("Action items", _actions),
    ("Timeline", _timeline),
    ("Ledger", _ledger),
)
