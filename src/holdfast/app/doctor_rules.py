"""Looks at what Holdfast may do and whom it tells: modes, grants, approvals, people, runbooks.

Nothing here is reached; it is what the files say when they are read together.
"""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from holdfast.app.addresses import is_loopback
from holdfast.app.doctor_boundaries import judge_boundaries
from holdfast.app.doctor_findings import (
    Finding,
    Level,
    Look,
    Probe,
    counted,
    failed,
    fine,
    found,
    told,
)
from holdfast.app.installation import Installation
from holdfast.app.keeping_models import change_freezes
from holdfast.app.linting import lint_installation
from holdfast.kernel.clock import Clock, format_at
from holdfast.policy import Window, open_freezes
from holdfast.runbooks import Severity

_MODES, _PEOPLE, _RUNBOOKS = "modes and grants", "people", "runbooks"
_ACTING = frozenset({"supervised", "autonomous"})


def rule_probes(look: Look) -> Iterator[Probe]:
    """List what there is to read."""
    installation = look.installation
    for area, what, judge in (
        (_MODES, "listen", judge_listen),
        (_MODES, "mode", judge_modes),
        (_MODES, "autonomy", judge_grants),
        (_PEOPLE, "on call", judge_people),
        (_PEOPLE, "boundaries", judge_boundaries),
        (_RUNBOOKS, "runbooks", judge_runbooks),
    ):
        yield Probe(area=area, what=what, look=partial(judge, installation))
    freezes = partial(judge_change_freezes, installation, look.clock)
    yield Probe(area=_MODES, what="change freezes", look=freezes)


def judge_listen(installation: Installation) -> Iterator[Finding]:
    """Judge where HTTP is answered: there is no TLS, so only this host may hear it."""
    listen = installation.config.listen
    host = listen.rpartition(":")[0]
    if is_loopback(host):
        yield fine("listen", f"{listen}, this host only")
        return
    yield found(
        "listen",
        Level.UNSAFE,
        f"{listen} is answered to other hosts, and without TLS: tokens can be read on the way",
        "listen on 127.0.0.1 and put a reverse proxy with TLS in front",
    )


def judge_modes(installation: Installation) -> Iterator[Finding]:
    """Judge the mode with what limits it."""
    config, limits = installation.config, installation.limits
    yield fine("mode", config.mode)
    if config.mode == "observe":
        yield told("mode", "nothing is performed; each incident shows what would have been done")
    if config.mode in _ACTING and not limits.four_eyes:
        yield found(
            "approvals",
            Level.WARNING,
            "whoever proposes a step may approve it",
            "set limits.four_eyes: true where two people are there to look",
        )
    if config.mode == "autonomous" and not config.limits:
        yield found(
            "limits",
            Level.WARNING,
            "all built in, none chosen for these services",
            "look at them and write those that you mean under `limits`",
        )


def judge_grants(installation: Installation) -> Iterator[Finding]:
    """Judge what may run by itself."""
    config = installation.config
    if not config.autonomy:
        yield fine("autonomy", "granted to no runbook")
        return
    for grant in config.autonomy:
        what = f"{grant.runbook} on {grant.service}"
        if config.mode != "autonomous":
            yield told("autonomy", f"{what} is granted, and mode {config.mode} does not use it")
            continue
        yield told("autonomy", f"{what}, granted by {grant.granted_by}: {grant.because}")
        if config.notify.webhook is None:
            yield found(
                "autonomy",
                Level.UNSAFE,
                f"{what} acts by itself, and a page goes to the console only",
                "set notify.webhook, so that somebody is told",
            )


def judge_change_freezes(installation: Installation, clock: Clock) -> Iterator[Finding]:
    """Name the change freezes that are open now, and those that are over for good."""
    configured, now = change_freezes(installation.config.change_freezes), clock.now()
    for window in open_freezes(configured, now):
        until = format_at(window.ends_at)[:16]
        yield told(
            "change freeze",
            f"{window.window_id} is open until {until}Z for {window.scope}: every step there waits "
            f"for a person ({window.by}: {window.why})",
        )
    for each in configured:
        if isinstance(each, Window) and each.ends_at <= now:
            yield found(
                "change freeze",
                Level.WARNING,
                f"{each.window_id} ({each.scope}) is over since {format_at(each.ends_at)[:16]}Z",
                "take it out of `change_freezes`",
            )


def judge_people(installation: Installation) -> Iterator[Finding]:
    """Judge whether anybody would be told."""
    config, catalogue = installation.config, installation.catalogue
    lacking = [s.name for s in catalogue.services.values() if s.on_call is None]
    if lacking:
        shown = ", ".join(lacking[:5]) + (" ..." if len(lacking) > len(lacking[:5]) else "")
        yield found(
            "on call", Level.WARNING, f"nobody for {shown}", "set on_call to a contact there"
        )
    elif catalogue.services:
        yield fine("on call", f"somebody for {counted(len(catalogue.services), 'service')}")
    if config.notify.webhook is None:
        by_webhook = [c.id for c in catalogue.contacts.values() if "webhook" in c.page]
        if by_webhook:
            yield failed(
                "pager",
                f"{', '.join(by_webhook)} is paged by webhook, and none is set; set notify.webhook",
            )
        else:
            yield found(
                "pager",
                Level.WARNING,
                "no webhook: a page is a line on the console of `holdfast serve`",
                "set notify.webhook",
            )
    if config.dead_man is None:
        yield told("dead-man's switch", "not set: nobody outside notices if Holdfast itself stops")


def judge_runbooks(installation: Installation) -> Iterator[Finding]:
    """Sum up what `runbook lint` says."""
    findings = lint_installation(installation.directory)
    by_severity: dict[str, list[Mapping[str, Any]]] = {}
    for finding in findings:
        by_severity.setdefault(str(finding["severity"]), []).append(finding)
    count = len(installation.runbooks)
    for severity, level in ((Severity.ERROR, Level.ERROR), (Severity.WARNING, Level.WARNING)):
        bad = by_severity.get(severity.value, [])
        if bad:
            first = bad[0]
            yield found(
                "runbooks",
                level,
                f"{counted(len(bad), severity.value)} in {counted(count, 'runbook')}, "
                f"the first: {first['text']}",
                "see `holdfast runbook lint`",
            )
    if not findings:
        yield fine("runbooks", f"{count}, nothing to complain of")
