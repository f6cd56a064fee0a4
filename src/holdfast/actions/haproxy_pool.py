"""The servers of one target within a backend, and how much of that backend serves.

Which servers are a target's is said by name patterns of the configuration. How much would be out
counts what is out already, for whatever reason: an action adds to that, and never starts at nought.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from holdfast.actions.haproxy import HaProxy, Server
from holdfast.actions.places import filled, regional
from holdfast.kernel.catalogue import Catalogue


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """A backend, and the names of those of its servers that the action is about.

    `elsewhere` are the patterns of the service's other regions.
    """

    proxy: HaProxy
    patterns: tuple[str, ...]
    elsewhere: tuple[str, ...] = ()

    def is_mine(self, server: Server) -> bool:
        return any(fnmatchcase(server.name, pattern) for pattern in self.patterns)

    def mine(self, servers: Sequence[Server]) -> list[Server]:
        return [each for each in servers if self.is_mine(each)]

    def of_two_regions(self, servers: Sequence[Server]) -> list[str]:
        """Name those that fit another region's pattern as well: eu* fits what is of eu-west."""
        mine = [each.name for each in self.mine(servers)]
        return [name for name in mine if any(fnmatchcase(name, each) for each in self.elsewhere)]

    def plane(self, name: str) -> str:
        """Name the place of a server for `planes`."""
        return f"haproxy {self.proxy.backend}/{name}"


def pool_of(catalogue: Catalogue, action: str, target: str) -> Pool:
    """Find the `control.pool` of a target. Raises BadInputError where it has none."""
    service, regions, control = regional(catalogue, action, target, "pool")
    place = control["haproxy"]
    proxy = HaProxy(address=str(place["socket"]), backend=str(place["backend"]))
    pattern = str(place["server"])
    others = [each for each in service.regions if each not in regions and "{region}" in pattern]
    return Pool(
        proxy=proxy,
        patterns=tuple(filled(pattern, service, each) for each in regions),
        elsewhere=tuple(filled(pattern, service, each) for each in others),
    )


def share_out(servers: Sequence[Server], out: Collection[str]) -> float:
    """Say which part of a backend (0..1) would not serve once those named are out as well."""
    if not servers:
        return 0.0
    serving = sum(each.serves and each.name not in out for each in servers)
    return round(1 - serving / len(servers), 4)


def why_not_out(
    target: str, pool: Pool, servers: Sequence[Server], out: Collection[str]
) -> str | None:
    """Say why those named can't be taken out, or None: the last that serves never is."""
    if not pool.mine(servers):
        names = ", ".join(each.name for each in servers) or "none"
        return f"the backend has no server of {target}; its servers are {names}"
    if both := pool.of_two_regions(servers):
        return (
            f"{', '.join(both)} may be of another region too, by control.pool.haproxy.server; write"
            " a pattern that fits one region only"
        )
    if out and not any(each.serves and each.name not in out for each in servers):
        listed = ", ".join(f"{each.name} is {each.words()}" for each in servers)
        return f"it would leave no server that serves: {listed}"
    return None
