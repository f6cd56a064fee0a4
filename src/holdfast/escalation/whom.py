"""Whom to call at which level: who is on call, then who owns it, then everybody else.

The root service comes first; another service's people are asked where the root has none. A level
with nobody in it is left out and said, so that a page never goes nowhere in silence.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from holdfast.kernel import Catalogue, Contact, Reason, Service

RULE = "escalation"
_SOURCE = "services.yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Whom:
    """The contacts of one level (`level` of `levels`), and why they are the ones."""

    contacts: tuple[Contact, ...]
    reasons: tuple[Reason, ...]
    level: int
    levels: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rung:
    """One step of the ladder; empty where nobody could be found."""

    contacts: tuple[Contact, ...]
    reasons: tuple[Reason, ...]


def whom(catalogue: Catalogue, services: Sequence[str], level: int) -> Whom:
    """Name the contacts of a level; `services` has the root first. Beyond the last: the last."""
    ladder = _ladder(catalogue, services)
    filled = [rung for rung in ladder if rung.contacts]
    said = tuple(reason for rung in ladder for reason in rung.reasons if not reason.ok)
    if not filled:
        nobody = _reason(ok=False, text="nobody can be called; add `contacts` and `on_call`")
        return Whom(contacts=(), reasons=(*said, nobody), level=1, levels=1)
    level = min(max(level, 1), len(filled))
    rung = filled[level - 1]
    found = tuple(reason for reason in rung.reasons if reason.ok)
    return Whom(contacts=rung.contacts, reasons=(*found, *said), level=level, levels=len(filled))


def _ladder(catalogue: Catalogue, services: Sequence[str]) -> tuple[_Rung, ...]:
    """Build the three rungs; each person stands on the first that they are found on."""
    known = [
        catalogue.services[name] for name in dict.fromkeys(services) if name in catalogue.services
    ]
    unknown = [name for name in dict.fromkeys(services) if name not in catalogue.services]
    first = _first_found(_on_call(service, catalogue) for service in known)
    second = _first_found(_owners(service, catalogue) for service in known)
    missing = tuple(
        _reason(ok=False, text=f"{name} is not in the catalogue, so nobody is known for it")
        for name in unknown
    )
    third = _Rung(
        contacts=tuple(catalogue.contacts.values()),
        reasons=(
            _reason(ok=True, text="nobody answered so far, so everybody else is called"),
            *missing,
        ),
    )
    return tuple(_each_once((first, second, third)))


def _first_found(rungs: Iterable[_Rung]) -> _Rung:
    """Take the first service that has somebody; keep what was said on the way there."""
    said: list[Reason] = []
    for rung in rungs:
        said.extend(rung.reasons)
        if rung.contacts:
            return _Rung(contacts=rung.contacts, reasons=tuple(said))
    return _Rung(contacts=(), reasons=tuple(said))


def _on_call(service: Service, catalogue: Catalogue) -> _Rung:
    names = (service.on_call,) if service.on_call else ()
    return _named(service, names, catalogue, key="on_call", words="is on call for")


def _owners(service: Service, catalogue: Catalogue) -> _Rung:
    return _named(service, service.owners, catalogue, key="owners", words="owns")


def _named(
    service: Service, names: Sequence[str], catalogue: Catalogue, *, key: str, words: str
) -> _Rung:
    if not names:
        return _Rung(
            contacts=(), reasons=(_reason(ok=False, text=f"{service.name} names no `{key}`"),)
        )
    contacts = []
    reasons = []
    for name in dict.fromkeys(names):
        contact = catalogue.contacts.get(name)
        if contact is None:
            fact = f"`{key}` of {service.name} is {name!r}, who is not among the contacts"
            reasons.append(_reason(ok=False, text=f"{fact}; add them"))
        else:
            contacts.append(contact)
            reasons.append(_reason(ok=True, text=f"{contact.name} {words} {service.name}"))
    return _Rung(contacts=tuple(contacts), reasons=tuple(reasons))


def _each_once(rungs: Iterable[_Rung]) -> Iterator[_Rung]:
    seen: set[str] = set()
    for rung in rungs:
        new = tuple(contact for contact in rung.contacts if contact.id not in seen)
        seen.update(contact.id for contact in new)
        yield _Rung(contacts=new, reasons=rung.reasons)


def _reason(*, ok: bool, text: str) -> Reason:
    return Reason(rule=RULE, ok=ok, text=text, source=_SOURCE)
