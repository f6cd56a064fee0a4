"""Finds the node that a step means, and reads it and its pods; only an allowed one can be meant.

A node serves whoever runs on it, so it is acted on through a service of the catalogue that lists it
under `control.kubernetes.nodes`: a guard counts targets, and its owners are told. The nodes listed
there are one pool, and the last of them that takes pods is never taken out.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from holdfast.actions.kubernetes_api import SECTION, Access, access_of, check_name
from holdfast.actions.kubernetes_memory import metadata
from holdfast.actions.kubernetes_rollout import owners
from holdfast.actions.places import filled, only, regional
from holdfast.kernel.catalogue import Catalogue
from holdfast.kernel.errors import BadInputError

if TYPE_CHECKING:
    from holdfast.actions.kubernetes_wire import ApiServer

EVERYWHERE = "*"
MIRROR = "kubernetes.io/config.mirror"
NAMED_MAX = 20

Thing = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class NodePlace:
    """One node, the pool that it is of, and what its pods may lose."""

    target: str
    access: Access
    name: str
    pool: tuple[str, ...]
    loses_emptydir: bool = False

    @property
    def plane(self) -> str:
        context = f" of {self.access.context}" if self.access.context else ""
        return f"kubernetes node {self.name}{context}"

    @property
    def where(self) -> tuple[str, str, None]:
        return "nodes", self.name, None

    def holds(self, node: Thing) -> bool:
        """Say whether a node is one of the pool."""
        return _matches(str(metadata(node).get("name")), self.pool)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pods:
    """The pods of a node, as a drain sorts them.

    `evictable` are to be asked to go, `going` are on their way out, and `unsafe` says of the others
    why an eviction would lose something for good.
    """

    evictable: tuple[Thing, ...] = ()
    going: tuple[Thing, ...] = ()
    unsafe: tuple[str, ...] = ()

    @property
    def left(self) -> int:
        return len(self.evictable) + len(self.going) + len(self.unsafe)

    def counted(self) -> str:
        return f"{self.left} pod{'' if self.left == 1 else 's'} left"

    def words(self) -> str:
        names = [named(each) for each in (*self.evictable, *self.going)]
        more = f" and {len(names) - NAMED_MAX} more" if len(names) > NAMED_MAX else ""
        listed = f": {', '.join(names[:NAMED_MAX])}{more}" if names else ""
        return f"{self.counted()}{listed}"


def node_of(catalogue: Catalogue, action: str, target: str, params: Mapping[str, Any]) -> NodePlace:
    """Find the node that a step means. Raises BadInputError for one that is not allowed."""
    only(action, params, ("node",))
    service, regions, control = regional(catalogue, action, target, SECTION)
    if len(regions) != 1:
        raise BadInputError(
            f"{action}: {target} runs in {', '.join(regions)}; name the region that the node is"
            f" in, as {service.name}@{regions[0]}",
            field="target",
        )
    patterns = tuple(filled(str(each), service, regions[0]) for each in control.get("nodes") or ())
    if not patterns:
        raise BadInputError(
            f"{action}: {service.name} has no control.{SECTION}.nodes; list there the nodes that"
            " may be taken out",
            field="target",
        )
    name = _chosen(action, params, patterns)
    regional_ones = [str(each) for each in control["nodes"] if "{region}" in str(each)]
    for other in service.regions:
        theirs = [filled(each, service, other) for each in regional_ones]
        if other != regions[0] and _matches(name, theirs):
            raise BadInputError(
                f"{action}: node {name!r} may be of {other} too, by control.{SECTION}.nodes; write"
                " patterns that fit one region only",
                field="params.node",
            )
    return NodePlace(
        target=target,
        access=access_of(service, regions[0], control),
        name=name,
        pool=patterns,
        loses_emptydir=bool(control.get("drain_loses_emptydir")),
    )


def is_out(node: Thing) -> bool:
    """Say whether a node takes no new pods: it is cordoned, or not ready."""
    ready = [
        each.get("status") == "True"
        for each in (node.get("status") or {}).get("conditions") or ()
        if each.get("type") == "Ready"
    ]
    return is_cordoned(node) or ready != [True]


def is_cordoned(node: Thing) -> bool:
    """Say whether somebody set that it takes no new pods."""
    return bool((node.get("spec") or {}).get("unschedulable"))


def share_out(place: NodePlace, nodes: Sequence[Thing]) -> tuple[float, str]:
    """Say which share of the pool is out once this node is, and why it must not be, if so."""
    pool = {
        name: each
        for each in nodes
        if _matches(name := str(metadata(each).get("name")), place.pool)
    }
    out = {name for name, each in pool.items() if name == place.name or is_out(each)}
    share = len(out) / len(pool) if pool else 1.0
    if place.name in pool and is_cordoned(pool[place.name]):
        return share, ""
    if len(out) == len(pool):
        return share, f"it would leave no node of {', '.join(place.pool)} that takes pods"
    return share, ""


def pods_on(server: "ApiServer", place: NodePlace) -> Pods:
    """Read the pods of a node and sort them as `kubectl drain` does."""
    found = server.listed("pods", EVERYWHERE, fields={"spec.nodeName": place.name})
    here = [each for each in found if (each.get("spec") or {}).get("nodeName") == place.name]
    counted = [each for each in here if not _stays(each)]
    going = [each for each in counted if metadata(each).get("deletionTimestamp")]
    rest = [each for each in counted if each not in going]
    unsafe = {named(each): list(_unsafe(each, place)) for each in rest}
    return Pods(
        evictable=tuple(each for each in rest if not unsafe[named(each)]),
        going=tuple(going),
        unsafe=tuple(f"{name} {why[0]}" for name, why in unsafe.items() if why),
    )


def named(pod: Thing) -> str:
    """Name a pod with its namespace."""
    return f"{metadata(pod).get('namespace')}/{metadata(pod).get('name')}"


def _stays(pod: Thing) -> bool:
    """Say whether a pod is left alone: it is over, or it is of the node itself."""
    over = (pod.get("status") or {}).get("phase") in {"Succeeded", "Failed"}
    mirror = MIRROR in metadata(pod)["annotations"]
    return over or mirror or any(each.get("kind") == "DaemonSet" for each in _controllers(pod))


def _unsafe(pod: Thing, place: NodePlace) -> Iterator[str]:
    if not list(_controllers(pod)):
        yield "has no controller that would make it anew"
    volumes = (pod.get("spec") or {}).get("volumes") or ()
    if not place.loses_emptydir and any("emptyDir" in each for each in volumes):
        yield "keeps data in an emptyDir (allow that by control.kubernetes.drain_loses_emptydir)"


def _controllers(pod: Thing) -> Iterator[Thing]:
    return (each for each in owners(pod) if each.get("controller"))


def _chosen(action: str, params: Mapping[str, Any], patterns: Sequence[str]) -> str:
    plain = len(patterns) == 1 and "*" not in patterns[0]
    name = params.get("node", patterns[0] if plain else None)
    if not isinstance(name, str) or not _matches(name, patterns):
        raise BadInputError(
            f"{action}: node is {name!r}, which is not in control.{SECTION}.nodes of this service;"
            f" allowed: {', '.join(patterns)}",
            field="params.node",
        )
    return check_name("node", name)


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)
