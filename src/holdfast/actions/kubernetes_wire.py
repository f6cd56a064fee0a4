"""Speaks with an API server by lightkube, and always knows whether anything was done.

Only `kubernetes_api` loads this, when it is needed. Whatever is refused before it reaches the
server, or by the server's own word, took no effect; a change whose answer is lost may have. One
deadline covers everything, however steadily the server dribbles.
"""

import ssl
from collections.abc import Callable, Mapping, Sequence
from ipaddress import ip_address
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

import httpx2
import lightkube
import msgspec
import yaml
from lightkube.config.client_adapter import verify_cluster
from lightkube.config.kubeconfig import KubeConfig, SingleConfig
from lightkube.config.models import User
from lightkube.core.exceptions import ConfigError
from lightkube.types import PatchType

from holdfast.actions.kubernetes_api import Access, SaidNoError
from holdfast.actions.kubernetes_kinds import KINDS, AccessReview, Eviction
from holdfast.actions.supervisord import Deadline
from holdfast.actions.time_limit import TimeLimit
from holdfast.kernel.redact import bounded
from holdfast.response.ports import LostReplyError, TargetUnreachableError

# By these the API server says that it did not do it.
NOT_DONE = frozenset({400, 401, 403, 404, 405, 406, 409, 410, 413, 415, 422, 429})
PAGE = 500
FIELD_MANAGER = "holdfast"
_T = TypeVar("_T")


class ApiServer:
    """The API server that an access leads to. Everything is done before one deadline."""

    def __init__(self, access: Access, deadline: Deadline) -> None:
        self._deadline = deadline
        self._where = access.words()
        try:
            config = _config(access)
            self._transport = _Bounded(_trusted(config), deadline)
            self._client = lightkube.Client(
                config, trust_env=False, transport=self._transport, field_manager=FIELD_MANAGER
            )
        except (
            ConfigError,
            OSError,
            LookupError,
            TypeError,
            ValueError,
            msgspec.MsgspecError,
        ) as error:
            raise TargetUnreachableError(
                f"{self._where} can't be used: {_words(error)}; nothing was sent"
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._client.close()

    def left_s(self) -> float:
        """Say how many seconds are left; 0 where none is."""
        try:
            return self._deadline.left_s()
        except TimeoutError:
            return 0.0

    def get(self, kind: str, name: str, namespace: str | None = None) -> dict[str, Any]:
        """Read one object. Raises SaidNoError or TargetUnreachableError."""
        return dict(self._read(lambda: self._client.get(KINDS[kind], name, namespace=namespace)))

    def listed(
        self,
        kind: str,
        namespace: str | None = None,
        *,
        labels: Mapping[str, Any] | None = None,
        fields: Mapping[str, Any] | None = None,
    ) -> list[dict[str, Any]]:
        """Read all objects of a kind, page by page; in every namespace where it is `*`.

        Raises SaidNoError or TargetUnreachableError.
        """

        def call() -> list[dict[str, Any]]:
            found = self._client.list(
                KINDS[kind],
                chunk_size=PAGE,
                labels=dict(labels or {}),
                fields=dict(fields or {}),
                namespace=namespace,
            )
            return [dict(each) for each in found]

        return self._read(call)

    def patch(
        self,
        kind: str,
        name: str,
        patch: Mapping[str, Any] | Sequence[Mapping[str, Any]],
        namespace: str | None = None,
    ) -> dict[str, Any]:
        """Change one object: a mapping is a merge patch, a sequence a JSON patch.

        Raises SaidNoError, TargetUnreachableError or LostReplyError.
        """
        how = PatchType.MERGE if isinstance(patch, Mapping) else PatchType.JSON
        data: Any = dict(patch) if isinstance(patch, Mapping) else list(patch)
        done = self._exchange(
            lambda: self._client.patch(KINDS[kind], name, data, namespace=namespace, patch_type=how)
        )
        return dict(done)

    def evict(self, namespace: str, name: str, uid: str) -> None:
        """Ask that this very pod be evicted: a successor of its name has another uid."""
        eviction = Eviction.from_dict(
            {
                "metadata": {"name": name, "namespace": namespace},
                "deleteOptions": {"preconditions": {"uid": uid}},
            }
        )
        self._exchange(lambda: self._client.create(eviction, name, namespace=namespace))

    def may(self, verb: str, resource: str, group: str = "", namespace: str | None = None) -> bool:
        """Ask whether we may. `resource` holds its subresource after a slash."""
        plural, _, part = resource.partition("/")
        asked = {"verb": verb, "group": group, "resource": plural, "subresource": part}
        if namespace is not None:
            asked["namespace"] = namespace
        review = AccessReview.from_dict({"spec": {"resourceAttributes": asked}})
        answer = self._read(lambda: self._client.create(review))
        return bool((answer.get("status") or {}).get("allowed"))

    def _read(self, call: Callable[[], _T]) -> _T:
        """A reply that is lost here took no effect with it."""
        try:
            return self._exchange(call)
        except LostReplyError as error:
            raise TargetUnreachableError(error.message) from error

    def _exchange(self, call: Callable[[], _T]) -> _T:
        try:
            limit = TimeLimit(self._deadline.left_s())
        except TimeoutError:
            raise TargetUnreachableError(
                f"{self._where}: no time is left; nothing was sent"
            ) from None
        try:
            with limit:
                self._transport.limit = limit
                return call()
        except (
            ConfigError,
            httpx2.ConnectError,
            httpx2.ConnectTimeout,
            httpx2.PoolTimeout,
            httpx2.UnsupportedProtocol,
            httpx2.InvalidURL,
        ) as error:
            raise TargetUnreachableError(
                f"{self._where} can't be reached: {_words(error)}; nothing was sent"
            ) from error
        except httpx2.LocalProtocolError:
            # From None and without its words: they show the header, and that holds the token.
            raise TargetUnreachableError(
                f"{self._where}: its token or its address has a line break, or another sign that no"
                " request may hold; nothing was sent"
            ) from None
        except httpx2.HTTPStatusError as error:
            raise self._answered(error) from error
        except (
            httpx2.HTTPError,
            httpx2.StreamError,
            msgspec.MsgspecError,
            OSError,
            ValueError,
            LookupError,
            TypeError,
        ) as error:
            late = limit.over or isinstance(error, httpx2.TimeoutException)
            why = "no answer in time" if late else _words(error)
            raise LostReplyError(f"{self._where}: no usable answer: {why}") from error

    def _answered(self, error: httpx2.HTTPStatusError) -> SaidNoError | LostReplyError:
        status = error.response.status_code
        text = f"{self._where} answered {status}: {_message(error)}"
        return SaidNoError(text, status) if status in NOT_DONE else LostReplyError(text)


class _Bounded(httpx2.BaseTransport):
    """Gives every exchange a connection of its own and the time that is left."""

    def __init__(self, verify: ssl.SSLContext, deadline: Deadline) -> None:
        self._deadline = deadline
        self._inner = httpx2.HTTPTransport(
            verify=verify,
            trust_env=False,
            limits=httpx2.Limits(max_keepalive_connections=0),
        )
        self.limit: TimeLimit | None = None

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        left_s = self._left_s()
        request.extensions["timeout"] = dict.fromkeys(("connect", "read", "write", "pool"), left_s)
        if self.limit is not None:
            request.extensions.update(self.limit.extensions)
        return self._inner.handle_request(request)

    def close(self) -> None:
        self._inner.close()

    def _left_s(self) -> float:
        try:
            return self._deadline.left_s()
        except TimeoutError as error:
            raise httpx2.ConnectTimeout("no time is left") from error


def _config(access: Access) -> SingleConfig:
    """Read who we are and where it is. Raises ConfigError for what is not safe to use."""
    if access.kubeconfig is None:
        found = KubeConfig.from_service_account().get()
    else:
        path = Path(access.kubeconfig)
        read = _mapping(path)
        found = KubeConfig.from_dict(read, fname=path).get(access.context)
        if found is not None and _impersonates(read, found.context.user):
            raise ConfigError(
                "its user acts as somebody else (`as`), which Holdfast does not do; give it a"
                " service account of its own, with no more rights than it needs"
            )
    if found is None:
        raise ConfigError("it names no context")
    user = found.user or User()
    if user.exec is not None or user.auth_provider is not None:
        raise ConfigError(
            "its user signs in by a program or a provider, and Holdfast runs no program that a"
            " kubeconfig names; give it the token or the certificate of a service account"
        )
    parts = urlsplit(found.cluster.server)
    if found.cluster.insecure:
        raise ConfigError("it leaves the server's certificate unchecked; name the authority")
    if parts.scheme != "https" and not _is_loopback(str(parts.hostname)):
        raise ConfigError("its server is neither https nor loopback")
    if parts.scheme != "https":
        # Nothing is encrypted there, so no authority has to be loaded for nothing.
        return found._replace(
            user=user, cluster=msgspec.structs.replace(found.cluster, insecure=True)
        )
    return found._replace(user=user)


def _mapping(path: Path) -> dict[str, Any]:
    try:
        read = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError:
        # Its own words show the lines around the fault, and those hold tokens.
        raise ConfigError("it is no YAML") from None
    if not isinstance(read, dict):
        raise ConfigError("it holds no mapping")
    return read


def _impersonates(read: Mapping[str, Any], user: str | None) -> bool:
    """Say whether requests would have to carry another name: without it they had other rights."""
    entries = (each["user"] or {} for each in read["users"] if each["name"] == user)
    return any(str(key) == "as" or str(key).startswith("as-") for each in entries for key in each)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _trusted(config: SingleConfig) -> ssl.SSLContext:
    if config.cluster.insecure:  # and so not encrypted at all, see above
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # which trusts nobody
    user = config.user or User()
    return verify_cluster(config.cluster, user, config.abs_file, trust_env=False)


def _message(error: httpx2.HTTPStatusError) -> str:
    """Read why the server said no: its own words where it gives some."""
    try:
        found = error.response.json()
    except ValueError:
        found = None
    message = found.get("message") if isinstance(found, dict) else None
    text = " ".join(str(message or error.response.reason_phrase).split())
    return bounded(text, limit=300)


def _words(error: BaseException) -> str:
    return bounded(" ".join(str(error).split()) or type(error).__name__, limit=300)
