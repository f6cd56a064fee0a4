"""The people of a sandbox: each has a token of their own, so that who did what is a fact.

Rule: made by `holdfast token create` as an installation's admin would, never by reaching into it.
"""

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor

from holdfast.sandbox.blueprint import Blueprint
from holdfast.sandbox.holdfast_process import Holdfast

SCOPES = ("read", "diagnose", "propose", "direct", "approve")
# The contact that holds the authority over the database, and whose word a failover needs.
DATABASE_TEAM = "database-platform"


class People:
    """Holdfast as each person calls it, by the person's name."""

    def __init__(self, holdfast: Holdfast, names: Iterable[str]) -> None:
        wanted = tuple(dict.fromkeys(names))
        with ThreadPoolExecutor(2) as pool:
            tokens = pool.map(lambda name: _token(holdfast, name), wanted)
            self._each: Mapping[str, Holdfast] = {
                name: holdfast.as_somebody(token)
                for name, token in zip(wanted, tokens, strict=True)
            }

    def __getitem__(self, name: str) -> Holdfast:
        return self._each[name]

    def __contains__(self, name: str) -> bool:
        return name in self._each

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._each)


def everybody(shape: Blueprint) -> tuple[str, ...]:
    """Name everybody who may speak in a script: on call, the second, and the database's."""
    return (shape.on_call, shape.second, shape.dba)


def _token(holdfast: Holdfast, name: str) -> str:
    scopes = [word for scope in SCOPES for word in ("--scope", scope)]
    return str(holdfast.ask("token", "create", name, *scopes, "--json")["token"])
