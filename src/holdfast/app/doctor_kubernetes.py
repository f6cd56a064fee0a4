"""Looks at what Holdfast may do in Kubernetes: whether it can be reached, and each right it needs.

The rights are asked for and never tried. More than is needed is told too: what may do everything
there is one kubeconfig away from whoever reads it.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from holdfast.actions.kubernetes_api import (
    NOT_FOUND,
    Access,
    SaidNoError,
    access_of,
    connect,
    names_of,
)
from holdfast.actions.kubernetes_rollout import standing
from holdfast.app.doctor_findings import (
    Finding,
    Level,
    Look,
    failed,
    fine,
    found,
    judge_secret_rights,
)
from holdfast.kernel.catalogue import Service
from holdfast.response.ports import TargetUnreachableError

if TYPE_CHECKING:
    from holdfast.actions.kubernetes_wire import ApiServer

# (verb, resource, API group)
Right = tuple[str, str, str]
_DEPLOYMENT: tuple[Right, ...] = (
    ("get", "deployments", "apps"),
    ("patch", "deployments", "apps"),
    ("get", "replicasets", "apps"),
    ("list", "replicasets", "apps"),
    ("list", "horizontalpodautoscalers", "autoscaling"),
)
_NODES: tuple[Right, ...] = (
    ("get", "nodes", ""),
    ("list", "nodes", ""),
    ("patch", "nodes", ""),
    ("list", "pods", ""),
    ("create", "pods/eviction", ""),
)
_EVERYTHING: Right = ("*", "*", "*")


def judge_cluster(
    what: str, service: Service, settings: Mapping[str, Any], look: Look
) -> Iterator[Finding]:
    """Judge every cluster that a service is acted on in."""
    places = {
        (access_of(service, region, settings), *names_of(service, region, settings))
        for region in service.regions
    }
    for access, namespace, name in sorted(places, key=str):
        if access.kubeconfig is not None and Path(access.kubeconfig).exists():
            yield judge_secret_rights(what, Path(access.kubeconfig).stat().st_mode)
        try:
            with connect(access, look.clock, look.timeout_s) as server:
                yield from _judge(what, server, access, namespace, name, bool(settings["nodes"]))
        except (SaidNoError, TargetUnreachableError) as error:
            yield failed(what, f"{error.message}; see docs/reference/actions.md#kubernetes")


def _judge(
    what: str,
    server: "ApiServer",
    access: Access,
    namespace: str,
    name: str,
    nodes: bool,  # noqa: FBT001 - what is asked for
) -> Iterator[Finding]:
    try:
        now = server.get("deployments", name, namespace)
    except SaidNoError as error:
        if error.status != NOT_FOUND or not nodes:
            raise
        rights: list[tuple[Right, str | None]] = [(right, None) for right in _NODES]
    else:
        yield fine(what, f"{namespace}/{name} in {access.words()}: {standing(now)}")
        rights = [(right, namespace) for right in _DEPLOYMENT]
        rights += [(right, None) for right in _NODES if nodes]
    missing = [
        f"{verb} {resource}"
        for (verb, resource, group), where in rights
        if not server.may(verb, resource, group, where)
    ]
    if missing:
        step = "grant it with a Role and a RoleBinding, for nodes with a ClusterRole"
        yield found(what, Level.ERROR, f"we may not {', '.join(missing)}", step)
    if server.may(_EVERYTHING[0], _EVERYTHING[1], _EVERYTHING[2]):
        step = "use a service account that may do no more than its actions need"
        yield found(what, Level.WARNING, "we may do everything in this cluster", step)
