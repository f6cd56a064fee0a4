"""Standing boundaries and who speaks for them, as the two files say.

A boundary that names nothing would protect nothing and look as if it did, so every name is checked
when the files are read.
"""

from collections.abc import Iterable, Mapping

from holdfast.app.action_needs import NEEDS
from holdfast.app.advice import bad_field, nearest
from holdfast.app.models import BoundaryModel, ConfigModel
from holdfast.app.yaml_file import YamlFile
from holdfast.kernel.catalogue import Catalogue, split_instance
from holdfast.policy import Boundary

_ANY = "*"


def check_boundaries(config: ConfigModel, catalogue: Catalogue, file: YamlFile) -> None:
    """Raise BadInputError for a boundary that names no action, target or contact there is."""
    actions = {*NEEDS, *config.actions.plugins}
    for index, each in enumerate(config.boundaries):
        problems = {
            "action": _unknown(each.action, actions),
            "target": _unknown_target(each.target, catalogue),
            "authority": _unknown(each.authority, catalogue.contacts, any_too=False),
        }
        for field, problem in problems.items():
            if problem:
                text = f"is {getattr(each, field)!r}, which {problem}"
                raise bad_field(file, ["boundaries", index, field], text)


def _unknown(name: str, known: Iterable[str], *, any_too: bool = True) -> str | None:
    names = list(known)
    if name in names or (any_too and name == _ANY):
        return None
    what = "is no action" if any_too else "is no contact of services.yaml"
    return f"{what}; {nearest(name, names)}"


def _unknown_target(target: str, catalogue: Catalogue) -> str | None:
    name, region = split_instance(target)
    service = catalogue.services.get(name)
    if target == _ANY or (service and (region is None or region in service.regions)):
        return None
    places = [f"{s.name}@{r}" for s in catalogue.services.values() for r in s.regions]
    return f"is no service or instance; {nearest(target, [*catalogue.services, *places])}"


def boundaries_of(configured: Iterable[BoundaryModel]) -> tuple[Boundary, ...]:
    """Put the configured boundaries into the guard's terms."""
    return tuple(
        Boundary(action=b.action, target=b.target, authority=b.authority, why=b.why)
        for b in configured
    )


def holders_of(catalogue: Catalogue) -> Mapping[str, frozenset[str]]:
    """Say which people speak for which contact."""
    return {c.id: frozenset(c.members) for c in catalogue.contacts.values() if c.members}
