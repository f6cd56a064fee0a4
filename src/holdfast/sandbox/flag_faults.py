"""The platform's flag file, and the fault that a stale flag and a bad cache invalidation make.

Rule: the file is replaced in one step, as a careful hand would, and says nothing of who did it.
The symptom is downstream of the cause: the API that owns the flag is well, and the workers fail.
"""

import json
from collections.abc import Mapping
from typing import Any

import valkey

from holdfast.kernel.clock import SystemClock
from holdfast.sandbox.faults import STALE_FLAG, Injected
from holdfast.sandbox.services.flags import canary
from holdfast.sandbox.site import Site

CANARY_PERCENT = 4
WIDENED_PERCENT = 90


def seed_flags(site: Site) -> None:
    """Write the flag file of an ordinary day: one canary, at a few orders in a hundred."""
    _write(site, {site.blueprint.flag: canary(CANARY_PERCENT)})


class StaleFlag:
    """The workers move to a new epoch of the cached baskets, and the canary that needs it widens.

    The API has read the epoch when it started and puts baskets under the old one.
    """

    def __init__(self, site: Site) -> None:
        self._site, shape = site, site.blueprint
        at = SystemClock().now()
        with valkey.Valkey(unix_socket_path=str(site.cache_socket)) as cache:
            cache.incr(shape.basket_epoch)
        _write(site, {**_flags(site), shape.flag: canary(WIDENED_PERCENT)})
        detail = {"flag": shape.flag, "epoch": shape.basket_epoch}
        self.injected = Injected(fault=STALE_FLAG, injected_at=at, entity=shape.api, detail=detail)

    def release(self) -> None:
        """End nothing: what is wrong is written down."""

    def heal(self) -> None:
        """Put the canary back, and let both sides agree on the epoch again."""
        seed_flags(self._site)
        with valkey.Valkey(unix_socket_path=str(self._site.cache_socket)) as cache:
            cache.delete(self._site.blueprint.basket_epoch)


def _flags(site: Site) -> dict[str, Any]:
    flags: dict[str, Any] = json.loads(site.flag_file.read_text(encoding="utf-8"))["flags"]
    return flags


def _write(site: Site, flags: Mapping[str, Any]) -> None:
    fresh = site.flag_file.with_suffix(".new")
    fresh.write_text(json.dumps({"flags": dict(flags)}, indent=2) + "\n", encoding="utf-8")
    fresh.rename(site.flag_file)
