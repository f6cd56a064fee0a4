"""What each built-in action needs of its target and its parameters, as a table.

An action says the same itself, but only when it looks at a target; a runbook has to be judged
without looking. A test holds this table to what the actions say.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

# Where the allow-list of a parameter stands: `control.SECTION.KEY` of the service.
AllowList = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """`sections`: one of them stands under `control` of the target.

    `params` names each parameter with its allow-list, where it has one. `whole`: it acts on a whole
    service, never on an instance, but by a section of `regional` on both. `for_good`: Holdfast
    can't take it back.
    """

    sections: tuple[str, ...] = ()
    params: Mapping[str, AllowList | None] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    whole: bool = False
    regional: tuple[str, ...] = ()
    for_good: bool = False


_CALL = Needs(params={"call": None, "values": None}, required=("call",))

NEEDS: Mapping[str, Needs] = {
    "clear_cache": Needs(
        sections=("cache", "temp"),
        params={"prefix": ("cache", "prefixes"), "path": ("temp", "paths")},
        whole=True,
        for_good=True,
    ),
    "command": _CALL,
    "cordon_node": Needs(sections=("kubernetes",), params={"node": None}),
    "disable_flag": Needs(sections=("flags",), params={"flag": ("flags", "allowed")}, whole=True),
    "drain_node": Needs(sections=("kubernetes",), params={"node": None}),
    "drain_pool": Needs(sections=("pool",)),
    "drain_queue": Needs(
        sections=("queue",), params={"queue": ("queue", "lists"), "max": None}, whole=True
    ),
    "failover_db": Needs(
        sections=("failover",), params={"primary": None}, whole=True, for_good=True
    ),
    "http": _CALL,
    "restart_service": Needs(sections=("supervisord", "systemd", "kubernetes"), for_good=True),
    "rollback_deploy": Needs(
        sections=("release", "kubernetes"),
        params={"from": None, "to": None},
        whole=True,
        regional=("kubernetes",),
    ),
    "scale_up": Needs(sections=("scale", "kubernetes"), params={"by": None}, required=("by",)),
    "set_weight": Needs(sections=("pool",), params={"weight": None}, required=("weight",)),
    "undrain_pool": Needs(sections=("pool",)),
}
# The sections of `actions` in holdfast.yaml that name what may be called.
CALLS: Mapping[str, str] = {"http": "http", "command": "commands"}
