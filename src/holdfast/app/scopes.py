"""What a freeze or an override may name: a misspelt one would do nothing and look as if it did."""

from pathlib import Path

from holdfast.app.advice import nearest
from holdfast.app.config import load_catalogue, load_config
from holdfast.kernel.catalogue import split_instance
from holdfast.kernel.errors import BadInputError

_HOW = "write all, service:NAME or region:NAME"


def check_freeze_scope(scope: str, directory: Path) -> None:
    """Raise BadInputError for a scope that nothing is in. `all` needs no readable file."""
    if scope == "all":
        return
    kind, _, name = scope.partition(":")
    if kind not in {"service", "region"} or not name:
        raise BadInputError(f"scope {scope!r} is unknown; {_HOW}", field="scope")
    catalogue = load_catalogue(directory / load_config(directory).catalogue)
    services = catalogue.services
    known = services if kind == "service" else {r for s in services.values() for r in s.regions}
    if name not in known:
        raise BadInputError(
            f"scope {scope!r} names no {kind} of the catalogue; {nearest(name, known)}; `all` "
            "stops everything at once",
            field="scope",
        )


def check_target(target: str, directory: Path) -> None:
    """Raise BadInputError for a target that no service of the catalogue has."""
    catalogue = load_catalogue(directory / load_config(directory).catalogue)
    name, region = split_instance(target)
    service = catalogue.services.get(name)
    if service is not None and (region is None or region in service.regions):
        return
    places = [f"{s.name}@{r}" for s in catalogue.services.values() for r in s.regions]
    known = nearest(target, [*catalogue.services, *places])
    raise BadInputError(f"target {target!r} is not in the catalogue; {known}", field="target")
