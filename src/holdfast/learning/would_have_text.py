"""The would-have-done report in Markdown, for the people who decide about the next mode.

The figures first, then what speaks against Holdfast, then each incident with its records.
"""

from collections.abc import Iterator

from holdfast.incident.timeline import one_line
from holdfast.learning.by_people import ByPerson
from holdfast.learning.markdown import bullets, cite, escape, moment, table
from holdfast.learning.statistics import seconds
from holdfast.learning.would_have import NEVER_KNOWN, SPEAKS_AGAINST, Compared, Report, Told

_WORDS = {
    Compared.AGREED: "agreed: people did the same",
    Compared.OTHER_TARGET: "different: the same on another target",
    Compared.DIFFERENT: "different: people did something else",
    Compared.CONTRADICTING: "contradicting: people did the opposite",
    Compared.NEEDLESS: "needless, as far as is recorded: the trouble was gone without it",
    Compared.FALSE_ALARM: "wrong: it was a false alarm",
    Compared.MISSED: "missed: people acted, Holdfast would have done nothing",
    Compared.QUIET: "nothing on either side, as far as is recorded",
    Compared.UNCLEAR: "can't be told",
    Compared.STILL_OPEN: "not over yet",
}
_FIGURES = (
    ("incidents", "Incidents"),
    ("would_have_steps", "Steps that would have been performed"),
    ("agreed", "... on which people agreed: the same action on the same target"),
    (
        "minutes_earlier_median",
        "... earlier than that was done or reported, median in minutes; of those without approval",
    ),
    ("different", "... where people did something else, or the same elsewhere"),
    ("contradicting", "... where people did the opposite"),
    (
        "needless",
        "... that were needless, as far as is recorded: the trouble was gone without them",
    ),
    ("false_alarms", "... on a false alarm"),
    ("not_known_yet", "... of which nothing can be said, or not yet"),
    ("missed", "Incidents in which people acted and Holdfast would have done nothing"),
)


def would_have_text(report: Report) -> str:
    """Write the report."""
    figures = report.figures()
    rows = [(title, _figure(figures[name])) for name, title in _FIGURES]
    parts = [
        f"# What Holdfast would have done: {moment(report.since)} to {moment(report.until)}",
        NEVER_KNOWN,
        *(f"**Not read, so it is missing here:** {escape(text)}" for text in report.unread),
        f"## In figures\n\n{table(('What', 'How many'), rows)}",
        f"## What would have been wrong\n\n{_wrong(report)}",
        f"## Incidents\n\n{_incidents(report)}",
    ]
    return "\n\n".join(parts) + "\n"


def summary_line(report: Report) -> str:
    """Say the figures in one line, for a log."""
    figures = report.figures()
    earlier = figures["minutes_earlier_median"]
    by = f" (median {earlier:g} min earlier)" if earlier is not None else ""
    return (
        f"would have done: {figures['would_have_steps']} steps in {figures['incidents']} "
        f"incidents; agreed {figures['agreed']}{by}, different {figures['different']}, "
        f"contradicting {figures['contradicting']}, needless {figures['needless']}, false alarms "
        f"{figures['false_alarms']}, missed {figures['missed']}"
    )


def _figure(value: float | None) -> str:
    return "none" if value is None else f"{value:g}"


def _wrong(report: Report) -> str:
    return bullets(_against(report), none="Nothing that is recorded speaks against any of it.")


def _against(report: Report) -> Iterator[str]:
    for told in report.incidents:
        if not told.steps and told.compared in SPEAKS_AGAINST:
            yield f"{escape(told.incident_id)}: {_short(told.why)}."
        for step in told.steps:
            if step.compared in SPEAKS_AGAINST:
                yield (
                    f"{escape(told.incident_id)}: {escape(step.what)} may have been wrong or not "
                    f"needed: {_short(step.why)}{cite(step.seq)}."
                )


def _incidents(report: Report) -> str:
    if not report.incidents:
        return "None in this time."
    return "\n\n".join(_incident(told) for told in report.incidents)


def _incident(told: Told) -> str:
    gone = f"back to normal at {moment(told.gone_at)}" if told.gone_at else "not back to normal"
    standing = f"{escape(told.severity)}, now {escape(told.phase)}; {gone}"
    parts = [
        f"### {escape(told.incident_id)}: {escape(told.title or None)}",
        f"Opened at {moment(told.opened_at)}, {standing}. **{_sentence(_WORDS[told.compared])}**",
    ]
    if told.steps:
        parts.append(table(("Would have been performed", "At", "Compared"), _rows(told)))
    else:
        parts.append(_sentence(_short(told.why)))
    parts.append(bullets(_done(told), none="What people did is not recorded."))
    return "\n\n".join(parts)


def _rows(told: Told) -> Iterator[tuple[str, str, str]]:
    for step in told.steps:
        first = ", after an approval" if step.after_approval else ""
        earlier = ""
        if step.earlier_s is not None:
            word = "earlier" if step.earlier_s >= 0 else "later"
            earlier = f" ({seconds(abs(step.earlier_s))} {word})"
        yield (
            f"{escape(step.what)}{first}{cite(step.seq)}",
            moment(step.at),
            f"{_WORDS[step.compared]}{earlier}. {_short(step.why)}",
        )


def _done(told: Told) -> Iterator[str]:
    for person in told.people:
        yield _by(person)
    for change in told.changes:
        yield (
            f"Changed meanwhile at {moment(change.at)}: {escape(change.kind)} of "
            f"{escape(change.service)}, {_short(change.summary)} ({escape(change.id)})."
        )


def _by(person: ByPerson) -> str:
    when = "Done" if person.done_at else "Reported"
    because = f": {_short(person.because)}" if person.because else ""
    return (
        f"{when} at {moment(person.told_at)} by {escape(person.by)}: {escape(person.what)}, "
        f"{escape(person.source)}{because}{cite(person.seq)}."
    )


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _short(text: str, most: int = 300) -> str:
    clean = one_line(text)
    return escape(clean if len(clean) <= most else clean[: most - 1] + "…")
