"""One incident as text for a terminal at 3 a.m.: the state first, then what to do, then why."""

from collections.abc import Iterator, Mapping
from typing import Any

_TIMELINE_LINES = 12
View = Mapping[str, Any]
_OVER = frozenset({"resolved", "closed", "dismissed", "merged"})


def incident_text(view: View) -> Iterator[str]:
    """Write an incident in the order in which somebody who was just woken needs it."""
    yield f"{view['incident_id']}  {_state(view)}  {view['severity']}  {view['title']}"
    yield from _standing(view)
    yield from _next(view)
    yield from _thinking(view)
    yield from _checks(view)
    yield from _steps(view)
    yield from _runbooks(view)
    yield ""
    left = len(view["timeline"]) - _TIMELINE_LINES
    more = f" (the last {_TIMELINE_LINES}; all: holdfast incident timeline {view['incident_id']})"
    yield f"Timeline{more if left > 0 else ''}"
    for entry in view["timeline"][-_TIMELINE_LINES:]:
        yield f"  {timeline_line(entry)}"


def timeline_line(entry: View) -> str:
    """Write one record: time of day (UTC), number, words."""
    return f"{entry['at'][11:19]}  #{entry['seq']:<3} {entry['text']}"


def _state(view: View) -> str:
    phase = str(view["phase"]).upper()
    return f"{phase}, HELD" if view["held"] and view["phase"] not in _OVER else phase


def _when(at: str) -> str:
    return f"{at[:10]} {at[11:19]} UTC"


def _standing(view: View) -> Iterator[str]:
    where = ", ".join(view["regions"]) or "unknown"
    kind = view["incident_type"] or "not classified yet"
    yield f"  began      {_when(view['started_at'])}, in {where}; mode {view['mode']}"
    yield f"  what       {kind}; {_cause(view)}"
    if view["reopened"]:
        times = "once" if view["reopened"] == 1 else f"{view['reopened']} times"
        yield f"  reopened   {times}: the trouble came back after it was resolved"
    if view["follows"]:
        earlier = view["follows"]
        yield f"  follows    {earlier['incident_id']}, {earlier['phase']} at {earlier['ended_at']}"
    if view["held"] and view["phase"] not in _OVER:
        yield f"  HELD       since {view['held']['since'][11:19]}: {view['held']['why']}"
    for freeze in view["frozen"] if view["phase"] not in _OVER else ():
        who = f"{freeze['scope']} by {freeze['by']} since {_when(freeze['since'])}"
        yield f"  FROZEN     {who}: {freeze['why']}"
    for each in view["modes_set"] if view["phase"] not in _OVER else ():
        who = f"{each['scope']} by {each['by']} since {_when(each['since'])}"
        yield f"  AT MOST    {each['mode']}, set for {who}: {each['why']}"
    for each in view["maintenance"] if view["phase"] not in _OVER else ():
        what = (
            f"{each['window_id']} on {each['scope']} by {each['by']} until {_when(each['until'])}"
        )
        yield f"  AT WORK    {what}: {each['why']}"
    yield f"  who        {_who(view)}"
    yield from _command(view)
    if view["waiting_for"]:
        yield f"  waits for  {', '.join(view['waiting_for'])}"
    if view["ending"]:
        yield f"  ended      {view['ending']}"


def _command(view: View) -> Iterator[str]:
    """Say who commands and to whom it is being handed."""
    charter, handoff = view["charter"], view["handoff"]
    if view["commander"] and charter:
        until = _when(charter["expires_at"])
        yield f"  commands   {view['commander']} until {until}, to {charter['objective']}"
    elif view["commander"]:
        yield f"  commands   {view['commander']}, without a charter"
    if handoff:
        given = f"to {handoff['to']} by {handoff['by']}: {handoff['because']}"
        yield f"  HANDED     {given}; nobody acts until it is accepted"


def _cause(view: View) -> str:
    """Name the cause with how sure that is: it is inferred, and may rest on little."""
    if not view["root_entity"]:
        return "cause: not known"
    first = next(iter(view["hypotheses"]), None)
    if first is None or first["entity"] != view["root_entity"]:
        return f"cause: {view['root_entity']}"
    if first["mechanism"] == "unknown":
        return f"cause: not known, maybe in {first['entity']}"
    return f"cause: {first['entity']}, {first['confidence']}"


def _who(view: View) -> str:
    parts = [f"owner {view['owner']}" if view["owner"] else "nobody owns it"]
    if view["acknowledged"]:
        parts.append(f"acknowledged by {view['acknowledged']['by']}")
    if view["escalated"]:
        parts.append(f"escalated to level {view['escalated']['level']}")
    paged = ", ".join(dict.fromkeys(str(p["to"]["name"]) for p in view["paged"] if p["to"]))
    if view["paged"] and not paged:
        parts.append("nobody could be paged: no contact is known")
    elif paged:
        reached = "" if view["pages"] else " (no page was delivered)"
        parts.append(f"paged {paged}{reached}")
    return "; ".join(parts)


def _next(view: View) -> Iterator[str]:
    """Say what a person can do now, as commands to copy."""
    name = view["incident_id"]
    lines = [*_about_handoff(view), *_about_steps(view)]
    if view["phase"] in _OVER:
        if not view["label"]:
            lines.append(f"holdfast incident label {name} true|false --because TEXT")
        if view["phase"] in {"resolved", "dismissed"}:
            lines.append(f"holdfast postmortem {name}")
    else:
        if not view["acknowledged"]:
            lines.append(f"holdfast incident ack {name}")
        scopes = [freeze["scope"] for freeze in view["frozen"]]
        lines.extend(f"holdfast thaw --scope {scope} --because TEXT" for scope in scopes)
        if view["held"] and not lines_about_doubt(view):
            lines.append(f"holdfast resume {name} --because TEXT")
        lines.extend(_about_directing(view))
        if view["held"] or _is_up_to_people(view):
            lines.append(f"holdfast did {name} ACTION TARGET --because TEXT")
            lines.append(f"holdfast incident dismiss {name} --because TEXT")
    if lines:
        yield ""
        yield "Next"
        yield from (f"  {line}" for line in lines)


def _is_up_to_people(view: View) -> bool:
    """Whether the last step was only shown or refused, so that somebody has to do something."""
    return bool(view["steps"]) and view["steps"][-1]["status"] == "blocked"


def lines_about_doubt(view: View) -> bool:
    """Whether a step's outcome is unknown: nothing goes on before that is settled."""
    return any(step["status"] == "in_doubt" for step in view["steps"])


def _about_directing(view: View) -> Iterator[str]:
    """Where a person chooses the next step: who may, and how to see first what it would do."""
    if "directive" not in view["waiting_for"]:
        return
    name = view["incident_id"]
    if view["mode"] == "guided" and not view["charter"]:
        yield (
            f"holdfast charter set {name} --commander WHO --objective TEXT "
            "--allow ACTION:TARGET --because TEXT"
        )
    yield f"holdfast direct {name} ACTION TARGET --expect CRITERION --because TEXT --dry-run"


def _about_handoff(view: View) -> Iterator[str]:
    if view["handoff"]:
        name = view["incident_id"]
        yield f"holdfast incident packet {name}"
        yield f"holdfast accept {name}"
        yield f"holdfast refuse|recall {name} --because TEXT"


def _about_steps(view: View) -> Iterator[str]:
    for step in view["steps"]:
        name, number = view["incident_id"], step["step_id"]
        if step["status"] == "in_doubt":
            yield (
                f"look at {step['target']}, then: holdfast settle {name} {number} "
                "happened|not-happened --evidence TEXT"
            )
        if step["status"] == "awaiting_approval":
            yield f"holdfast approve {name} {number} --hash {step['hash']} --because TEXT"
            yield f"holdfast deny {name} {number} --because TEXT"


def _thinking(view: View) -> Iterator[str]:
    if not view["hypotheses"]:
        return
    yield ""
    yield "Possible causes (inferred; E… are the facts they rest on)"
    for each in view["hypotheses"]:
        where = f"@{each['region']}" if each["region"] else ""
        against = f", against {','.join(each['contradicts'])}" if each["contradicts"] else ""
        cited = f"[for {','.join(each['supports'])}{against}]"
        yield (
            f"  {each['rank']}. {each['entity']}{where} {each['mechanism']} "
            f"({each['confidence']}, score {each['score']}): {each['text']} {cited}"
        )
    for missing in view["missing_context"]:
        yield f"  missing: {missing}"


def _checks(view: View) -> Iterator[str]:
    if not view["checks"]:
        return
    yield ""
    yield "Checks"
    width = max(map(len, view["checks"]))
    for name, result in view["checks"].items():
        yield f"  {name.ljust(width)}  {result['status'].ljust(8)}  {result['summary']}"


def _steps(view: View) -> Iterator[str]:
    if not view["steps"]:
        return
    yield ""
    yield "Steps"
    for step in view["steps"]:
        what = f"{step['action']} on {step['target']} (attempt {step['attempt']})"
        yield f"  {step['step_id']} {_stands(step)}: {what}"
        yield from (f"     {line}" for line in _about_step(step))


def _stands(step: View) -> str:
    """Say where it stands in a person's words, and how exactly where that says more."""
    standing = str(step["standing"])
    words = standing.replace("_", " ")
    return words if step["status"] == standing else f"{words} ({step['status']})"


def _about_step(step: View) -> Iterator[str]:
    verdict = step["verdict"]
    if verdict and step["status"] in {"blocked", "awaiting_approval"}:
        yield from (
            f"guard: {reason['text']}" for reason in verdict.get("reasons", ()) if not reason["ok"]
        )
    if step["outcome"] and step["outcome"].get("summary"):
        yield f"outcome: {step['outcome']['summary']}"
    if step["verification"]:
        yield f"verification: {step['verification']['status']}"


def _runbooks(view: View) -> Iterator[str]:
    followed = view["plan"]["runbook"] if view["plan"] else None
    others = [each for each in view["runbooks"] if each["runbook"] != followed]
    if not others:
        return
    yield ""
    yield "Runbooks that were looked at and not followed"
    for each in others:
        yield f"  {each['runbook']}: {'; '.join(map(str, each['why_not']))}"
