"""The owner's hand on the sandbox's load balancer: it is started, and waited for.

Rule: as the traffic it runs outside supervisord, so it is no service of the platform that
anybody restarts; users come through it from their first request on.
"""

import sys
import time

from holdfast.kernel import HoldfastError
from holdfast.sandbox.link import KeeperLink
from holdfast.sandbox.pool_observers import ask
from holdfast.sandbox.site import Site

READY_S = 15.0


def start_balancer(site: Site, link: KeeperLink) -> int:
    argv = [sys.executable, "-m", "holdfast.sandbox.services.balancer", str(site.file)]
    return link.start(argv, log=site.logs / "balancer.stderr")


def wait_for_balancer(site: Site) -> None:
    """Return when it answers. Raises HoldfastError when it does not."""
    deadline = time.monotonic() + READY_S
    while True:
        try:
            ask(site, "show info")
        except HoldfastError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return
