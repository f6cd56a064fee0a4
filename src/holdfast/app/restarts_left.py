"""How often each place may still be restarted, counted as the guard counts.

From the target's action log, whichever incident asked, and from what people did by hand.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from holdfast.app.desk import Desk
from holdfast.app.installation import Installation
from holdfast.incident import State
from holdfast.kernel.catalogue import instance_name, split_instance
from holdfast.kernel.clock import parse_at

_RESTART = "restart_service"


def restarts_left(desk: Desk, here: Installation, state: State) -> dict[str, int]:
    """Give what is left for each place that the charter lets be restarted."""
    allowed = (state.charter or {}).get("allowed", ())
    targets = [t for each in allowed if each["action"] == _RESTART for t in each["targets"]]
    most = here.limits.restarts_per_target
    return {
        place: max(0, most - _done(desk, here, state, names))
        for place, names in _places(targets, here)
    }


def _places(targets: Iterable[str], here: Installation) -> list[tuple[str, frozenset[str]]]:
    """List each place with all its names: a service of one region is that region too."""
    found: dict[str, frozenset[str]] = {}
    for target in targets:
        name, region = split_instance(target)
        service = here.catalogue.services.get(name)
        regions = service.regions if service else ()
        if len(regions) == 1:
            found[name] = frozenset({name, instance_name(name, regions[0])})
            continue
        for each in (region,) if region else regions:
            place = instance_name(name, each)
            found[place] = frozenset({place})
    return list(found.items())


def _done(desk: Desk, here: Installation, state: State, names: frozenset[str]) -> int:
    since = desk.clock.now() - timedelta(seconds=here.limits.restart_window_s)
    logged = [e for name in names for e in desk.ledger.actions_on(name, since)]
    ours = sum(e.action == _RESTART and e.at > since for e in logged)
    return ours + sum(_counts(said, names) and _at(said) > since for said in state.manual)


def _counts(said: Mapping[str, Any], names: frozenset[str]) -> bool:
    # Done by hand to a whole service, it was done to each of its regions.
    whole = {split_instance(name)[0] for name in names}
    return said["action"] == _RESTART and said["target"] in (names | whole)


def _at(said: Mapping[str, Any]) -> datetime:
    return parse_at(said.get("done_at") or said["at"])
