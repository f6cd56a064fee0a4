"""What the load balancer was told: each order to take a server out, or to put it back.

Rule: the balancer writes an order down before it answers it, and an order that changes nothing
counts as well. Before a count is read the balancer is asked something: once it has answered,
everything that it was told before is in its file.
"""

import json
import socket
from collections.abc import Iterator, Sequence
from typing import Any

from holdfast.kernel import HoldfastError
from holdfast.kernel.catalogue import instance_name
from holdfast.kernel.clock import parse_at
from holdfast.sandbox.effects import POOL_DRAINED, POOL_READY, Effect
from holdfast.sandbox.site import Site

HOW = "the balancer's own account of what it was told"
LOG = "balancer.jsonl"
ASK_TIMEOUT_S = 5.0
_KINDS = {"drain": POOL_DRAINED, "maint": POOL_DRAINED, "ready": POOL_READY}


def ask(site: Site, command: str) -> str:
    """Ask the runtime socket one thing. Raises HoldfastError when nobody answers."""
    with socket.socket(socket.AF_UNIX) as line:
        try:
            line.settimeout(ASK_TIMEOUT_S)
            line.connect(str(site.balancer_socket))
            line.sendall(command.encode("ascii") + b"\n")
            received = b""
            while chunk := line.recv(65_536):
                received += chunk
        except OSError as error:
            raise HoldfastError(
                f"the sandbox's balancer at {site.balancer_socket} gave no answer ({error}), so "
                "what it was told can't be counted; run it again"
            ) from error
    return received.decode()


def fenced(site: Site) -> int:
    """Return how many orders there were by now."""
    ask(site, "show info")
    return len(_orders(site))


def pool_effects(site: Site, own: Sequence[tuple[int, int]]) -> Iterator[Effect]:
    """Yield every order of state; those in the ranges `own` are the sandbox's."""
    ask(site, "show info")
    for number, order in enumerate(_orders(site)):
        yield Effect(
            at=parse_at(order["at"]),
            kind=_KINDS[order["state"]],
            target=instance_name(site.blueprint.api, order["server"]),
            detail=f"{order['state']}, was {order['before']}",
            by_sandbox=any(first <= number < end for first, end in own),
        )


def _orders(site: Site) -> list[dict[str, Any]]:
    file = site.observed / LOG
    if not file.exists():
        return []
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    rows = [json.loads(line) for line in lines if line.endswith("\n")]
    return [row for row in rows if row["message"] == "state ordered"]
