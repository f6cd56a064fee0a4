"""What `http` and `command` share: a call is chosen by its name, and only names are filled into it.

A runbook chooses one of the calls that the configuration allows; it never writes one. What may be
filled in are the target's service and region and the incident, each a plain name, so that no value
becomes a path, an option or a header.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

from holdfast.actions.places import before_acting, incident_of, known_target, only, refused
from holdfast.kernel.canonical import canonical_json
from holdfast.kernel.catalogue import Catalogue
from holdfast.kernel.errors import BadInputError
from holdfast.kernel.redact import MARK
from holdfast.response.ports import ActionOutcome, ActionRequest, Effect, ProbeResult

PLACES = ("service", "region", "incident")
SECRET_CHARS_MIN = 6
_PLACE = re.compile(r"\$\{([^{}]*)\}|\$\{")
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """A call of the configuration, and what is filled into it for one attempt."""

    name: str
    call: Mapping[str, Any]
    values: dict[str, str]
    digest: str
    undo_digest: str | None = None

    def is_as_seen(self, request: ActionRequest) -> bool:
        """Say whether it is the very call that was looked at before the intent."""
        return request.pre_image.get("digest") == self.digest


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedCalls:
    """The calls of one action, and which of them an attempt means.

    `section` is where they stand, such as `actions.http`; `secret` are the fields of a call whose
    values are shown nowhere; `done` is the action's word for what was not done: sent, or run.
    """

    catalogue: Catalogue
    action: str
    section: str
    calls: Mapping[str, Mapping[str, Any]]
    secret: tuple[str, ...]
    done: str

    def choose(self, target: str, params: Mapping[str, Any], incident: str | None = None) -> Chosen:
        """Choose the call of a step. Raises BadInputError for one that is not allowed."""
        name = chosen_call(self.action, params, self.calls, self.section)
        values = values_of(self.catalogue, self.action, target, params, incident)
        call = self.calls[name]
        back = call.get("undo")
        return Chosen(
            name=name,
            call=call,
            values=values,
            digest=digest_of(call, self.secret),
            undo_digest=digest_of(self.calls[back], self.secret) if back else None,
        )

    def to_perform(self, request: ActionRequest) -> Chosen | ActionOutcome:
        """Give what is to be done, or the refusal where it is not what was looked at."""
        chosen = self._of(request)
        if chosen.is_as_seen(request):
            return chosen
        return self._changed(request, chosen, "changed_meanwhile")

    def to_probe(self, request: ActionRequest) -> Chosen | ProbeResult:
        """Give the call whose effect is looked for, or what can be said without looking."""
        chosen = self.choose(request.target, request.params, incident_of(request.idempotency_key))
        if chosen.is_as_seen(request):
            return chosen
        text = f"the call {chosen.name} was changed since, so what it did can't be told by it"
        return ProbeResult(effect=Effect.UNKNOWN, evidence=text)

    def to_undo(
        self, request: ActionRequest, look: Callable[[Chosen], ProbeResult]
    ) -> Chosen | ActionOutcome:
        """Give the call that undoes, or why it is not made. `look` runs the probe of a call.

        Where there is a probe, it is undone only while the effect is seen, and was not before.
        """
        chosen = self._of(request)
        back = chosen.call.get("undo")
        if not back:
            return refused("not_reversible", f"no call undoes {chosen.name}; add `undo` to it")
        before = request.pre_image.get("undo_digest", chosen.undo_digest)
        if not chosen.is_as_seen(request) or before != chosen.undo_digest:
            return self._changed(request, chosen, "changed_since")
        if chosen.call.get("probe"):
            if request.pre_image.get("before") == Effect.PRESENT.value:
                text = "it was so before this step, so the step changed nothing"
                return self._refused("nothing_to_undo", request, text)
            found = look(chosen)
            if found.effect is not Effect.PRESENT:
                gone = found.effect is Effect.ABSENT
                category = "nothing_to_undo" if gone else "unclear"
                return self._refused(category, request, found.evidence)
        return replace(chosen, name=back, call=self.calls[back])

    def _of(self, request: ActionRequest) -> Chosen:
        with before_acting():
            incident = incident_of(request.idempotency_key)
            return self.choose(request.target, request.params, incident)

    def _changed(self, request: ActionRequest, chosen: Chosen, category: str) -> ActionOutcome:
        text = f"the call {chosen.name} was not looked at before, or was changed since"
        return self._refused(category, request, text)

    def _refused(self, category: str, request: ActionRequest, why: str) -> ActionOutcome:
        return refused(category, f"{request.target}: {why}; nothing was {self.done}")


def check_places(text: str) -> str:
    """Return a text whose `${...}` are all known. Raises ValueError."""
    for found in _PLACE.finditer(text):
        if found[1] not in PLACES:
            known = ", ".join(f"${{{name}}}" for name in PLACES)
            raise ValueError(f"{found[0]} can't be filled in; known are {known}")
    return text


def fill(text: str, values: Mapping[str, str], encode: Callable[[str], str] = str) -> str:
    """Fill in the places of a text. Raises BadInputError for one without a value."""

    def value(found: re.Match[str]) -> str:
        if found[1] not in values:
            raise BadInputError(
                f"the call needs ${{{found[1]}}}, which this target does not have; name"
                " service@region, or give it in params.values",
                field="params.values",
            )
        return encode(values[found[1]])

    return _PLACE.sub(value, text)


def chosen_call(
    action: str, params: Mapping[str, Any], calls: Mapping[str, Any], section: str
) -> str:
    """Take the name of a call. Raises BadInputError for one that the configuration lacks."""
    only(action, params, ("call", "values"))
    name = params.get("call")
    if not isinstance(name, str) or name not in calls:
        known = ", ".join(sorted(calls)) or f"none; add one under {section} in holdfast.yaml"
        raise BadInputError(
            f"{action}: call is {name!r}, which is not in the allow-list; allowed: {known}",
            field="params.call",
        )
    return name


def values_of(
    catalogue: Catalogue, action: str, target: str, params: Mapping[str, Any], incident: str | None
) -> dict[str, str]:
    """Give what may be filled in. What a runbook gives may add to the target, not contradict it.

    Before there is an attempt the incident is not known, unless the runbook gives it.
    """
    service, region = known_target(catalogue, action, target)
    values = {"service": service.name}
    if region is not None or len(service.regions) == 1:
        values["region"] = region or service.regions[0]
    if incident is not None:
        values["incident"] = incident
    given = params.get("values", {})
    if not isinstance(given, Mapping):
        text = f"{action}: values is {given!r}; write a mapping"
        raise BadInputError(text, field="params.values")
    for name, value in given.items():
        if why := _why_not(name, value, values, service.regions):
            raise BadInputError(f"{action}: {why}", field=f"params.values.{name}")
        values[name] = value
    for name, value in values.items():
        if not _PLAIN.fullmatch(value):
            raise BadInputError(
                f"{action}: {name} is {value!r}, no plain name, so it is not filled in; use"
                " letters, digits, dots, dashes and underscores",
                field=f"params.values.{name}",
            )
    return values


def _why_not(
    name: str, value: object, values: Mapping[str, str], regions: tuple[str, ...]
) -> str | None:
    if name not in PLACES:
        return f"values has no place for {name!r}; known: {', '.join(PLACES)}"
    if not isinstance(value, str) or (name == "region" and value not in regions):
        return f"{name} can't be {value!r}; the service runs in {', '.join(regions)}"
    if values.get(name, value) != value:
        return f"{name} is {value!r}, and the step is about {values[name]!r}; leave it out"
    return None


def digest_of(call: Mapping[str, Any], secret: tuple[str, ...]) -> str:
    """Name what a call is, without what is secret in it: a changed call is another call."""
    shown = {key: value for key, value in call.items() if key not in secret}
    named = {key: sorted(call.get(key) or {}) for key in secret}
    return sha256(canonical_json({"call": shown, "names": named})).hexdigest()[:16]


def without(text: str, secrets: Mapping[str, str]) -> str:
    """Take out of an answer what we sent as a secret: some servers echo it."""
    for value in secrets.values():
        for word in {value, value.rpartition(" ")[2]}:
            if len(word) >= SECRET_CHARS_MIN:
                text = text.replace(word, MARK)
    return text
