"""An emulated Kubernetes for the tests of what acts on one: kmock, taught what these tests rest on.

No real cluster fits in a test, so everything here is *emulated*: kmock keeps and serves the objects,
and this adds resource versions that must fit, generations, a deployment controller that rolls out at
once or gets stuck, evictions with uids and budgets, and faults of the wire.
"""

import asyncio
import copy
import json
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import kmock
import yaml
from aiohttp import web

from holdfast.kernel.catalogue import Catalogue, Service
from tests.io_parts import catalogue

NAMESPACE = "shop"
DEPLOYMENTS = "apps/v1/deployments"
REPLICA_SETS = "apps/v1/replicasets"
AUTOSCALERS = "autoscaling/v2/horizontalpodautoscalers"
PODS = "v1/pods"
NODES = "v1/nodes"
KINDS = (DEPLOYMENTS, REPLICA_SETS, AUTOSCALERS, PODS, NODES)
REVISION = "deployment.kubernetes.io/revision"

Answer = Callable[[], Awaitable[web.StreamResponse]]


@dataclass(kw_only=True)
class Fault:
    """What goes wrong with the next request of a method whose path holds `part`.

    `status` is answered; or nothing is, and the change is `applied` all the same or not.
    """

    method: str
    part: str = ""
    status: int | None = None
    message: str = "no"
    applied: bool = False
    times: int = 1


class Cluster(kmock.KubernetesEmulator):
    """The emulated cluster. Set it up and look at it from any thread, between two requests."""

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        self.begin()

    def begin(self) -> None:
        """Forget everything."""
        for key in list(self.objects):
            del self.objects[key]
        for kind in KINDS:
            self.resources[kind] = kmock.ResourceInfo()
        self.version = 100
        self.stuck = False
        self.faults: list[Fault] = []
        self.patches: list[str] = []
        self.evicted: list[str] = []
        self.budgets: dict[str, int] = {}
        self.forbidden: set[tuple[str, str]] = set()
        self.before_patch: list[Callable[[], None]] = []

    def keep(self, kind: str, thing: Mapping[str, Any]) -> None:
        """Keep an object under a new resource version."""
        self.version += 1
        made = copy.deepcopy(dict(thing))
        meta = made.setdefault("metadata", {})
        meta["resourceVersion"] = str(self.version)
        meta.setdefault("uid", f"uid-{self.version}")
        self.objects[kind, meta.get("namespace"), meta["name"]] = made

    def read(self, kind: str, name: str, namespace: str | None = NAMESPACE) -> dict[str, Any]:
        """Copy an object."""
        raw = self.objects[kind, namespace, name].raw
        return json.loads(json.dumps(raw, default=dict))  # type: ignore[no-any-return]

    def holds(self, kind: str, name: str, namespace: str | None = NAMESPACE) -> bool:
        """Say whether an object is there."""
        try:
            return bool(self.objects[kind, namespace, name].raw)
        except KeyError:
            return False

    def deploy(self, name: str, tag: str, **spec: object) -> None:
        """Put a new template out, as `kubectl apply` does."""
        template = {
            "metadata": {"labels": {"app": name}},
            "spec": {"containers": [{"name": name, "image": f"registry.test/{name}:{tag}"}]},
        }
        there = self.holds(DEPLOYMENTS, name)
        known = self.read(DEPLOYMENTS, name) if there else {"metadata": {}}
        meta = {"name": name, "namespace": NAMESPACE, "generation": 0, **known["metadata"]}
        wanted = {"replicas": 3, **known.get("spec", {}), "template": template, **spec}
        self.change(DEPLOYMENTS, {**known, "metadata": meta, "spec": wanted})

    def change(self, kind: str, thing: Mapping[str, Any]) -> None:
        """Keep a changed object; a deployment whose spec differs is rolled out."""
        if kind == DEPLOYMENTS:
            meta = thing["metadata"]
            meta["generation"] += 1
        self.keep(kind, thing)
        if kind == DEPLOYMENTS and not self.stuck:
            self.roll_out(thing["metadata"]["name"])

    def roll_out(self, name: str) -> None:
        """Do what the deployment controller does: find or make the revision, and report."""
        now = self.read(DEPLOYMENTS, name)
        owned = [self.read(kind, key, ns) for kind, ns, key in self._of(REPLICA_SETS)]
        latest = max([int(each["metadata"]["annotations"][REVISION]) for each in owned], default=0)
        template = now["spec"]["template"]
        same = [each for each in owned if _plain(each["spec"]["template"]) == _plain(template)]
        found = same[0] if same else self._replica_set(now, len(owned))
        if int(found["metadata"]["annotations"].get(REVISION, 0)) != latest or not same:
            found["metadata"]["annotations"][REVISION] = str(latest + 1)
            self.keep(REPLICA_SETS, found)
        mark = found["metadata"]["annotations"][REVISION]
        now["metadata"].setdefault("annotations", {})[REVISION] = mark
        count = now["spec"]["replicas"]
        names = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")
        generation = now["metadata"]["generation"]
        now["status"] = {"observedGeneration": generation, **dict.fromkeys(names, count)}
        self.keep(DEPLOYMENTS, now)

    def node(self, name: str, *, ready: bool = True, cordoned: bool = False) -> None:
        """Add a node."""
        ready_now = {"type": "Ready", "status": "True" if ready else "False"}
        spec = {"unschedulable": True} if cordoned else {}
        thing = {"metadata": {"name": name}, "spec": spec, "status": {"conditions": [ready_now]}}
        self.keep(NODES, thing)

    def pod(self, name: str, node: str, owner: str | None = "ReplicaSet", **extra: Any) -> None:  # noqa: ANN401 - JSON
        """Add a pod to a node."""
        meta: dict[str, Any] = {"name": name, "namespace": NAMESPACE, **extra.pop("metadata", {})}
        if owner:
            owned_by = {"kind": owner, "name": "x", "uid": "x", "controller": True}
            meta["ownerReferences"] = [owned_by]
        spec = {"nodeName": node, **extra.pop("spec", {})}
        self.keep(PODS, {"metadata": meta, "spec": spec, **extra})

    def _of(self, kind: str) -> list[tuple[str, str | None, str]]:
        group = kind.rsplit("/", maxsplit=1)[-1]
        return [(kind, ns, name) for res, ns, name in list(self.objects) if res.plural == group]

    def _replica_set(self, owner: Mapping[str, Any], number: int) -> dict[str, Any]:
        template = copy.deepcopy(owner["spec"]["template"])
        template["metadata"]["labels"]["pod-template-hash"] = f"hash{number}"
        meta = {
            "name": f"{owner['metadata']['name']}-hash{number}",
            "namespace": NAMESPACE,
            "annotations": {},
            "creationTimestamp": "2026-11-20T12:00:00Z",
            "ownerReferences": [{"uid": owner["metadata"]["uid"], "controller": True}],
        }
        return {"metadata": meta, "spec": {"template": template}}

    async def _handle(self, request: kmock.Request) -> web.StreamResponse:
        fault = next((f for f in self.faults if _meets(f, request)), None)
        if fault is None:
            return await self._answer(request)
        fault.times -= 1
        if fault.status is not None:
            return _status(fault.status, fault.message)
        if fault.applied:
            await self._answer(request)
        await asyncio.sleep(3600)
        return _status(500, "too late")

    async def _answer(self, request: kmock.Request) -> web.StreamResponse:
        if str(request.method.value).upper() == "PATCH":
            return self._patched(request)
        if request.subresource == "eviction":
            return self._evicted(request)
        if request.resource is not None and request.resource.plural == "selfsubjectaccessreviews":
            asked = request.data["spec"]["resourceAttributes"]
            allowed = (asked["verb"], asked["resource"]) not in self.forbidden
            return _json({**request.data, "status": {"allowed": allowed}}, 201)
        return await super()._handle(request)

    def _patched(self, request: kmock.Request) -> web.StreamResponse:
        while self.before_patch:
            self.before_patch.pop()()
        kind = DEPLOYMENTS if "/deployments/" in request.url.path else NODES
        name = str(request.name)
        if not self.holds(kind, name, request.namespace):
            return _status(404, f"{name} not found")
        now = self.read(kind, name, request.namespace)
        by_steps = isinstance(request.data, list)
        made = _json_patch(now, request.data) if by_steps else _merged(now, request.data)
        if made["metadata"]["resourceVersion"] != now["metadata"]["resourceVersion"]:
            return _status(409, "the object has been modified")
        self.patches.append(name)
        if made["spec"] != now["spec"]:
            self.change(kind, made)
        else:
            self.keep(kind, made)
        return _json(self.read(kind, name, request.namespace))

    def _evicted(self, request: kmock.Request) -> web.StreamResponse:
        name = str(request.name)
        if not self.holds(PODS, name, request.namespace):
            return _status(404, "not found")
        uid = self.read(PODS, name, request.namespace)["metadata"]["uid"]
        if request.data["deleteOptions"]["preconditions"]["uid"] != uid:
            return _status(409, "the UID in the precondition does not match")
        if self.budgets.get(name, 0) > 0:
            self.budgets[name] -= 1
            return _status(429, "Cannot evict pod as it would violate the pod's disruption budget.")
        del self.objects[PODS, request.namespace, name]
        self.evicted.append(name)
        return _json({"kind": "Status", "status": "Success"}, 201)


@dataclass(kw_only=True)
class Emulated:
    """A running emulated cluster, and the kubeconfig that leads to it."""

    cluster: Cluster
    url: str
    kubeconfig: Path

    def catalogue(self, *, regions: tuple[str, ...] = ("east",), **control: object) -> Catalogue:
        """Describe the service `web`, which runs there."""
        section = {
            "kubeconfig": str(self.kubeconfig),
            "namespace": NAMESPACE,
            "deployment": "{service}",
            **control,
        }
        return catalogue(Service(name="web", regions=regions, control={"kubernetes": section}))


@contextmanager
def emulated(directory: Path) -> Iterator[Emulated]:
    """Run an emulated cluster on a free port of this machine."""
    ready, started = threading.Event(), dict[str, Any]()

    async def serve() -> None:
        stop = asyncio.Event()
        started["stop"] = (asyncio.get_running_loop(), stop)
        async with Cluster() as cluster, kmock.Server(cluster) as server:
            started.update(cluster=cluster, url=str(server.url))
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    assert ready.wait(10), "the emulated cluster does not start"
    url = started["url"].rstrip("/")
    yield Emulated(
        cluster=started["cluster"], url=url, kubeconfig=kubeconfig(directory / "kubeconfig", url)
    )
    loop, stop = started["stop"]
    loop.call_soon_threadsafe(stop.set)
    thread.join(10)


def kubeconfig(path: Path, url: str, user: Mapping[str, Any] | None = None) -> Path:
    """Write a kubeconfig with one context."""
    context = {"cluster": "test", "user": "test"}
    written = {
        "current-context": "test",
        "contexts": [{"name": "test", "context": context}],
        "clusters": [{"name": "test", "cluster": {"server": url}}],
        "users": [{"name": "test", "user": dict(user or {"token": "kube-token-of-a-test"})}],
    }
    path.write_text(yaml.safe_dump(written))
    return path


def _meets(fault: Fault, request: kmock.Request) -> bool:
    method = str(request.method.value).upper()
    return fault.times > 0 and method == fault.method and fault.part in str(request.url.path)


def _status(code: int, message: str) -> web.StreamResponse:
    body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code}
    return _json({**body, "message": message}, code)


def _json(thing: Mapping[str, Any], code: int = 200) -> web.StreamResponse:
    """Answer as an API server does, whose type of content has no charset."""
    body = json.dumps(thing, default=dict).encode()
    return web.Response(body=body, status=code, headers={"Content-Type": "application/json"})


def _merged(now: object, patch: object) -> Any:  # noqa: ANN401 - any JSON value
    """RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    made = dict(now) if isinstance(now, dict) else {}
    for name, value in patch.items():
        if value is None:
            made.pop(name, None)
        else:
            made[name] = _merged(made.get(name), value)
    return made


def _json_patch(now: Mapping[str, Any], patch: list[dict[str, Any]]) -> dict[str, Any]:
    """RFC 6902, as far as it is used: `add` and `replace` of a member."""
    made = copy.deepcopy(dict(now))
    for each in patch:
        *path, last = each["path"].strip("/").split("/")
        place = made
        for name in path:
            place = place[name]
        place[last] = each["value"]
    return made


def _plain(template: Mapping[str, Any]) -> dict[str, Any]:
    made = copy.deepcopy(dict(template))
    made["metadata"]["labels"].pop("pod-template-hash", None)
    return made
