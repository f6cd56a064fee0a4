"""What people do after a failover: the old primary comes back, and is made a standby.

Rule: it first comes back as it died, a primary in its own eyes, because that is the moment
in which a fence must hold. Only then is it rebuilt from the new primary.
"""

import time
import urllib.request
from collections.abc import Callable, Mapping

from prometheus_client.parser import text_string_to_metric_families

from holdfast.kernel import HoldfastError
from holdfast.sandbox.site import GLOBAL, Site
from holdfast.sandbox.standby import DatabasePair, ask, timeline_at

BACK_S = 10.0
ASKED = 20  # through the pooler, over as many connections


def aftercare(site: Site, databases: DatabasePair) -> Mapping[str, bool]:
    """Bring the old primary back, then rejoin it. Say what held: fenced, rejoined, streaming."""
    if not databases.failed_over:
        return {"fenced": False, "rejoined": False, "streaming": False}
    fenced = restart_old_primary(site, databases)
    databases.rejoin_first()
    try:
        databases.wait_until_streaming(from_second=True)
    except HoldfastError:
        return {"fenced": fenced, "rejoined": databases.first_follows, "streaming": False}
    return {"fenced": fenced, "rejoined": databases.first_follows, "streaming": True}


def restart_old_primary(site: Site, databases: DatabasePair) -> bool:
    """Start it on the files it died with; say whether nobody who uses the pooler gets there."""
    databases.start_first()
    if not _within(lambda: timeline_at(site.dsn()) > 0, BACK_S):
        raise HoldfastError(
            f"the old primary did not come back within {BACK_S:.0f} s; see {site.logs}"
        )
    before = _newest_order(site)
    refused = _within(lambda: _fenced_servers(site) > 0, BACK_S)
    reached = {timeline_at(site.pool_dsn()) for _ in range(ASKED)}
    return (
        refused and reached == {timeline_at(site.standby_dsn())} and before == _newest_order(site)
    )


def _newest_order(site: Site) -> object:
    return ask(site.dsn(), "SELECT coalesce(max(id), 0) FROM orders")


def _fenced_servers(site: Site) -> float:
    """Read from the pooler's own page how many servers it refuses."""
    shape = site.blueprint
    url = site.url(shape.pooler, GLOBAL, "/metrics")
    with urllib.request.urlopen(url, timeout=2.0) as answer:  # noqa: S310 - loopback, ours
        text = answer.read().decode()
    families = text_string_to_metric_families(text)
    values = [
        s.value for f in families for s in f.samples if s.name == shape.metrics["pool_fenced"]
    ]
    return sum(values)


def _within(is_true: Callable[[], bool], limit_s: float) -> bool:
    deadline = time.monotonic() + limit_s
    while not is_true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
