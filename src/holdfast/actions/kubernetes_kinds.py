"""The kinds of objects that are read and changed in Kubernetes, as lightkube wants them described.

All as plain JSON: the typed models of a client know only the fields of their day, and a template
that is written back must not lose the others.
"""

from collections.abc import Mapping
from typing import Any

from lightkube.core.resource import ApiInfo, NamespacedSubResource, ResourceDef
from lightkube.generic_resource import (
    Generic,
    GenericGlobalResource,
    GenericNamespacedResource,
    create_api_info,
)


class Deployment(GenericNamespacedResource):
    """A deployment, as JSON."""

    _api_info = create_api_info("apps", "v1", "Deployment", "deployments")


class ReplicaSet(GenericNamespacedResource):
    """A revision of a deployment, as JSON."""

    _api_info = create_api_info("apps", "v1", "ReplicaSet", "replicasets")


class Autoscaler(GenericNamespacedResource):
    """What sets the replicas of a deployment by itself, as JSON."""

    _api_info = create_api_info(
        "autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers"
    )


class Pod(GenericNamespacedResource):
    """A pod, as JSON."""

    _api_info = create_api_info("", "v1", "Pod", "pods")


class Node(GenericGlobalResource):
    """A node, as JSON."""

    _api_info = create_api_info("", "v1", "Node", "nodes")


class Eviction(NamespacedSubResource, Generic):  # type: ignore[misc]  # as lightkube's own are
    """The request that a pod be evicted, as JSON."""

    _api_info = ApiInfo(
        resource=ResourceDef("policy", "v1", "Eviction"),
        parent=ResourceDef("", "v1", "Pod"),
        plural="pods",
        verbs=["post"],
        action="eviction",
    )


class AccessReview(GenericGlobalResource):
    """The question whether we may do something, as JSON."""

    _api_info = create_api_info(
        "authorization.k8s.io", "v1", "SelfSubjectAccessReview", "selfsubjectaccessreviews"
    )


KINDS: Mapping[str, Any] = {
    "deployments": Deployment,
    "replicasets": ReplicaSet,
    "horizontalpodautoscalers": Autoscaler,
    "pods": Pod,
    "nodes": Node,
}
