"""Unlinks the keys below an allowed prefix of a cache, page by page, or clears temporary files.

Each page checks the fence in the same breath, so a worker that was paused in the middle, or that
comes late, clears nothing more once a newer one was there. What goes is what can be rebuilt:
only prefixes and paths that a person has allowed. Directories are the matter of `clear_temp`.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from holdfast.actions import clear_temp
from holdfast.actions.places import before_acting, chosen, controlled, done, only, refused
from holdfast.actions.planes import compared, predicted
from holdfast.actions.valkey_target import (
    MEMORY,
    SaidNoError,
    ValkeyTarget,
    probe,
    require_driver,
    tokens,
)
from holdfast.kernel.catalogue import Catalogue
from holdfast.kernel.clock import Clock, SystemClock
from holdfast.kernel.errors import BadInputError
from holdfast.response.ports import (
    ActionOutcome,
    ActionRequest,
    Effect,
    LostReplyError,
    ProbeResult,
    Repeatability,
    TargetUnreachableError,
)

LOOK_S = 5.0
WILD = frozenset("*?[]^\\")
NOT_REVERSIBLE = "no: the entries are gone; the services that own them fill the cache again"


def check_prefix(prefix: str) -> str:
    """Return a prefix that may be cleared. Raises ValueError for an empty or a wild one."""
    if not prefix or WILD & set(prefix) or MEMORY.startswith(prefix):
        raise ValueError(
            f"the prefix {prefix!r} is empty, wild or our own; write it in letters, such as"
            " 'session:'"
        )
    return prefix


class ClearCache:
    """Clear one `prefix` of `service`'s cache, or one `path`, from the service's allow-list."""

    name = "clear_cache"
    least_impact = "low"

    def __init__(self, catalogue: Catalogue, *, clock: Clock | None = None) -> None:
        self._catalogue = catalogue
        self._clock = clock or SystemClock()

    @property
    def repeatability(self) -> Repeatability:
        """Say the best that any service here has; the pre-image says what its target has."""
        if any(service.control.get("temp") for service in self._catalogue.services.values()):
            return Repeatability.IDEMPOTENT
        return _AT_A_CACHE

    def observe(self, target: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        if temp := self._temp(target, params):
            return clear_temp.observe(temp, target, params, self._clock)
        control, prefix = self._place(target, params)
        seen: dict[str, Any] = {"service": target, "prefix": prefix, "reversible": NOT_REVERSIBLE}
        try:
            with ValkeyTarget(str(control["url"]), self._clock, LOOK_S) as server:
                keys = int(server.read(lambda client: client.dbsize()))
                forgets = server.forgets()
                run_id = server.run_id
        except TargetUnreachableError as error:
            return {**seen, "reachable": False, "why": error.message}
        kind = Repeatability.NONE if forgets else _AT_A_CACHE
        return {
            **seen,
            "reachable": True,
            "run_id": run_id,
            "keys_in_all": keys,
            "repeatability": kind.value,
            "why": f"a repeat can't be refused there: {forgets}" if forgets else "",
            "planes": [predicted(_plane(target, prefix), now=_NOT_CLEARED, intended=_CLEARED)],
        }

    def perform(self, request: ActionRequest) -> ActionOutcome:
        with before_acting():
            temp = self._temp(request.target, request.params)
        if temp:
            return clear_temp.perform(temp, request, self._clock)
        with before_acting():
            control, prefix = self._place(request.target, request.params)
        if not request.pre_image.get("run_id") or request.pre_image.get("prefix") != prefix:
            return refused("no_pre_image", f"{request.target} was not looked at before")
        with ValkeyTarget(str(control["url"]), self._clock, request.timeout_s) as server:
            return self._pages(server, request, prefix, int(control.get("page", 500)))

    def probe(self, request: ActionRequest) -> ProbeResult:
        if temp := self._temp(request.target, request.params):
            return clear_temp.probe(temp, request, self._clock)
        control, prefix = self._place(request.target, request.params)
        what = f"keys below {prefix!r} were unlinked"
        found = probe(str(control["url"]), self._clock, request, what, LOOK_S)
        return _with_plane(found, _plane(request.target, prefix))

    def undo(self, request: ActionRequest) -> ActionOutcome:
        if "path" in request.pre_image:
            return clear_temp.undo(request)
        text = f"clearing {request.target} can't be undone ({NOT_REVERSIBLE})"
        return refused("not_reversible", text)

    def _pages(
        self, server: ValkeyTarget, request: ActionRequest, prefix: str, page: int
    ) -> ActionOutcome:
        cursor, total = "0", 0
        while True:
            try:
                state, cursor, _, now = server.run(
                    "clear_cache",
                    [MEMORY],
                    [
                        str(request.pre_image["run_id"]),
                        *tokens(request.target, request),
                        cursor,
                        prefix + "*",
                        prefix,
                        page,
                        total,
                    ],
                )
            except SaidNoError as error:
                return _stopped(request, f"{error.message}", total, "refused")
            if state in {"stale", "restarted"}:
                return _stopped(request, _why(state, cursor), total, _CATEGORY[state])
            total = int(now)
            if state == "known":
                return done(f"{request.target}: already done, not repeated: {total} keys unlinked")
            if cursor == "0":
                return _ended(request, state, prefix, total)

    def _temp(self, target: str, params: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Find `control.temp` where a directory is meant, and None where a cache is."""
        only(self.name, params, ("prefix", "path"))
        service = self._catalogue.services.get(target)
        sections = service.control if service else {}
        both = "cache" in sections and "temp" in sections
        if {"prefix", "path"} <= set(params) or (both and not params):
            raise BadInputError(
                f"clear_cache: it can't be told which of the two to clear at {target}; give either"
                " prefix (its cache) or path (its temporary files)",
                field="params",
            )
        if "path" in params or ("temp" in sections and "prefix" not in params):
            return controlled(self._catalogue, self.name, target, "temp")[1]
        return None

    def _place(self, target: str, params: Mapping[str, Any]) -> tuple[Mapping[str, Any], str]:
        only(self.name, params, ("prefix",))
        _, control = controlled(self._catalogue, self.name, target, "cache")
        prefix = chosen(self.name, "prefix", params, list(control["prefixes"]))
        try:
            check_prefix(prefix)
        except ValueError as error:
            raise BadInputError(f"clear_cache: {error}", field="params.prefix") from None
        require_driver(self.name, "control.cache.url")
        return control, prefix


_AT_A_CACHE = Repeatability.REFUSES_STALE_TOKEN
_NOT_CLEARED, _CLEARED = "not cleared by this step", "cleared once"
_CATEGORY = {"stale": "stale_token", "restarted": "changed_meanwhile"}


def _plane(target: str, prefix: str) -> str:
    return f"cache {target} {prefix}*"


def _with_plane(found: ProbeResult, plane: str) -> ProbeResult:
    """Add how far it came, where the server could tell."""
    if found.effect is Effect.UNKNOWN:
        return found
    reached = found.effect is Effect.PRESENT
    now = f"{found.data['count']} keys unlinked" if found.data else _NOT_CLEARED
    # The services fill it again, and a full server may let its memory of the step go.
    entry = compared(plane, now=now, intended=_CLEARED, reached=reached, lasting=False)
    return replace(found, data={**found.data, "planes": [entry]})


def _why(state: str, newest: str) -> str:
    if state == "stale":
        return f"its fence is older than {newest}, which was there already"
    return "the server was restarted since it was looked at, and may have forgotten"


def _stopped(request: ActionRequest, why: str, total: int, category: str) -> ActionOutcome:
    """Answer for one that stopped: before the first key nothing was done, later a part was."""
    if total:
        raise LostReplyError(f"{request.target}: {total} keys were unlinked, then it ended: {why}")
    return refused(category, f"{request.target}: nothing was cleared: {why}")


def _ended(request: ActionRequest, state: str, prefix: str, total: int) -> ActionOutcome:
    text = f"{request.target}: {total} keys below {prefix!r} were unlinked"
    if state == "full":
        text += "; the server is too full to remember it"
    return done(text)
