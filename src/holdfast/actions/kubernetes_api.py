"""Says where a service runs in Kubernetes, and how its API server is reached and answers.

lightkube is an extra: it is loaded when a target needs it, and a target that needs it while it is
missing says which extra to install. A name holds nothing but what Kubernetes itself allows in one.
"""

import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from holdfast.actions.places import filled, known_target, regional
from holdfast.actions.supervisord import Deadline
from holdfast.kernel.catalogue import Catalogue, Service
from holdfast.kernel.clock import Clock
from holdfast.kernel.errors import BadInputError, HoldfastError

if TYPE_CHECKING:
    from holdfast.actions.kubernetes_wire import ApiServer

SECTION = "kubernetes"
LOOK_S = 5.0
# Between two looks at something that is under way: soon at first, then seldom.
PAUSES_S = (0.05, 0.1, 0.2, 0.5)
PAUSE_S_MAX = 1.0
# What the last look needs before the time is over.
LAST_LOOK_S = 0.2
NOT_FOUND, CONFLICT, TOO_MANY = 404, 409, 429
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")


class SaidNoError(HoldfastError):
    """The API server answered that it did not do it."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """How a cluster is reached; without a kubeconfig, as the service account of our own pod."""

    kubeconfig: str | None = None
    context: str | None = None

    def words(self) -> str:
        if self.kubeconfig is None:
            return "the cluster that Holdfast runs in"
        context = f"context {self.context}" if self.context else "the current context"
        return f"{context} of {self.kubeconfig}"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentPlace:
    """Where the deployment of a target is."""

    target: str
    access: Access
    namespace: str
    name: str

    @property
    def plane(self) -> str:
        context = f" of {self.access.context}" if self.access.context else ""
        return f"kubernetes deployment {self.namespace}/{self.name}{context}"


def connect(access: Access, clock: Clock, timeout_s: float) -> "ApiServer":
    """Open the way to a cluster, for `timeout_s` seconds in all.

    Raises BadInputError where lightkube is missing, TargetUnreachableError where the kubeconfig
    can't be used.
    """
    try:
        from holdfast.actions.kubernetes_wire import ApiServer  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise BadInputError(
            f"control.{SECTION} is set, but lightkube is not installed;"
            " install it with: pip install 'holdfast[kubernetes]'",
            field=f"control.{SECTION}",
        ) from error
    return ApiServer(access, Deadline.after(clock, timeout_s))


def waited(server: "ApiServer", clock: Clock, looks: int) -> bool:
    """Wait before the next of `looks` looks; say whether there is time for it."""
    left_s = server.left_s() - LAST_LOOK_S
    if left_s <= 0:
        return False
    pause_s = PAUSES_S[looks] if looks < len(PAUSES_S) else PAUSE_S_MAX
    clock.wait(threading.Event(), min(pause_s, left_s))
    return True


def deployment_of(catalogue: Catalogue, action: str, target: str) -> DeploymentPlace:
    """Find the one deployment that a target stands for. Raises BadInputError for none or several.

    A deployment that serves all regions of a service is no instance in one of them.
    """
    service, _, control = regional(catalogue, action, target, SECTION)
    _, region = known_target(catalogue, action, target)
    places = {each: _deployment(service, each, control, target) for each in service.regions}
    if region is None:
        if len(set(places.values())) != 1:
            raise BadInputError(
                f"{action}: {target} has a deployment in each of {', '.join(service.regions)};"
                f" act on one at a time, as {service.name}@{service.regions[0]}",
                field="target",
            )
        return places[service.regions[0]]
    if len(places) > 1 and len(set(places.values())) == 1:
        raise BadInputError(
            f"{action}: one deployment runs {service.name} in all its regions; name the service"
            " without @region, or write {region} into control.kubernetes",
            field="target",
        )
    return places[region]


def access_of(service: Service, region: str, control: Mapping[str, Any]) -> Access:
    """Say how the cluster of a service in a region is reached."""
    found = {
        name: filled(str(control[name]), service, region)
        for name in ("kubeconfig", "context")
        if control.get(name)
    }
    return Access(**found)


def names_of(service: Service, region: str, control: Mapping[str, Any]) -> tuple[str, str]:
    """Name the deployment of a service in a region: its namespace, and its own name."""

    def named(what: str, otherwise: str) -> str:
        return check_name(what, filled(str(control.get(what) or otherwise), service, region))

    return named("namespace", "default"), named("deployment", "{service}")


def check_name(what: str, name: str) -> str:
    """Return a name that Kubernetes allows. Raises BadInputError."""
    if not _NAME.fullmatch(name):
        raise BadInputError(
            f"control.{SECTION}: {what} is {name!r}, which is no name in Kubernetes; write one in"
            " small letters, digits, dots and dashes",
            field="target",
        )
    return name


def _deployment(
    service: Service, region: str, control: Mapping[str, Any], target: str
) -> DeploymentPlace:
    namespace, name = names_of(service, region, control)
    return DeploymentPlace(
        target=target,
        access=access_of(service, region, control),
        namespace=namespace,
        name=name,
    )
