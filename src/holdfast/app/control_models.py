"""What may stand under `control` of a service and under `actions`: how actions reach their targets.

Each section of `control` belongs to one action, and a target without the section is not touched by
it. `actions` is the allow-list of requests and programs: what is not written here can't be called.
"""

import re
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from holdfast.actions.clear_cache import check_prefix
from holdfast.actions.executable import check_executable
from holdfast.actions.haproxy import LOOPBACK
from holdfast.actions.named_call import check_places
from holdfast.actions.systemd import SYSTEMCTL, check_unit
from holdfast.actions.temp_tree import check_temp_path
from holdfast.app.addresses import check_http, is_loopback
from holdfast.app.kubernetes_models import KubernetesModel
from holdfast.app.strict import NAME, Dsn, Strict, Url

_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_NOT_IN_A_URL = frozenset(' \\<>"^`|')
_OURS = frozenset({"host", "content-length", "transfer-encoding", "connection", "accept-encoding"})
_VARIABLE = re.compile(r"(?!HOLDFAST_|LD_|DYLD_)[A-Za-z_][A-Za-z0-9_]*")


def _check_call_url(url: str) -> str:
    """Return an address that a call may go to. Raises ValueError without the address."""
    parts = urlsplit(check_http(url))
    hidden = "(its value is not shown: it may hold a password)"
    if "${" in parts.netloc or parts.username is not None or parts.fragment:
        raise ValueError(
            f"its host must be written out, without a user, a password or a # {hidden}; write a"
            " password as a header"
        )
    if not url.isprintable() or set(url) & _NOT_IN_A_URL:
        raise ValueError(f"it holds a space or another sign that no address has {hidden}")
    if parts.scheme != "https" and not is_loopback(str(parts.hostname)):
        raise ValueError(f"it is not encrypted {hidden}; write https://, or use a loopback address")
    check_places(f"{parts.path}?{parts.query}")
    return url


def _check_headers(headers: dict[str, str]) -> dict[str, str]:
    for name, value in headers.items():
        if not _HEADER.fullmatch(name) or name.lower() in _OURS:
            raise ValueError(f"{name!r} is no header that can be set; take it away")
        plain = value.isascii() and value.isprintable() and value == value.strip()
        if not plain or "${" in value:
            raise ValueError(
                f"the value of {name} must be plain text, with no space around it and nothing to"
                " fill in"
            )
    return headers


def _check_environment(environment: dict[str, str]) -> dict[str, str]:
    for name, value in environment.items():
        if not _VARIABLE.fullmatch(name) or "\0" in value:
            raise ValueError(f"{name!r} can't be set for a command; choose another name")
    return environment


def _check_argv(argv: list[str]) -> list[str]:
    check_executable(argv[0])
    for each in argv[1:]:
        check_places(each)
        if "\0" in each:
            raise ValueError("an argument holds a NUL; take it away")
    return argv


def _check_socket(address: str) -> str:
    if not address.startswith("/") and not LOOPBACK.fullmatch(address):
        raise ValueError(
            f"{address!r} is neither a unix socket nor loopback; write /run/haproxy.sock or"
            " 127.0.0.1:PORT: who reaches that address commands HAProxy"
        )
    return address


def _check_unleash(url: str) -> str:
    if "${" in url or "?" in url:
        raise ValueError("write where Unleash is, without /api, a query or a place to fill in")
    return _check_call_url(url)


def _check_absolute(path: str) -> str:
    if not path.startswith("/"):
        raise ValueError(f"{path!r} is no absolute path; write one")
    return path


def _check_pattern(process: str) -> str:
    if "{n}" not in process:
        raise ValueError(f"{process!r} names one instance only; write {{n}} where they differ")
    return process


def _check_unit_pattern(unit: str) -> str:
    check_unit(unit.replace("{service}", "x").replace("{region}", "x"))
    return unit


Prefix = Annotated[str, AfterValidator(check_prefix)]
TempPath = Annotated[str, AfterValidator(check_temp_path)]
CallUrl = Annotated[str, AfterValidator(_check_call_url)]
UnleashUrl = Annotated[str, AfterValidator(_check_unleash)]
Headers = Annotated[dict[str, str], AfterValidator(_check_headers)]
Environment = Annotated[dict[str, str], AfterValidator(_check_environment)]
Argv = Annotated[list[str], Field(min_length=1, max_length=64), AfterValidator(_check_argv)]
RuntimeApi = Annotated[str, AfterValidator(_check_socket)]
Absolute = Annotated[str, AfterValidator(_check_absolute)]
UnitPattern = Annotated[str, AfterValidator(_check_unit_pattern)]
ProcessPattern = Annotated[str, AfterValidator(_check_pattern)]
Name = Annotated[str, Field(pattern=NAME)]
Status = Annotated[int, Field(ge=100, le=599)]


class SupervisordModel(Strict):
    socket: str = Field(min_length=1)
    process: str = "{service}"
    wrapper: bool = False


class SystemdModel(Strict):
    unit: UnitPattern = "{service}.service"
    scope: Literal["system", "user"] = "system"
    systemctl: Absolute = SYSTEMCTL
    runtime_dir: Absolute | None = None


class ReleaseModel(Strict):
    directory: str = Field(min_length=1)
    history: str | None = None


class UnleashModel(Strict):
    url: UnleashUrl
    token: str = Field(min_length=1, repr=False)
    project: Name = "default"
    environment: Name
    ca_file: Absolute | None = None


class FlagsModel(Strict):
    file: str | None = Field(None, min_length=1)
    unleash: UnleashModel | None = None
    allowed: list[str] = Field(min_length=1)

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.file is None) == (self.unleash is None):
            raise ValueError("flags are in one place; write either `file` or `unleash`")
        return self


class CacheControlModel(Strict):
    url: Url
    prefixes: list[Prefix] = Field(min_length=1)
    page: int = Field(500, ge=1, le=10_000)


class QueueModel(Strict):
    url: Url
    lists: list[str] = Field(min_length=1)
    oldest: Literal["right", "left"] = "right"
    max: int = Field(100_000, ge=1)
    page: int = Field(500, ge=1, le=10_000)
    parking: str | None = Field(None, min_length=1, max_length=255)
    ca_file: Absolute | None = None

    @model_validator(mode="after")
    def _parks(self) -> Self:
        if not self.url.startswith(("amqp://", "amqps://")):
            if self.parking is not None or self.ca_file is not None:
                raise ValueError("`parking` and `ca_file` are RabbitMQ's; take them away")
            return self
        if self.parking is None:
            raise ValueError("RabbitMQ needs `parking`, the queue where messages are put")
        for name in self.lists:
            if (parking := self.parking.replace("{queue}", name)) in self.lists:
                raise ValueError(f"{parking!r} is itself a queue that may be drained")
        return self


class ServerModel(Strict):
    dsn: Dsn


class FailoverModel(Strict):
    primary: ServerModel
    standby: ServerModel
    fence: str | None = None


class ExtraModel(Strict):
    socket: str = Field(min_length=1)
    process: ProcessPattern


class ScaleModel(Strict):
    supervisord: ExtraModel
    extra: int = Field(ge=1, le=100)


class TempModel(Strict):
    paths: list[TempPath] = Field(min_length=1)
    older_than_s: float = Field(0.0, ge=0)


class HaproxyModel(Strict):
    socket: RuntimeApi
    backend: str = Field(pattern=r"^[A-Za-z0-9_.:-]+$")
    server: str = Field("{service}-{region}", pattern=r"^[A-Za-z0-9_.:{}*-]+$")


class PoolModel(Strict):
    haproxy: HaproxyModel


class ControlModel(Strict):
    supervisord: SupervisordModel | None = None
    systemd: SystemdModel | None = None
    kubernetes: KubernetesModel | None = None
    release: ReleaseModel | None = None
    flags: FlagsModel | None = None
    cache: CacheControlModel | None = None
    queue: QueueModel | None = None
    failover: FailoverModel | None = None
    scale: ScaleModel | None = None
    temp: TempModel | None = None
    pool: PoolModel | None = None


class HttpProbeModel(Strict):
    url: CallUrl
    expect_status: list[Status] = Field([200], min_length=1)
    holds: dict[str, Any] = {}

    @model_validator(mode="after")
    def _pointers(self) -> Self:
        for pointer in self.holds:
            if not pointer.startswith("/"):
                raise ValueError(f"{pointer!r} is no JSON pointer; write one as /status")
        return self


class HttpCallModel(Strict):
    url: CallUrl
    method: Literal["POST", "PUT", "PATCH", "DELETE"] = "POST"
    headers: Headers = {}
    body: Any = None
    expect_status: list[Status] = Field([200, 201, 202, 204], min_length=1)
    idempotency_header: str | None = Field(None, pattern=r"^[A-Za-z0-9-]+$")
    ca_file: Absolute | None = None
    probe: HttpProbeModel | None = None
    undo: str | None = None

    @model_validator(mode="after")
    def _places(self) -> Self:
        _check_body(self.body)
        if str(self.idempotency_header).lower() in {*_OURS, *map(str.lower, self.headers)}:
            raise ValueError(
                f"{self.idempotency_header!r} can't carry the key; choose another name"
            )
        return self


class CommandModel(Strict):
    argv: Argv
    timeout_s: float = Field(30.0, ge=0.1, le=3600)
    cwd: Absolute = "/"
    env: Environment = {}
    refuses: list[Annotated[int, Field(ge=1, le=255)]] = []
    probe: str | None = None
    undo: str | None = None


class ActionsModel(Strict):
    http: dict[Name, HttpCallModel] = {}
    commands: dict[Name, CommandModel] = {}
    plugins: dict[Name, dict[str, Any]] = {}

    @model_validator(mode="after")
    def _refers(self) -> Self:
        named: list[tuple[str, str, str | None, dict[str, Any]]] = [
            *(("http", name, call.undo, self.http) for name, call in self.http.items()),
            *(("commands", name, call.undo, self.commands) for name, call in self.commands.items()),
            *(
                ("commands", name, call.probe, self.commands)
                for name, call in self.commands.items()
            ),
        ]
        for section, name, other, known in named:
            if other is not None and (other not in known or other == name):
                raise ValueError(
                    f"{section}.{name} refers to {other!r}, which is no other call of {section};"
                    f" known are {', '.join(known)}"
                )
        return self


def _check_body(value: object) -> None:
    if isinstance(value, str):
        check_places(value)
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            _check_body(each)
