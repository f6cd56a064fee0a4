"""What a freeze may name: one with a misspelt scope would stop nothing and look as if it did."""

from pathlib import Path

from holdfast.app.advice import nearest
from holdfast.app.config import load_catalogue, load_config
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
