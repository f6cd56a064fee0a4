"""What went well, what went badly, and what to do about it: only from recorded facts.

Each rule looks at the records and says what it found, with their numbers. The
list at the end is the whole of it; nothing else is ever concluded.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from holdfast.incident import Kind, Phase
from holdfast.learning.account import Account, Attempt
from holdfast.learning.markdown import escape
from holdfast.learning.statistics import seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that went well or badly, the records that say so, and what may follow from it.

    `text` and `action` are Markdown: what came from outside is escaped in them.
    """

    good: bool
    text: str
    seqs: tuple[int, ...]
    action: str | None = None


def review(account: Account) -> tuple[Finding, ...]:
    """Apply every rule, in the order of the list."""
    return tuple(finding for rule in RULES for finding in rule(account))


def _good(text: str, *seqs: int) -> Finding:
    return Finding(good=True, text=text, seqs=seqs)


def _bad(text: str, *seqs: int, action: str | None = None) -> Finding:
    return Finding(good=False, text=text, seqs=seqs, action=action)


def _noticed(account: Account) -> Iterator[Finding]:
    opened = account.opened
    if opened is not None and opened.actor.kind.value == "system":
        yield _good("No person had to notice it: detection opened the incident.", opened.seq)


def _proven(account: Account) -> Iterator[Finding]:
    for attempt in account.attempts:
        intended = attempt.last(Kind.STEP_INTENDED)
        verdict = attempt.last(Kind.VERIFICATION_RECORDED)
        if intended and verdict and verdict.data["status"] == "met":
            yield _good(
                f"What recovered means was written down before {escape(attempt.what)} ran, and "
                "fresh samples after it met that.",
                intended.seq,
                verdict.seq,
            )


def _not_proven(account: Account) -> Iterator[Finding]:
    for attempt in account.attempts:
        for verdict in attempt.all(Kind.VERIFICATION_RECORDED):
            if verdict.data["status"] != "met":
                yield _bad(
                    f"{escape(attempt.what)} was done, and recovery was not proven: "
                    f"{escape(verdict.data['status'])}.",
                    verdict.seq,
                    action=f"Find out why {escape(attempt.what)} did not help, or why its "
                    "criteria could not show it",
                )


def _failed(account: Account) -> Iterator[Finding]:
    for attempt in account.attempts:
        outcome = attempt.last(Kind.STEP_FINISHED, Kind.STEP_RECONCILED)
        if outcome is None or outcome.data["outcome"] == "succeeded":
            continue
        category = outcome.data.get("error_category") or "no category recorded"
        yield _bad(
            f"Attempt {attempt.number} of {escape(attempt.what)} failed ({escape(category)}).",
            outcome.seq,
            action=f"Find out why {escape(attempt.what)} failed ({escape(category)})",
        )


def _retried(account: Account) -> Iterator[Finding]:
    for attempt in account.attempts:
        if attempt.number > 1:
            yield _bad(
                f"{escape(attempt.what)} needed attempt {attempt.number}.", attempt.proposed.seq
            )


def _doubt(account: Account) -> Iterator[Finding]:
    for attempt in account.attempts:
        doubts = attempt.all(Kind.STEP_IN_DOUBT)
        if not doubts:
            continue
        yield _bad(
            f"{escape(attempt.what)} was in doubt: {escape(doubts[0].data['why'])}.",
            *(doubt.seq for doubt in doubts),
            action=f"Find out why the outcome of {escape(attempt.what)} was lost",
        )
        yield from _doubt_ended(attempt)


def _doubt_ended(attempt: Attempt) -> Iterator[Finding]:
    settled = attempt.last(Kind.STEP_RECONCILED, Kind.STEP_SETTLED)
    if settled is None:
        yield _bad(
            f"{escape(attempt.what)} has no known outcome to this day.",
            attempt.records[-1].seq,
            action=f"Look at the target of {escape(attempt.what)} and settle the step",
        )
    elif settled.kind == Kind.STEP_RECONCILED:
        yield _good("The doubt was ended by evidence, not by a guess.", settled.seq)
    else:
        yield _good("The doubt was ended by a person who looked at the target.", settled.seq)


def _refused(account: Account) -> Iterator[Finding]:
    for attempt in account.attempts:
        blocked = attempt.last(Kind.STEP_BLOCKED)
        if blocked is not None:
            rules = [r["rule"] for r in blocked.data["verdict"]["reasons"] if not r["ok"]]
            yield _bad(
                f"The guard refused {escape(attempt.what)} "
                f"(rules: {escape(', '.join(rules) or 'not recorded')}).",
                blocked.seq,
            )


def _approvals(account: Account) -> Iterator[Finding]:
    for expired in account.all(Kind.APPROVAL_EXPIRED):
        yield _bad(
            f"Nobody answered the request to approve {escape(expired.data['step_id'])} in time.",
            expired.seq,
            action="Find out why nobody answered the approval request in time",
        )
    for denied in account.all(Kind.APPROVAL_DENIED):
        yield _bad(f"The approval of {escape(denied.data['step_id'])} was denied.", denied.seq)


def _holds(account: Account) -> Iterator[Finding]:
    for held in account.all(Kind.HELD):
        resumed = next((r for r in account.all(Kind.RESUMED) if r.seq > held.seq), None)
        lasted = (
            f"for {seconds((resumed.at - held.at).total_seconds())}"
            if resumed
            else "and no resume is recorded"
        )
        seqs = (held.seq, resumed.seq) if resumed else (held.seq,)
        yield _bad(f"The response was held {lasted}: {escape(held.data['why'])}.", *seqs)


def _blind_checks(account: Account) -> Iterator[Finding]:
    blind: dict[str, tuple[str, list[int]]] = {}
    for record in account.all(Kind.CHECKS_RECORDED):
        for name, result in record.data["results"].items():
            if result["status"] == "unknown" or result.get("error"):
                blind.setdefault(name, (str(result["summary"]), []))[1].append(record.seq)
    for name, (summary, seqs) in blind.items():
        yield _bad(
            f"Check {escape(name)} gave no reading: {escape(summary)}.",
            *seqs,
            action=f"Make check {escape(name)} able to read its target",
        )


def _no_runbook(account: Account) -> Iterator[Finding]:
    plans = account.all(Kind.PLAN_CHOSEN)
    if plans and all(plan.data["runbook"] is None for plan in plans):
        yield _bad("No runbook could be followed.", *(plan.seq for plan in plans))
    for plan in plans:
        for miss in plan.data.get("near_misses", ()):
            if plan.data["runbook"] is None:
                why_not = "; ".join(map(str, miss["why_not"]))
                yield _bad(
                    f"Runbook {escape(miss['runbook'])} nearly fitted: {escape(why_not)}.", plan.seq
                )


def _pages(account: Account) -> Iterator[Finding]:
    paged = account.all(Kind.PAGED)
    for page in paged:
        for delivery in page.data["deliveries"]:
            if not delivery["delivered"]:
                yield _bad(
                    f"A page did not arrive by {escape(delivery['channel'])}: "
                    f"{escape(delivery.get('detail'))}.",
                    page.seq,
                    action=f"Repair the channel {escape(delivery['channel'])}",
                )
    higher = [page for page in paged if page.data["level"] > 1]
    if higher:
        text = f"The page had to go on to level {max(page.data['level'] for page in higher)}."
        yield _bad(text, *(page.seq for page in higher), action="Review who is on call, and when")
    resolved = account.last(Kind.RESOLVED)
    if not paged and resolved is not None:
        yield _good("It was resolved and nobody was paged.", resolved.seq)


def _acknowledged(account: Account) -> Iterator[Finding]:
    paged, answered = account.first(Kind.PAGED), account.first(Kind.ACKNOWLEDGED)
    if paged and answered and answered.at >= paged.at:
        took = seconds((answered.at - paged.at).total_seconds())
        yield _good(f"The first page was acknowledged after {took}.", paged.seq, answered.seq)
    elif paged and not answered:
        yield _bad("No acknowledgement of the page is recorded.", paged.seq)


def _by_hand(account: Account) -> Iterator[Finding]:
    for manual in account.all(Kind.MANUAL_ACTION_REPORTED):
        what = f"{manual.data['action']} on {manual.data['target']}"
        yield _bad(
            f"A person had to act by hand: {escape(what)}.",
            manual.seq,
            action=f"Decide whether {escape(what)} belongs into a runbook",
        )


def _false_alarm(account: Account) -> Iterator[Finding]:
    state = account.state
    dismissed = account.last(Kind.DISMISSED)
    if dismissed is not None and state.phase in {Phase.DISMISSED, Phase.CLOSED}:
        yield _bad(
            f"It was dismissed: {escape(dismissed.data['why'])}.",
            dismissed.seq,
            action="Look at the thresholds of the series that opened it",
        )


def _came_back(account: Account) -> Iterator[Finding]:
    for reopened in account.all(Kind.REOPENED):
        yield _bad(
            "The trouble came back after it was resolved.",
            reopened.seq,
            action="Find out why the recovery did not last",
        )


def _late(account: Account) -> Iterator[Finding]:
    for report in account.all(Kind.LATE_REPORT):
        yield _bad(
            "A worker that had lost the incident reported late; kept as evidence only.", report.seq
        )


RULES: tuple[Callable[[Account], Iterator[Finding]], ...] = (
    _noticed,
    _proven,
    _acknowledged,
    _pages,
    _not_proven,
    _failed,
    _retried,
    _doubt,
    _refused,
    _approvals,
    _holds,
    _blind_checks,
    _no_runbook,
    _by_hand,
    _false_alarm,
    _came_back,
    _late,
)
