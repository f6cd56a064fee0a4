"""Directives: a person chooses one step, now, in their own words.

A directive becomes a proposed step that the guard judges on the live state. A suggestion is none:
it is written down, and answered with the directive that a person could give.
"""

import shlex
from collections.abc import Iterable, Mapping
from typing import Any

from holdfast.incident import Kind
from holdfast.kernel.catalogue import instance_name, split_instance
from holdfast.response.asking import Asking, drafted, not_ended, refusal, written
from holdfast.response.commands import Command
from holdfast.response.ordering import ordered
from holdfast.response.proposing import StepSpec, next_step_id
from holdfast.response.store import Answer
from holdfast.runbooks import compile_error
from holdfast.verification import parse_expectation

_TIMEOUT_S = 30.0
_DIGEST_LEAST = 12


def direct(case: Asking) -> tuple[Command, ...]:
    """Propose the step that a person chose, or rehearse it."""
    return ordered(case, directed_spec(case))


def directed_spec(case: Asking) -> StepSpec:
    """Read the step that is asked for. Raises BadInputError where it makes no sense."""
    data = case.data
    _known_action(case, data["action"])
    service, region = _known_target(case, data["target"])
    return StepSpec(
        action=data["action"],
        target=data["target"],
        params=data.get("params", {}),
        criteria=criteria_of(case, data.get("expect", ()), service),
        when=_assumptions(data),
        timeout_s=float(data.get("timeout_s", _TIMEOUT_S)),
        cooldown_s=case.world.timing.cooldown_s,
        variables=variables(service, region),
        step_id=next_step_id(case.state),
        actor=case.request.actor,
        because=data.get("because"),
        seen=_digest(data.get("seen")),
    )


def variables(service: str, region: str | None) -> Mapping[str, Any]:
    """Give what a directive's preconditions may name of its target."""
    return {
        "entity": service,
        "region": region,
        "instance": instance_name(service, region) if region else None,
    }


def _known_action(case: Asking, action: str) -> None:
    if action not in case.world.actions:
        known = ", ".join(sorted(case.world.actions))
        raise refusal(f"action {action!r} is unknown; known are {known}")


def _known_target(case: Asking, target: str) -> tuple[str, str | None]:
    service, region = split_instance(target)
    if service not in case.world.catalogue.services:
        known = ", ".join(case.world.catalogue.services)
        raise refusal(f"service {service!r} is not in the catalogue; known are {known}")
    return service, region


def criteria_of(case: Asking, texts: Iterable[str], service: str) -> tuple[str, ...]:
    """Read criteria. Raises BadInputError for one that can't be read, or that nobody measures."""
    criteria = tuple(texts)
    for text in criteria:
        named = parse_expectation(text, service=service).service or service
        _known_target(case, named)
    return criteria


def _assumptions(data: Mapping[str, Any]) -> tuple[str, ...]:
    found = tuple(data.get("when", ()))
    for text in found:
        if problem := compile_error(text):
            raise refusal(f"--when {text!r} can't be read: {problem}")
    return found


def _digest(seen: object) -> str | None:
    if seen is None:
        return None
    text = str(seen).strip().lower()
    if len(text) < _DIGEST_LEAST or any(c not in "0123456789abcdef" for c in text):
        raise refusal(
            f"--seen {seen!r} is no digest of a dry run; copy `seen` from `holdfast direct "
            "--dry-run --json`"
        )
    return text


def propose(case: Asking) -> tuple[Command, ...]:
    """Write a suggestion down. Only a person's own directive ever makes a step of it."""
    not_ended(case)
    data = case.data
    spec = directed_spec(case)
    if not str(data["because"]).strip():
        raise refusal("a suggestion without a reason helps nobody; say --because")
    said = {
        "action": spec.action,
        "target": spec.target,
        "params": dict(spec.params),
        "expect": list(spec.criteria),
        "when": list(spec.when),
        "because": data["because"],
    }
    line = directive_line(case.state.incident_id, said)
    message = f"suggested; nothing is done until a person directs it in their own words: {line}"
    answer = Answer(ok=True, message=message, data={"directive": line})
    draft = drafted(case, Kind.STEP_SUGGESTED, said)
    return (written(case.request, (draft,), answer),)


def directive_line(incident_id: str, said: Mapping[str, Any]) -> str:
    """Write the command that would direct this; the reason is left for whoever gives it."""
    words = ["holdfast", "direct", incident_id, said["action"], said["target"]]
    for name, value in said["params"].items():
        words += ["-p", f"{name}={_word(value)}"]
    for option, texts in (("--expect", said["expect"]), ("--when", said["when"])):
        for text in texts:
            words += [option, text]
    return f"{shlex.join(words)} --because"


def _word(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
