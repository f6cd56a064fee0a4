"""What may stand under `control.kubernetes` of a service: a cluster, a deployment, its nodes.

A kubeconfig is named with its absolute path and never read from the environment: the file that is
found there is somebody's own. `nodes` is the allow-list of what may be cordoned and drained.
"""

import re
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from holdfast.app.strict import Strict

_PART = r"(?:[a-z0-9]|\{service\}|\{region\})"
_PLAIN = re.compile(rf"{_PART}(?:[-.]|{_PART})*")
_PATTERN = re.compile(rf"{_PART}(?:[-.*]|{_PART})*")


def _check_name(name: str) -> str:
    if not _PLAIN.fullmatch(name):
        raise ValueError(
            f"{name!r} is no name in Kubernetes; write small letters, digits, dots and dashes, and"
            " {service} or {region} where they differ"
        )
    return name


def _check_node(pattern: str) -> str:
    if not _PATTERN.fullmatch(pattern):
        raise ValueError(
            f"{pattern!r} names no nodes; write a node's name, or its beginning and a *, such as"
            " 'shop-pool-*'"
        )
    return pattern


def _check_path(path: str) -> str:
    if not path.startswith("/"):
        raise ValueError(f"{path!r} is no absolute path; write one")
    return path


KubeName = Annotated[str, AfterValidator(_check_name)]
NodePattern = Annotated[str, AfterValidator(_check_node)]
KubePath = Annotated[str, AfterValidator(_check_path)]


class KubernetesModel(Strict):
    """One deployment for a service, or one for each region where {region} stands in it."""

    kubeconfig: KubePath | None = None
    context: str | None = Field(None, min_length=1)
    namespace: KubeName = "default"
    deployment: KubeName = "{service}"
    nodes: list[NodePattern] = []
    drain_loses_emptydir: bool = False

    @model_validator(mode="after")
    def _reached(self) -> Self:
        if self.context is not None and self.kubeconfig is None:
            raise ValueError(
                "a context is one of a kubeconfig; write `kubeconfig` too, or leave both out to use"
                " the service account of Holdfast's own pod"
            )
        return self
