"""A directed run's charter, the boundaries that others hold, and a handoff that is under way.

A charter says what its commander may have done, to what, until when; a boundary says whose word
something needs, whoever asks. Both only narrow: nothing in here lets a step pass any other rule.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from holdfast.kernel import BadInputError, format_at, parse_at
from holdfast.kernel.catalogue import split_instance
from holdfast.policy.modes import Mode, effective_mode
from holdfast.policy.question import Boundary, Charter, Granted, GuardInput, Handoff, Origin
from holdfast.policy.rules import Decision, Ground, ground

ANY = "*"
_RULE, _BOUNDARY, _HANDOFF = "charter", "boundary", "handoff"


def charter(question: GuardInput) -> Iterator[Ground]:
    """Under a charter only its commander directs, only what it allows, only until it ends."""
    found = question.charter
    directed = question.origin is Origin.DIRECTIVE
    if found is None:
        if directed and effective_mode(question.modes).mode is Mode.GUIDED:
            text = (
                "guided: a directive needs a charter that names the commander, the objective and "
                "what may be done; run `holdfast charter set`"
            )
            yield ground(Decision.REFUSE, _RULE, text)
        return
    yield from _in_force(found, question)
    if directed:
        yield _commanded(found, question)
    yield _within(found, question)


def _in_force(found: Charter, question: GuardInput) -> Iterator[Ground]:
    if question.now < found.expires_at:
        return
    text = (
        f"the charter of {found.commander} expired at {format_at(found.expires_at)}; a person "
        "sets a new one with `holdfast charter set`"
    )
    yield ground(Decision.REFUSE, _RULE, text, at=found.expires_at)


def _commanded(found: Charter, question: GuardInput) -> Ground:
    who = question.principal.id if question.principal else "nobody"
    if speaks_for(found.commander, who, question.holders):
        return ground(Decision.ALLOW, _RULE, f"{who} is the commander", source=found.commander)
    text = (
        f"{found.commander} is the commander and {who} is not; ask them, or have it handed over "
        "with `holdfast handoff`"
    )
    return ground(Decision.REFUSE, _RULE, text, reading=who, threshold=found.commander)


def _within(found: Charter, question: GuardInput) -> Ground:
    what = f"{question.action} on {question.target}"
    if any(_grants(each, question) for each in found.allowed):
        return ground(Decision.ALLOW, _RULE, f"the charter allows {what}")
    if question.undoes is not None and question.under_charter:
        text = f"it undoes step {question.undoes}, which was done under this charter"
        return ground(Decision.ALLOW, _RULE, text, source=question.undoes)
    held = next((b for b in _boundaries(question) if _held(b, question)), None)
    if held is not None:
        text = f"{what} is within the authority of {held.authority}"
        return ground(Decision.ALLOW, _RULE, text, source=held.authority)
    allowed = "; ".join(each.words() for each in found.allowed) or "nothing"
    text = f"{what} is outside the charter of {found.commander}, which allows {allowed}"
    return ground(Decision.REFUSE, _RULE, text, reading=what, threshold=allowed)


def boundary(question: GuardInput) -> Iterator[Ground]:
    """What belongs to somebody else needs their word, in every mode."""
    for each in _boundaries(question):
        what = f"{question.action} on {question.target}"
        why = f" ({each.why})" if each.why else ""
        directed = question.origin is Origin.DIRECTIVE
        held = _held(each, question)
        if held and directed:
            text = f"{what} belongs to {each.authority}, who say so themselves"
            yield ground(Decision.ALLOW, _BOUNDARY, text, source=each.authority)
        elif directed:
            text = (
                f"{what} crosses a boundary: it belongs to {each.authority}{why}; hand it over "
                f"with `holdfast handoff INCIDENT --to {each.authority}`"
            )
            yield ground(Decision.REFUSE, _BOUNDARY, text, source=each.authority)
        elif _approved(question) and not held:
            text = (
                f"{what} belongs to {each.authority}{why}, and whoever approved it is none of them"
            )
            yield ground(Decision.REFUSE, _BOUNDARY, text, source=each.authority)
        else:
            # Also where one of them did: like any approval it has to be in time, and unused.
            text = f"{what} belongs to {each.authority}{why}; one of them has to approve it"
            yield ground(Decision.NEEDS_APPROVAL, _BOUNDARY, text, source=each.authority)


def handoff(question: GuardInput) -> Iterator[Ground]:
    """While the incident is handed over and not accepted, nobody acts: not the giver either."""
    found = question.handoff
    if found is None:
        return
    text = (
        f"{found.by} handed the incident to {found.to} and nobody accepted yet, so nobody acts; "
        "run `holdfast accept`, `holdfast refuse` or `holdfast recall`"
    )
    yield ground(Decision.REFUSE, _HANDOFF, text, source=found.to, at=found.since)


def speaks_for(authority: str, who: str, holders: Mapping[str, frozenset[str]]) -> bool:
    """Say whether a person is, or belongs to, whoever is named."""
    return who == authority or who in holders.get(authority, frozenset())


def boundary_covers(each: Boundary, *, action: str, target: str) -> bool:
    """Say whether a boundary is about this action on this target (or any of its regions).

    What acts on a whole service acts on each of its regions, so a region's boundary covers it too.
    """
    touches = covers_target(each.target, target) or split_instance(each.target)[0] == target
    return each.action in {ANY, action} and touches


def covers_target(named: str, target: str) -> bool:
    """Say whether `named` is the target itself, its service, or everything."""
    return named in {ANY, target, split_instance(target)[0]}


def _boundaries(question: GuardInput) -> tuple[Boundary, ...]:
    own = question.charter.boundaries if question.charter else ()
    return tuple(
        each
        for each in (*own, *question.boundaries)
        if boundary_covers(each, action=question.action, target=question.target)
    )


def _held(each: Boundary, question: GuardInput) -> bool:
    """Say whether a holder of this authority directs the step, or approved this very step."""
    if question.origin is Origin.DIRECTIVE:
        who = question.principal.id if question.principal else ""
        return speaks_for(each.authority, who, question.holders)
    by = question.approval.by if question.approval else ""
    return _approved(question) and speaks_for(each.authority, by, question.holders)


def _approved(question: GuardInput) -> bool:
    return question.approval is not None and question.approval.step_hash == question.step_hash


def _grants(each: Granted, question: GuardInput) -> bool:
    return each.action == question.action and any(
        name != ANY and covers_target(name, question.target) for name in each.targets
    )


def read_charter(data: Mapping[str, Any]) -> Charter:
    """Read the charter of a record. Raises BadInputError for one that says too little."""
    for name in ("commander", "objective"):
        if not str(data.get(name) or "").strip():
            raise BadInputError(f"the charter names no {name}; say --{name}", field=name)
    allowed = tuple(
        Granted(action=each["action"], targets=tuple(each["targets"])) for each in data["allowed"]
    )
    if not allowed:
        raise BadInputError("the charter allows nothing; say --allow ACTION:TARGET", field="allow")
    for each in allowed:
        if ANY in each.action or not each.targets or any(ANY in name for name in each.targets):
            raise BadInputError(
                f"the charter allows {each.words()!r}, which is not one action on named targets; "
                "write --allow ACTION:TARGET for each",
                field="allow",
            )
    return Charter(
        commander=data["commander"],
        objective=data["objective"],
        allowed=allowed,
        boundaries=tuple(read_boundary(each) for each in data.get("boundaries", ())),
        expires_at=parse_at(data["expires_at"]),
        four_eyes=bool(data.get("four_eyes", False)),
    )


def read_boundary(data: Mapping[str, Any]) -> Boundary:
    """Read one boundary of a record or of the configuration."""
    return Boundary(
        action=data["action"],
        target=data["target"],
        authority=data["authority"],
        why=data.get("why") or "",
    )


def read_handoff(data: Mapping[str, Any]) -> Handoff:
    """Read the handoff that an incident's fold holds."""
    return Handoff(to=data["to"], by=data["by"], since=parse_at(data["at"]))
